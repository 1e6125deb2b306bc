"""What one step of the cross-entropy pass looks at, and what it minimises there; plain functions for any trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...schemas.errors import StudyError
from ..base.halves import Tail
from .losses import Exchange, kept_loss, taught_loss
from .part import Part
from .recipe import Recipe
from .targets import Prepared

_FIRST = 4  # the first kept tokens of a reply are always looked at: most rules act there


@dataclass(frozen=True)
class BatchLoss:
    """What a step minimises (``total``), and what is shown: means in nats a token."""

    total: Tensor
    taught: float
    kept: float


def choose_rows(example: Prepared, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return the numbers of the targets that a step looks at: all taught ones, the first, some risky, some others."""
    chosen = example.taught.clone()
    if example.part is not Part.ANCHOR:
        chosen[:_FIRST] = True
    for pool, share in ((example.risky, recipe.kept_rows // 2), (~example.taught, recipe.kept_rows)):
        free = (pool & ~chosen).nonzero()[:, 0]
        chosen[free[torch.randperm(len(free), generator=generator)[:share]]] = True
    return chosen.nonzero()[:, 0]


def batch_loss(tail: Tail, batch: Sequence[Prepared], rows: Sequence[Tensor], recipe: Recipe) -> BatchLoss:
    """Return the loss of some examples at the chosen ``rows`` of each; only those pass the head.

    At a taught token: cross-entropy, until it has the probability ``recipe.enough``. At a kept token:
    KL(base||tuned) + ``recipe.reverse`` * KL(tuned||base) over the whole vocabulary.
    """
    # What counts is decided on the CPU, and moved to where the tail computes at once.
    device = tail.device
    there = [row.to(device) for row in rows]
    hidden = tail.sequences([example.states for example in batch], [example.tokens for example in batch])
    chosen = torch.cat(
        [
            output[len(example.states) - len(example.targets) :][row]
            for output, example, row in zip(hidden, batch, there, strict=True)
        ]
    )

    def gather(values: Callable[[Prepared], Tensor]) -> Tensor:
        return torch.cat([values(example)[row] for example, row in zip(batch, rows, strict=True)])

    taught = gather(lambda e: e.taught)
    teaching, keeping = taught.to(device), (~taught).to(device)
    wanted = gather(lambda e: e.targets)[taught]
    weights = gather(lambda e: (e.leads.float() * (1 - recipe.within) + recipe.within) * e.weight)[taught]
    teach = taught_loss(tail, chosen[teaching], wanted.to(device), weights.to(device), recipe.enough)
    weights = gather(lambda e: _weights(e, recipe))[~taught]
    owner = torch.repeat_interleave(torch.arange(len(batch)), torch.tensor([len(row) for row in rows]))[~taught]
    owners: dict[int, list[int]] = {}
    for number, example in enumerate(batch):
        owners.setdefault(id(example.exchanges), []).append(number)
    exchanges = [
        Exchange(pairs, torch.isin(owner, torch.tensor(numbers)).to(device))
        for numbers in owners.values()
        if (pairs := batch[numbers[0]].exchanges) is not None
    ]
    expected = torch.cat([example.expected[row] for example, row in zip(batch, there, strict=True)])
    near = torch.tensor([recipe.contrast_slack if e.part is Part.CONTRAST else 0.0 for e in batch])[owner]
    keep = kept_loss(
        tail,
        chosen[keeping],
        expected[keeping],
        weights.to(device),
        reverse=recipe.reverse,
        slack=near.to(device),
        exchanges=exchanges,
    )
    return BatchLoss((teach.total + keep.total) / len(batch), teach.mean, keep.mean)


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
