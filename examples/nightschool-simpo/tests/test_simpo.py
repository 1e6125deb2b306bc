"""The suite that every trainer must pass, and what this one is for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nightschool.engine.slots.adapter import attach
from nightschool.testing import Check, items_of, suite, tiny_task

import nightschool_simpo
from nightschool_simpo import simpo


@pytest.mark.parametrize("check", suite("trainer"), ids=str)
def test_it_does_what_its_kind_must(check: Check) -> None:
    check(nightschool_simpo)


def test_it_prefers_what_was_wanted() -> None:
    """After training the margin is wider than before, on the pairs that it was taught."""
    task = tiny_task()
    assert task.pairs
    (item,) = items_of(nightschool_simpo, "trainer")
    adapter = item.train(task, lambda point, steps: None)
    before = float(simpo(task.tail, task.pairs))
    attach(task.tail, adapter)
    try:
        after = float(simpo(task.tail, task.pairs))
    finally:
        attach(task.tail, None)
    assert after < before


def test_the_loss_falls_with_the_margin() -> None:
    task = tiny_task()
    given = float(simpo(task.tail, task.pairs))
    swapped = [replace(pair, chosen=pair.rejected, rejected=pair.chosen) for pair in task.pairs]
    assert given > 0
    assert abs(float(simpo(task.tail, swapped)) - given) > 1e-4
