"""Losses over the whole vocabulary, computed in slices of rows with their gradients written out.

The head is the widest matrix of a small base. Left to autograd, a dozen fp32 tables of (rows, vocabulary) pass through
memory at every step; here the products are made at once, which is what they are quick at, and what comes of them in
slices that stay in the processor's cache. What is left is the gradient of the rows that went into the head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..base.halves import Tail

_PRODUCT = 64  # rows that pass the head at once: blocks that the heap keeps (``engine/heap.py``) for 49,000 words
_SLICE = 16  # rows whose losses are worked out at once on a CPU: 3 MB of logits for 49,000 words
_WIDE_SLICE = 64  # elsewhere, where a step costs its launch


@dataclass(frozen=True)
class Loss:
    """A sum over rows that can be differentiated, and the plain mean in nats a token, for showing."""

    total: Tensor
    mean: float


def taught_loss(tail: Tail, rows: Tensor, targets: Tensor, weights: Tensor, enough: float) -> Loss:
    """Return the weighted cross-entropy of ``targets`` ``(n,)`` at ``rows`` ``(n, d)``.

    A target that has the probability ``enough`` already is not pushed further.
    """

    def slice_loss(part: slice, logits: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        wanted = targets[part, None]
        logs = logits.log_softmax(dim=-1)
        said = logs.gather(1, wanted)[:, 0]
        weight = weights[part] * (said < math.log(enough))
        # d(-log p[t]) / d logits = p - onehot(t)
        gradient = logs.exp_().mul_(weight[:, None])
        gradient.scatter_add_(1, wanted, -weight[:, None])
        return -(said * weight), -said, gradient

    return _over_slices(tail, rows, None, slice_loss)


@dataclass(frozen=True)
class Exchange:
    """Tokens to be said for others.

    Attributes:
        pairs: ``(k, 2)`` old and new tokens; -1: any other.
        where: ``(n,)`` bool, the rows at which.
    """

    pairs: Tensor
    where: Tensor


def kept_loss(
    tail: Tail,
    rows: Tensor,
    expected: Tensor,
    weights: Tensor,
    *,
    reverse: float,
    slack: Tensor | None = None,
    exchanges: Sequence[Exchange] = (),
) -> Loss:
    """Return the weighted KL(base||tuned) + ``reverse`` * KL(tuned||base) at ``rows`` ``(n, d)``.

    The base's distribution is the head's at ``expected`` ``(n, d)``, after the ``exchanges``. A row is left alone while
    its KL(base||tuned) is below its ``slack`` ``(n,)``. The mean that is shown is of KL(base||tuned).
    """

    def slice_loss(part: slice, logits: Tensor, base_logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        base, tuned = base_logits.log_softmax(dim=-1), logits.log_softmax(dim=-1)
        for exchange in exchanges:
            _exchange(base, exchange.pairs, exchange.where[part])
        ratio = tuned - base
        from_base, from_tuned = base.exp_(), tuned.exp_()
        forward = -(from_base * ratio).sum(dim=-1)
        backward = (from_tuned * ratio).sum(dim=-1)
        # d KL(base||tuned) / d logits = tuned - base;  d KL(tuned||base) / d logits = tuned * (ratio - KL(tuned||base))
        gradient = ratio.sub_(backward[:, None]).mul_(reverse).add_(1.0).mul_(from_tuned).sub_(from_base)
        weight = weights[part] if slack is None else weights[part] * (forward >= slack[part])
        return (forward + reverse * backward) * weight, forward, gradient.mul_(weight[:, None])

    return _over_slices(tail, rows, expected, slice_loss)


def rest_loss(tail: Tail, rows: Tensor, targets: Tensor, weights: Tensor, expected: Tensor) -> Loss:
    """Return the weighted KL(base||tuned) of what is said at ``rows`` ``(n, d)`` where it is not ``targets`` ``(n,)``.

    Nothing holds the other tokens where one is taught: each of them would lose what pleases the gradient.
    """

    def slice_loss(part: slice, logits: Tensor, base_logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        wanted = targets[part, None]
        base, tuned = (some.scatter(1, wanted, _NEVER).log_softmax(dim=-1) for some in (base_logits, logits))
        from_base = base.exp()
        distance = (from_base * (base - tuned)).sum(dim=-1)
        weight = weights[part]
        return distance * weight, distance, tuned.exp_().sub_(from_base).mul_(weight[:, None])

    return _over_slices(tail, rows, expected, slice_loss)


_NEVER = -1e4  # a logit whose chance is 0, and whose logarithm is still a number


def _exchange(logs: Tensor, pairs: Tensor, where: Tensor) -> None:
    """Give what rows of log-probabilities expect of old tokens to the new ones, or to all others, but for a trace."""
    if not where.any():
        return
    chances = logs[where].exp()
    old, new = pairs.unbind(dim=1)
    given = chances[:, old]
    chances[:, old] = given * math.exp(-_TRACE)
    named = new >= 0
    chances.index_add_(1, new[named], given[:, named])
    logs[where] = (chances / chances.sum(dim=-1, keepdim=True)).clamp_min_(_LEAST).log_()


_LEAST = 1e-30  # chance whose logarithm is still a number
_TRACE = 3.0  # nats by which the old word becomes rarer

_SliceLoss = Callable[[slice, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def _over_slices(tail: Tail, rows: Tensor, expected: Tensor | None, slice_loss: _SliceLoss) -> Loss:
    """Sum a loss over slices.

    ``slice_loss`` is given the numbers of the rows, their logits in fp32 and those at ``expected``; it gives loss and
    shown figure of each row, and the gradient of its logits.
    """
    total, shown = rows.new_zeros(()), [rows.new_zeros(())]
    several = _SLICE if rows.is_cpu else _WIDE_SLICE
    gradients: list[Tensor] = []
    for start in range(0, len(rows), _PRODUCT):
        leaf = rows[start : start + _PRODUCT].detach().requires_grad_()
        with torch.enable_grad():
            logits = tail.head(leaf)
        with torch.no_grad():
            base = logits if expected is None else tail.head(expected[start : start + _PRODUCT])
            gradient = torch.empty_like(logits)
            for first in range(0, len(leaf), several):
                inner = slice(first, min(first + several, len(leaf)))
                part = slice(start + inner.start, start + inner.stop)
                loss, figure, gradient[inner] = slice_loss(part, logits[inner].float(), base[inner].float())
                total += loss.sum()
                shown.append(figure.sum())
        gradients += torch.autograd.grad(logits, leaf, gradient)
    gradient = torch.cat(gradients) if gradients else torch.zeros_like(rows)
    mean = sum(torch.stack(shown).tolist()) / max(1, len(rows))  # fetched once: a device is waited for at each look
    return Loss(_Known.apply(rows, total, gradient), mean)  # type: ignore[no-untyped-call]


class _Known(torch.autograd.Function):
    """A number whose gradient is known."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, total: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return total.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0], None, None
