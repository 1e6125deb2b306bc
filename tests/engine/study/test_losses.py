"""The losses with gradients written out are those that autograd finds."""

from __future__ import annotations

import math

import pytest
import torch

from nightschool.engine.study import losses
from nightschool.engine.study.losses import kept_loss, rest_loss, taught_loss


class Head:
    def __init__(self, vocabulary=40, width=8):
        self.weight = torch.randn(vocabulary, width, generator=torch.Generator().manual_seed(0))

    def head(self, rows):
        return rows @ self.weight.T


@pytest.fixture(params=[(2, 3), (256, 16)], ids=["many slices", "one slice"])
def sizes(request, monkeypatch):
    monkeypatch.setattr(losses, "_SLICE", request.param[0])
    monkeypatch.setattr(losses, "_PRODUCT", request.param[1])


def rows(seed, count=7, width=8):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def test_taught_tokens_are_cross_entropy_until_they_are_likely_enough(sizes):
    tail, one, other = Head(), rows(1), rows(1)
    targets = Head().head(rows(1)).argmax(-1)
    targets[::2] = 3
    weights = torch.linspace(0.2, 1.0, 7)
    logs = tail.head(other).log_softmax(-1).gather(1, targets[:, None])[:, 0]
    far = logs.detach() < math.log(0.3)
    assert 0 < int(far.sum()) < 7
    expected = -(logs * weights * far).sum()
    found = taught_loss(tail, one, targets, weights, 0.3)
    (2 * found.total).backward()
    (2 * expected).backward()
    torch.testing.assert_close(found.total, expected)
    torch.testing.assert_close(one.grad, other.grad)
    assert found.mean == pytest.approx(float(-logs.detach().mean()))


def test_kept_tokens_are_both_divergences(sizes):
    tail, one, other, expected_rows = Head(), rows(1), rows(1), rows(2).detach()
    weights = torch.linspace(0.2, 1.0, 7)
    base, now = tail.head(expected_rows).log_softmax(-1), tail.head(other).log_softmax(-1)
    forward, backward = (base.exp() * (base - now)).sum(-1), (now.exp() * (now - base)).sum(-1)
    expected = ((forward + 0.5 * backward) * weights).sum()
    found = kept_loss(tail, one, expected_rows, weights, reverse=0.5)
    found.total.backward()
    expected.backward()
    torch.testing.assert_close(found.total, expected)
    torch.testing.assert_close(one.grad, other.grad)
    assert found.mean == pytest.approx(float(forward.detach().mean()))


def test_beside_a_taught_token_all_others_keep_their_proportions(sizes):
    tail, one, other, expected_rows = Head(), rows(1), rows(1), rows(2).detach()
    targets, weights = torch.arange(7) * 5, torch.linspace(0.2, 1.0, 7)
    others = torch.ones(7, 40, dtype=torch.bool).scatter(1, targets[:, None], False)
    base, now = (tail.head(some)[others].view(7, 39).log_softmax(-1) for some in (expected_rows, other))
    distance = (base.exp() * (base - now)).sum(-1)
    found = rest_loss(tail, one, targets, weights, expected_rows)
    found.total.backward()
    (distance * weights).sum().backward()
    torch.testing.assert_close(found.total, (distance * weights).sum())
    torch.testing.assert_close(one.grad, other.grad)
    assert found.mean == pytest.approx(float(distance.detach().mean()))


def test_no_rows_are_no_loss(sizes):
    none = rows(1)[:0]
    found = kept_loss(Head(), none, none.detach(), torch.zeros(0), reverse=0.5)
    assert found.total.item() == found.mean == 0.0
    found.total.backward()


@pytest.mark.parametrize("new", [4, -1])
def test_an_exchanged_word_is_expected_where_the_old_one_was(sizes, new):
    tail, expected_rows, weights = Head(), rows(2).detach(), torch.ones(7)
    where = torch.tensor([True, False] * 3 + [True])
    chances = tail.head(expected_rows).softmax(-1)
    old = chances[:, 9].clone()
    trace = old * math.exp(-losses._TRACE)
    chances[where, 9] = trace[where]
    if new >= 0:
        chances[where, new] += old[where]
    base = (chances / chances.sum(-1, keepdim=True)).log()
    now = tail.head(rows(1)).log_softmax(-1)
    found = kept_loss(
        tail, rows(1), expected_rows, weights, reverse=0.0, exchanges=[losses.Exchange(torch.tensor([[9, new]]), where)]
    )
    # What the trace adds beside the word that took all of it is below what matters.
    torch.testing.assert_close(found.total, (base.exp() * (base - now)).sum(), atol=2e-2, rtol=1e-2)
    assert (
        abs(float((found.total - kept_loss(tail, rows(1), expected_rows, weights, reverse=0.0).total).detach())) > 0.05
    )


def test_a_row_that_is_near_enough_is_left_alone(sizes):
    tail, one, other, expected_rows = Head(), rows(1), rows(1), rows(2).detach()
    weights, slack = torch.ones(7), torch.tensor([0.0, 1e9] * 3 + [0.0])
    found = kept_loss(tail, one, expected_rows, weights, reverse=0.5, slack=slack)
    wanted = kept_loss(tail, other, expected_rows, weights * (slack == 0), reverse=0.5)
    found.total.backward()
    wanted.total.backward()
    torch.testing.assert_close(found.total, wanted.total)
    torch.testing.assert_close(one.grad, other.grad)
    assert not one.grad[1].any()
