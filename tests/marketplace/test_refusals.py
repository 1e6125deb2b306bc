"""The table of refusals: each row is a sentence with a way out, and is found by its code."""

import pytest

from nightschool.marketplace.refusals import REFUSALS, refuse
from nightschool.schemas.errors import MarketError


@pytest.mark.parametrize("row", REFUSALS.values(), ids=lambda row: row.code)
def test_a_refusal_is_one_sentence_with_a_way_out(row):
    assert row.code.replace("-", "").isalnum() and row.code == row.code.lower()
    error = refuse(row.code, "here")
    assert isinstance(error, MarketError) and error.code == row.code
    assert str(error) == f"{row.sentence} (here); {row.way_out}."
    assert row.sentence[0].isupper() and ". " not in str(error)


def test_each_hostile_input_is_answered_by_one_row():
    numbers = [number for row in REFUSALS.values() for number in row.numbers]
    assert len(numbers) == len(set(numbers))


def test_nobody_is_told_to_move_away_what_was_revoked():
    assert "trust folder" not in REFUSALS["cannot-check-trust"].way_out
