"""Sequences as the rows of one pass, one after another; what several begin with alike is there once.

Fresh questions to one slot all begin with its system prompt, and a reply and its correction share their whole question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_WORTH = 8  # tokens alike from which on leaving them out costs less than finding them again


@dataclass(frozen=True)
class Packing:
    """Where the positions of some sequences lie among the rows of a pass.

    Attributes:
        order: Numbers of the sequences, as their own rows follow each other.
        starts: By sequence: how many of its first positions are rows of others.
        lengths: By sequence: all its positions.
        paths: By sequence: the row of each of its positions, ``(T,)`` int64.
        filler: Rows at the end that are nobody's.
    """

    order: list[int]
    starts: list[int]
    lengths: list[int]
    paths: list[Tensor]
    filler: int = 0

    @property
    def own(self) -> list[int]:
        """Rows of its own of each sequence, in order."""
        return [self.lengths[number] - self.starts[number] for number in self.order]

    @property
    def positions(self) -> Tensor:
        """Position of each row in its sequence, ``(N,)`` int64, on the CPU."""
        own = [torch.arange(self.starts[number], self.lengths[number]) for number in self.order]
        return torch.cat([*own, torch.zeros(self.filler, dtype=torch.int64)])

    def rows(self, batch: Sequence[Tensor]) -> Tensor:
        """Return the rows ``(N, ...)`` of whole sequences ``(T, ...)``."""
        own = [batch[number][self.starts[number] :] for number in self.order]
        return torch.cat([*own, own[0].new_zeros(self.filler, *own[0].shape[1:])])

    def split(self, rows: Tensor) -> Sequence[Tensor]:
        """Return the own rows of each sequence, in order."""
        return torch.split(rows, [*self.own, self.filler])[: len(self.order)]

    def whole(self, rows: Tensor) -> list[Tensor]:
        """Return whole sequences ``(T, ...)`` from the rows ``(N, ...)`` of a pass. Differentiable."""
        if not any(self.starts):
            parts = dict(zip(self.order, self.split(rows), strict=True))
            return [parts[number] for number in range(len(self.order))]
        return [rows.index_select(0, path) for path in self.paths]


def pack(
    lengths: Sequence[int],
    tokens: Sequence[Sequence[int]] | None = None,
    device: torch.device | None = None,
    multiple: int = 1,
) -> Packing:
    """Lay out sequences; with their ``tokens``, those that begin alike share the rows of that beginning.

    ``device``: where the rows are, and so the paths; None: on the CPU. Rows are filled up to a ``multiple``.
    """
    order = in_order(len(lengths), tokens)
    starts, paths = [0] * len(order), [torch.empty(0, dtype=torch.int64)] * len(order)
    before, count = -1, 0
    for number in order:
        # In this order nothing earlier has more in common with a sequence than the one just before it.
        alike = _alike(tokens[before], tokens[number]) if tokens is not None and before >= 0 else 0
        alike = min(alike, lengths[number] - 1)
        start = starts[number] = alike if alike >= _WORTH else 0
        own = torch.arange(count, count + lengths[number] - start)
        paths[number] = torch.cat([paths[before][:start], own]) if start else own
        count += len(own)
        before = number
    if device is not None and any(starts):  # nobody else asks for them
        paths = [path.to(device) for path in paths]
    return Packing(order, starts, list(lengths), paths, -count % multiple)


def in_order(count: int, tokens: Sequence[Sequence[int]] | None) -> list[int]:
    """Return the numbers of ``count`` sequences so that those that begin alike are neighbours."""
    return list(range(count)) if tokens is None else sorted(range(count), key=lambda number: list(tokens[number]))


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    for place, (token, twin) in enumerate(zip(one, other, strict=False)):
        if token != twin:
            return place
    return min(len(one), len(other))
