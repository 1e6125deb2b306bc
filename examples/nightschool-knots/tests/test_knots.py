"""The suite that every merge must pass, and what this one is for."""

from __future__ import annotations

import pytest
import torch
from nightschool.engine.slots.adapter import Factors
from nightschool.testing import Check, items_of, suite

import nightschool_knots
from nightschool_knots import aligned


@pytest.mark.parametrize("check", suite("merge"), ids=str)
def test_it_does_what_its_kind_must(check: Check) -> None:
    check(nightschool_knots)


def factors(seed: int, rank: int = 3) -> Factors:
    generator = torch.Generator().manual_seed(seed)
    return Factors(torch.randn(rank, 20, generator=generator), torch.randn(12, rank, generator=generator))


def test_with_all_numbers_and_one_slot_nothing_is_lost() -> None:
    one = factors(1)
    torch.testing.assert_close(aligned([(one, 1.0)], 1.0), one.up @ one.down, atol=1e-4, rtol=1e-4)


def test_slots_that_learned_the_same_keep_it() -> None:
    one = factors(1)
    merged = aligned([(one, 0.5), (one, 0.5)], 1.0)
    torch.testing.assert_close(merged, one.up @ one.down, atol=1e-4, rtol=1e-4)


def test_the_basis_is_common_so_a_turned_factorisation_changes_nothing() -> None:
    """What TIES sees does not depend on how an update was factored, nor on signs that mean nothing."""
    one, other = factors(1), factors(2)
    turned = Factors(-one.down, -one.up)
    given = aligned([(one, 0.6), (other, 0.4)], 0.3)
    torch.testing.assert_close(aligned([(turned, 0.6), (other, 0.4)], 0.3), given, atol=1e-4, rtol=1e-4)


def test_options_that_it_does_not_take_are_refused() -> None:
    from nightschool.schemas.errors import UsageError
    from nightschool.schemas.records import MergeOptions

    (item,) = items_of(nightschool_knots, "merge")
    with pytest.raises(UsageError, match="seed"):
        item.merge([], MergeOptions(seed=4))
