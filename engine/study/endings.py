"""How likely given endings of a text are: a question's choices, a refusal against a compliance. Nothing is written.

Endings of one text that begin alike are a tree; each of its branches is read once, in as few sequences as have leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..base.halves import Tail
from .targets import HEAD_ROWS


@dataclass(frozen=True)
class Fork:
    """Tokens, and several ways in which they may go on; no way is empty."""

    tokens: list[int]
    ways: list[list[int]]


def fork(texts: Sequence[list[int]]) -> Fork:
    """Return whole texts as one fork: what all begin with, and the rest of each.

    To encode a text and its endings apart would not do: some tokenizers put other tokens where a text begins.
    """
    alike = min(len(text) for text in texts) - 1
    differ = (place for place, column in enumerate(zip(*texts, strict=False)) if len(set(column)) > 1)
    alike = min(alike, next(differ, alike))
    return Fork(texts[0][:alike], [text[alike:] for text in texts])


@dataclass
class Endings:
    """Forks laid out for the tail.

    Attributes:
        inputs: Token sequences that the tail reads, none twice.
        ways: Number of ways of each fork.
        reads: ``(sequence, position)`` of each row that goes into the head.
        steps: ``(read, token, way)``: a summand of the way's log-probability is that of this token there.
    """

    inputs: list[list[int]] = field(default_factory=list)
    ways: list[int] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)
    steps: list[tuple[int, int, int]] = field(default_factory=list)

    @staticmethod
    def of(forks: Sequence[Fork]) -> Endings:
        """Lay out forks."""
        laid = Endings()
        for one in forks:
            laid._add(one)
        return laid

    def log_probs(self, tail: Tail, states: Sequence[Tensor]) -> list[Tensor]:
        """Return the log-probabilities of the ways of each fork, ``(ways,)`` fp32 on the CPU, as the tail speaks now.

        Differentiable.

        Args:
            tail: With or without an adapter.
            states: ``(T, d)`` of each of the ``inputs``.
        """
        return self.log_probs_at(tail, tail.sequences(states, self.inputs))

    def log_probs_at(self, tail: Tail, whole: Sequence[Tensor]) -> list[Tensor]:
        """Return the same of rows after the final norm, ``(T, d)`` of each of the ``inputs``."""
        found = torch.zeros(sum(self.ways))
        rows = torch.stack([whole[sequence][position] for sequence, position in self.reads])
        for first in range(0, len(rows), HEAD_ROWS):
            logs = tail.head(rows[first : first + HEAD_ROWS]).float().log_softmax(dim=-1)
            here = [(read - first, *step) for read, *step in self.steps if first <= read < first + len(logs)]
            read, token, way = torch.tensor(here).unbind(dim=1)
            found = found.index_add(0, way, logs[read.to(logs.device), token.to(logs.device)].cpu())
        return list(torch.split(found, self.ways))

    def _add(self, one: Fork) -> None:
        nodes = dict.fromkeys(tuple(way[:depth]) for way in one.ways for depth in range(len(way)))
        inner = {node[:depth] for node in nodes for depth in range(len(node))}
        leaves = {node: len(self.inputs) + place for place, node in enumerate(n for n in nodes if n not in inner)}
        self.inputs += [[*one.tokens, *leaf] for leaf in leaves]
        reads = {}
        for node in nodes:
            sequence = next(place for leaf, place in leaves.items() if leaf[: len(node)] == node)
            reads[node] = len(self.reads)
            self.reads.append((sequence, len(one.tokens) + len(node) - 1))
        before = sum(self.ways)
        for place, way in enumerate(one.ways, start=before):
            self.steps += [(reads[tuple(way[:depth])], token, place) for depth, token in enumerate(way)]
        self.ways.append(len(one.ways))
