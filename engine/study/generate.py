"""Many greedy replies at once: base replies to rewrite, candidates to check; with trunk and tail in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from ..base.halves import Tail, Trunk

_ROWS = 48  # replies written at once; a finished one makes room for the next prompt


@dataclass(frozen=True)
class Written:
    """The tokens of one reply, without the end of turn; ``finished`` if the model ended it by itself."""

    tokens: list[int]
    finished: bool


@dataclass(frozen=True)
class Text:
    """A reply in words; not ``finished`` if it was cut at the limit of tokens."""

    text: str
    finished: bool


class Writer(Protocol):
    """Writes with the tail of a study, as it speaks now, wherever the trunk is."""

    def write(
        self, prompts: Sequence[list[int]], *, limit: int, tell: Callable[[float], None] = lambda share: None
    ) -> list[Written]:
        """Return the likeliest reply to each prompt, token by token; the arguments are those of :func:`write_greedily`.

        Raises:
            RemoteError: If the trunk is elsewhere and cannot be asked.
        """
        ...


@dataclass(frozen=True)
class NearWriter:
    """The one whose trunk is here. ``ends``: tokens that end a reply."""

    trunk: Trunk
    tail: Tail
    ends: Collection[int]

    def write(
        self, prompts: Sequence[list[int]], *, limit: int, tell: Callable[[float], None] = lambda share: None
    ) -> list[Written]:
        """Write all in rows of one batch."""
        return write_greedily(self.trunk, self.tail, prompts, self.ends, limit=limit, tell=tell)


def write_greedily(
    trunk: Trunk,
    tail: Tail,
    prompts: Sequence[list[int]],
    ends: Collection[int],
    *,
    limit: int,
    tell: Callable[[float], None] = lambda share: None,
) -> list[Written]:
    """Return the likeliest reply to each prompt, token by token, as the tail speaks now.

    Args:
        trunk: Gives the states.
        tail: With or without an adapter.
        prompts: Token ids, each ending where the reply begins.
        ends: Tokens that end a reply.
        limit: Most tokens of a reply.
        tell: Called with the share done.
    """
    if not prompts:
        return []
    with torch.inference_mode():
        return _Writer(trunk, tail, prompts, frozenset(ends), limit).write(tell)


@dataclass
class _Reply:
    """One reply as it grows; ``prompt`` is the number of its prompt."""

    prompt: int
    tokens: list[int] = field(default_factory=list)


class _Writer:
    """Writes in a fixed number of rows, of which the first ``len(self._open)`` are in use."""

    def __init__(
        self, trunk: Trunk, tail: Tail, prompts: Sequence[list[int]], ends: frozenset[int], limit: int
    ) -> None:
        self._trunk, self._tail = trunk, tail
        self._prompts, self._ends, self._limit = prompts, ends, limit
        # Long prompts first: the room of the rows is theirs, and the last rows to finish are short ones.
        self._waiting = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        count, room = min(_ROWS, len(prompts)), max(map(len, prompts)) + limit
        self._lower, self._upper = trunk.new_rows(count, room), tail.new_rows(count, room)
        self._rows = count
        self._open: list[_Reply] = []
        self._done: dict[int, Written] = {}

    def write(self, tell: Callable[[float], None]) -> list[Written]:
        while self._waiting or self._open:
            self._begin()
            if not self._open:
                continue
            last = torch.tensor([reply.tokens[-1] for reply in self._open], device=self._trunk.device)
            hidden = self._tail.step(self._upper, self._trunk.step(self._lower, last))
            chosen: list[int] = self._tail.ranked(hidden).argmax(dim=-1).tolist()
            for row in reversed(range(len(chosen))):
                self._take(row, chosen[row])
            tell((len(self._done) + self._written() / self._limit) / len(self._prompts))
        return [self._done[number] for number in range(len(self._prompts))]

    def _begin(self) -> None:
        """Fill the free rows with waiting prompts, and take the first token of each."""
        free = min(self._rows - len(self._open), len(self._waiting))
        if not free or (self._open and free < min(self._rows // 4, len(self._waiting))):
            return  # a few at once cost less than each alone
        first = len(self._open)
        rows = range(first, first + free)
        taken = [self._waiting.pop() for _ in rows]
        prompts = [self._prompts[number] for number in taken]
        states = self._trunk.fill(self._lower, rows, prompts)
        hidden = torch.stack([part[-1] for part in self._tail.fill(self._upper, rows, states, prompts)])
        self._open += [_Reply(number) for number in taken]
        chosen: list[int] = self._tail.ranked(hidden).argmax(dim=-1).tolist()
        for row in reversed(rows):
            self._take(row, chosen[row - first])

    def _take(self, row: int, token: int) -> None:
        """Add a token to a row's reply; if that ends it, the last row takes its place. Call from the last row down."""
        reply = self._open[row]
        if token not in self._ends:
            reply.tokens.append(token)
            if len(reply.tokens) < self._limit:
                return
        self._done[reply.prompt] = Written(reply.tokens, finished=token in self._ends)
        last = len(self._open) - 1
        if row != last:
            self._lower.move(last, row)
            self._upper.move(last, row)
            self._open[row] = self._open[last]
        self._open.pop()

    def _written(self) -> int:
        return sum(len(reply.tokens) for reply in self._open)
