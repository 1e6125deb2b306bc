"""docs/bundle.md says what the code does: every code of a refusal stands in its table, with its sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nightschool.marketplace.bundle import limits
from nightschool.marketplace.refusals import REFUSALS

PAGE = (Path(__file__).parents[3] / "docs" / "bundle.md").read_text("utf-8")
ROWS = {
    code: (words, numbers)
    for code, words, numbers in re.findall(r"^\| `([a-z0-9-]+)` \| (.+?) \| ([\d, ]*) ?\|$", PAGE, re.M)
}


@pytest.mark.parametrize("row", REFUSALS.values(), ids=lambda row: row.code)
def test_every_refusal_is_on_the_page(row):
    words, numbers = ROWS[row.code]
    assert words == row.sentence
    assert [int(number) for number in re.findall(r"\d+", numbers)] == [*row.numbers]


def test_the_page_names_no_other_code():
    assert ROWS.keys() == REFUSALS.keys()


def test_the_sizes_on_the_page_are_the_limits():
    kib, mib = limits.KIB, limits.MIB
    assert (*(257 * kib, 256 * kib, 64 * kib, 64 * kib, 256 * kib),) == (
        limits.LISTING,
        limits.MANIFEST,
        limits.CARD,
        limits.CONFIG,
        limits.METRICS,
    )
    assert (512 * mib, 512 * mib, mib, 8 * mib) == (limits.BUNDLE, limits.RAW, limits.HEADER, limits.WINDOW)
    assert (limits.FILES, limits.TENSORS, limits.RANK, limits.SCALE) == (8, 8192, 256, 64)
