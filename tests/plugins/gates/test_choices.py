"""What may be chance is no loss, and no more than that."""

import pytest

from nightschool.engine.study.figures import Choices, Mean
from nightschool.engine.study.recipe import Recipe
from nightschool.plugins.gates.choices import kept


def passed(value, error):
    found = Choices(count=200, before=0.8, after=0.8, error=0.01, rise=Mean(value, error))
    loss, share = kept("x", found, Recipe(), most_rise=0.02, most_drop=0.01, loss="The loss", share="Right answers")
    assert share.passed
    return loss.passed


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [(0.019, 0.005, True), (0.021, 0.005, False), (0.06, 0.035, True), (0.07, 0.035, False)],
)
def test_the_loss_may_rise_as_far_as_is_allowed_or_as_chance_alone_moves_it(value, error, expected):
    assert passed(value, error) is expected
