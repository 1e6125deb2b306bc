"""The catalogue is true of itself, and what it says of memory can be trusted."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from nightschool.engine.base.catalog import DEFAULT, catalogue, source_of
from nightschool.engine.base.families import FAMILIES
from nightschool.engine.base.memory import at_4_bits, fit, largest_that_fits, on_a_device
from nightschool.engine.host.model_list import Machine
from nightschool.schemas.models import Fit

GB = 1_000_000_000
SPDX = {"Apache-2.0", "MIT"}


def test_every_base_is_of_a_supported_family_and_has_its_facts():
    for row in catalogue():
        assert row.family in FAMILIES
        assert row.licence in SPDX or row.licence.startswith("LicenseRef-"), row.licence
        assert 0 < row.head < row.parameters
        assert row.languages and row.note.endswith(".") and row.note.count(".") == 1
        assert row.source == DEFAULT or re.fullmatch(r"[\w.-]+/[\w.-]+", row.source)


def test_a_download_is_two_bytes_a_parameter_and_what_is_stored_twice():
    for row in catalogue():
        if row.source != DEFAULT:
            extra = row.download - 2 * row.parameters
            assert -0.01 * row.download < extra < 2 * row.head + 0.01 * row.download, row.name


def test_names_are_short_and_their_own():
    names = Counter(row.name for row in catalogue())
    assert set(names.values()) == {1}
    assert all(re.fullmatch(r"[a-z0-9.-]{2,20}", name) for name in names)
    assert next(iter(names)) == DEFAULT


def test_the_default_is_the_model_that_comes_along():
    from nightschool.engine.base import default_model

    first = catalogue()[0]
    assert (first.title, first.licence) == (default_model.NAME, default_model.LICENCE)


@pytest.mark.parametrize(
    ("spec", "source"),
    [
        ("", "default"),
        ("default", "default"),
        ("Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("llama3.2-1b", "meta-llama/Llama-3.2-1B-Instruct"),
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("./qwen3-0.6b", "./qwen3-0.6b"),
    ],
)
def test_a_name_of_the_list_stands_for_its_source(spec, source):
    assert source_of(spec) == source


def test_seven_billion_parameters_need_what_they_need():
    assert 4.5 * GB < at_4_bits(7_615_616_512, 544_997_376) < 5.5 * GB


@pytest.mark.parametrize(
    ("memory", "total", "available", "expected"),
    [
        (0.1, 4, 2, Fit.WELL),
        (5.1, 16, 10, Fit.WELL),
        (5.1, 16, 6, Fit.TIGHTLY),
        (5.1, 8, 7, Fit.TIGHTLY),
        (5.1, 6, 6, Fit.NOT),
    ],
)
def test_whether_it_fits_follows_the_machine(memory, total, available, expected):
    assert fit(int(memory * GB), total=int(total * GB), available=int(available * GB)) is expected


def test_the_largest_that_fits_well_is_picked():
    open_ones = [row for row in catalogue() if not row.gated]
    sixteen = largest_that_fits(open_ones, Machine(16 * GB, 12 * GB).fit)
    assert sixteen is not None and sixteen.parameters > 7e9
    small = largest_that_fits(open_ones, Machine(4 * GB, 3 * GB).fit)
    assert small is not None and 3e8 < small.parameters < 6e8
    assert largest_that_fits(open_ones, Machine(1 * GB, 1 * GB).fit) is None


def test_a_base_fits_well_where_a_device_has_room_for_it_whatever_the_machine_has():
    eight = {"parameters": 8 * GB, "head": GB // 2}
    needed = on_a_device(**eight)
    assert Machine(8 * GB, 4 * GB, device=needed).fit(**eight) is Fit.WELL
    assert Machine(8 * GB, 4 * GB, device=needed - 1).fit(**eight) is not Fit.WELL
