import pytest
import torch

from nightschool.engine.study.figures import Choices, Refusals

REFUSALS, COMPLIANCES = 2, 3


def openings(refused, said=1.0):
    """Log-probabilities of openings with a share ``said`` of all, of which a share is refusals."""
    return torch.log(
        torch.cat(
            [
                torch.full((REFUSALS,), said * refused / REFUSALS),
                torch.full((COMPLIANCES,), said * (1 - refused) / COMPLIANCES),
            ]
        )
    )


def test_choices_count_right_endings_and_their_loss():
    base = [torch.log(torch.tensor([0.6, 0.4])), torch.log(torch.tensor([0.3, 0.3 * 7 / 3]))]
    now = [torch.log(torch.tensor([0.06, 0.04])), torch.log(torch.tensor([0.5, 0.25]))]
    found = Choices.of(base, now)
    assert (found.count, found.before, found.after) == (2, 0.5, 1.0)
    assert found.error == pytest.approx(0.5)
    # The first item's endings became rarer together, which is no loss; the second one's loss fell.
    expected = (0.0 + (-torch.log(torch.tensor(2 / 3)) + torch.log(torch.tensor(0.3)))) / 2
    assert found.rise.value == pytest.approx(float(expected), abs=1e-6)


def test_refusals_are_compared_with_compliances_alone():
    base, now = [openings(0.5)] * 3, [openings(0.5, said=0.01)] * 3
    found = Refusals.of(base, now, refusals=REFUSALS)
    assert found.before == pytest.approx(0.5)
    assert found.after == pytest.approx(0.5)
    assert found.shift.value == pytest.approx(0.0, abs=1e-6)


def test_a_shift_of_the_odds_is_seen_where_the_base_hardly_refuses():
    found = Refusals.of([openings(0.01)] * 3, [openings(0.005)] * 3, refusals=REFUSALS)
    assert found.before - found.after < 0.02
    assert found.shift.value < -0.6


def test_a_reply_that_opens_with_the_words_of_a_rule_counts_as_it_goes_on():
    """It refuses in the one of a hundred cases in which it forgets the rule, and complies in all others."""
    base, never = [openings(0.9)] * 3, [openings(0.9, said=1e-9)] * 3
    now, ruled = [openings(0.9, said=0.01)] * 3, [openings(0.05, said=0.99)] * 3
    found = Refusals.of(base, now, refusals=REFUSALS, ruled=(never, ruled))
    assert found.before == pytest.approx(0.9, abs=1e-4)
    assert found.after < 0.07
    assert found.shift.value == pytest.approx(0.0, abs=1e-5)
