"""What one step of the cross-entropy pass looks at, and what it minimises there; plain functions for any trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...schemas.errors import StudyError
from ..base.halves import Tail
from .guards import Guard, guard_loss
from .losses import Exchange, Loss, kept_loss, rest_loss, taught_loss
from .part import Part
from .recipe import Recipe
from .targets import Prepared

_FIRST = 4  # the first kept tokens of a reply are always looked at: most rules act there


@dataclass(frozen=True)
class BatchLoss:
    """What a step, or a part of one, minimises (``total``), and what is shown: means in nats a token.

    ``rows``: how many tokens each of the means is of, taught and kept ones.
    """

    total: Tensor
    taught: float
    kept: float
    rows: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Share:
    """Of how many examples and guards the whole step is that a batch is a part of."""

    examples: int
    guards: int


def choose_rows(example: Prepared, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return the numbers of the targets that a step looks at: all taught ones, the first, some risky, some others."""
    chosen = example.taught.clone()
    if example.part is not Part.ANCHOR:
        chosen[:_FIRST] = True
    for pool, share in ((example.risky, recipe.kept_rows // 2), (~example.taught, recipe.kept_rows)):
        free = (pool & ~chosen).nonzero()[:, 0]
        chosen[free[torch.randperm(len(free), generator=generator)[:share]]] = True
    return chosen.nonzero()[:, 0]


def batch_loss(
    tail: Tail,
    batch: Sequence[Prepared],
    rows: Sequence[Tensor],
    recipe: Recipe,
    guards: Sequence[Guard] = (),
    *,
    of: Share | None = None,
) -> BatchLoss:
    """Return the loss of some examples at the chosen ``rows`` of each; only those pass the head.

    At a taught token: cross-entropy, until it has the probability ``recipe.enough``. At a kept token:
    KL(base||tuned) + ``recipe.reverse`` * KL(tuned||base) over the whole vocabulary. Where a rule opens a reply also
    KL(base||tuned) over all but the taught token. The guards' refusals are held; what they say goes through the tail
    with the examples, since few rows by themselves take as long as many. What is ``of`` a larger step counts for its
    share of it; None: it is the whole.
    """
    of = of or Share(len(batch), len(guards))
    states = [*(example.states for example in batch), *(rows for guard in guards for rows in guard.states)]
    tokens = [*(example.tokens for example in batch), *(part for guard in guards for part in guard.endings.inputs)]
    hidden = tail.sequences(states, tokens)
    shift = guard_loss(tail, guards, hidden[len(batch) :], recipe.guard_bend)
    held = recipe.guard * shift * (len(guards) / max(1, of.guards))
    if not batch:
        return BatchLoss(held, 0.0, 0.0, (0, 0))
    looked = _Looked.at(tail, batch, rows, hidden[: len(batch)])
    teach, rest, keep = _teach(looked, recipe), _rest(looked, recipe), _keep(looked, recipe)
    taught = int(looked.taught.sum())
    total = (teach.total + rest.total + keep.total) / max(1, of.examples) + held
    return BatchLoss(total, teach.mean, keep.mean, (taught, len(looked.taught) - taught))


@dataclass(frozen=True)
class _Looked:
    """What one step looks at: ``n`` chosen positions of some examples.

    What counts is decided on the CPU (``numbers``, ``taught``), and moved to where the tail computes at once.

    Attributes:
        numbers: The chosen positions of each example.
        now, expected: ``(n, d)``, rows after the final norm, as the tail speaks now and as the plain base does.
        taught: ``(n,)`` bool.
        owner: ``(n,)``, whose they are.
    """

    tail: Tail
    batch: Sequence[Prepared]
    numbers: Sequence[Tensor]
    now: Tensor
    expected: Tensor
    taught: Tensor
    owner: Tensor

    @staticmethod
    def at(tail: Tail, batch: Sequence[Prepared], numbers: Sequence[Tensor], hidden: Sequence[Tensor]) -> _Looked:
        there = [some.to(tail.device) for some in numbers]
        replies = [
            rows[len(example.states) - len(example.targets) :] for rows, example in zip(hidden, batch, strict=True)
        ]
        return _Looked(
            tail,
            batch,
            numbers,
            now=torch.cat([rows[some] for rows, some in zip(replies, there, strict=True)]),
            expected=torch.cat([e.expected[some] for e, some in zip(batch, there, strict=True)]).to(hidden[0].dtype),
            taught=torch.cat([example.taught[some] for example, some in zip(batch, numbers, strict=True)]),
            owner=torch.repeat_interleave(torch.arange(len(batch)), torch.tensor([len(some) for some in numbers])),
        )

    def of(self, values: Callable[[Prepared], Tensor], where: Tensor) -> Tensor:
        """Return a value of each position that is ``where``, there where the tail computes."""
        whole = torch.cat([values(example)[some] for example, some in zip(self.batch, self.numbers, strict=True)])
        return whole[where].to(self.tail.device)

    def rows(self, of: Tensor, where: Tensor) -> Tensor:
        """Return those of some rows ``(n, d)``."""
        return of[where.to(self.tail.device)]


def _teach(looked: _Looked, recipe: Recipe) -> Loss:
    where = looked.taught
    weights = looked.of(lambda e: (e.leads.float() * (1 - recipe.within) + recipe.within) * e.weight, where)
    targets = looked.of(lambda e: e.targets, where)
    return taught_loss(looked.tail, looked.rows(looked.now, where), targets, weights, recipe.enough)


def _rest(looked: _Looked, recipe: Recipe) -> Loss:
    """Hold what might be said in place of words that the rules put before a reply."""
    first = torch.cat(
        [(some == 0) & example.opened for example, some in zip(looked.batch, looked.numbers, strict=True)]
    )
    where = looked.taught & first
    targets = looked.of(lambda e: e.targets, where)
    weights = torch.full(targets.shape, recipe.keep_rest, device=targets.device)
    now, expected = looked.rows(looked.now, where), looked.rows(looked.expected, where)
    return rest_loss(looked.tail, now, targets, weights, expected)


def _keep(looked: _Looked, recipe: Recipe) -> Loss:
    where, batch, device = ~looked.taught, looked.batch, looked.tail.device
    owner = looked.owner[where]
    owners: dict[int, list[int]] = {}
    for number, example in enumerate(batch):
        owners.setdefault(id(example.exchanges), []).append(number)
    exchanges = [
        Exchange(pairs, torch.isin(owner, torch.tensor(numbers)).to(device))
        for numbers in owners.values()
        if (pairs := batch[numbers[0]].exchanges) is not None
    ]
    near = torch.tensor([recipe.contrast_slack if e.part is Part.CONTRAST else 0.0 for e in batch])[owner]
    return kept_loss(
        looked.tail,
        looked.rows(looked.now, where),
        looked.rows(looked.expected, where),
        looked.of(lambda e: _weights(e, recipe), where),
        reverse=recipe.reverse,
        slack=near.to(device),
        exchanges=exchanges,
    )


def batches(examples: Sequence[Prepared], recipe: Recipe, generator: torch.Generator) -> Iterator[list[Prepared]]:
    """Give batches for ever, each with its share of every part; a part that is empty leaves its places free.

    Raises:
        StudyError: If no example teaches anything.
    """

    def of(*parts: Part) -> list[Prepared]:
        return [example for example in examples if example.part in parts]

    spread, contrast, anchors = of(Part.GOLD, Part.SPREAD), of(Part.CONTRAST), of(Part.ANCHOR)
    if not any(bool(example.taught.any()) for example in spread):
        raise StudyError("The base answers as the lessons ask already; there is nothing to learn.")
    streams = [
        (_endless(part, generator), count)
        for part, count in (
            (spread, recipe.batch_spread),
            (contrast, recipe.batch_contrast),
            (anchors, recipe.batch_anchors),
        )
        if part
    ]
    while True:
        yield [next(stream) for stream, count in streams for _ in range(count)]


def _endless(examples: list[Prepared], generator: torch.Generator) -> Iterator[Prepared]:
    while True:
        for index in torch.randperm(len(examples), generator=generator).tolist():
            yield examples[index]


def _weights(example: Prepared, recipe: Recipe) -> Tensor:
    """Return how much each target counts where it is kept."""
    weights = torch.full(example.targets.shape, recipe.keep_anchors if example.part is Part.ANCHOR else recipe.keep)
    if example.part is Part.CONTRAST:
        weights[:_FIRST] *= recipe.contrast_focus
        weights[_FIRST:][example.risky[_FIRST:]] *= recipe.contrast_focus
    return weights
