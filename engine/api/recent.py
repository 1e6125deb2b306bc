"""The completions of the last hours, in memory alone, so that somebody can still say what was wrong with one."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from ...schemas.records import Answered, GivenTurn, Message
from .refusal import Refusal

SECONDS = 12 * 3600.0
"""After which a completion is forgotten."""
CHARACTERS = 16_000_000
"""Of all that is remembered, at most; the oldest make room."""


@dataclass
class Completion:
    """A reply that was given.

    Attributes:
        key: Name of the key that asked.
        slot: That answered; empty: the plain base.
        kept: The reply as a message of a conversation, once it was stored.
        lock: Held while something is said of it.
    """

    id: str
    key: str
    slot: str
    turns: tuple[GivenTurn, ...]
    reply: Answered
    made: float
    kept: Message | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def size(self) -> int:
        """Characters that it takes."""
        return len(self.reply.text) + sum(len(turn.text) for turn in self.turns)


class Recent:
    """Completions by id."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = CHARACTERS) -> None:
        self._clock, self._most = clock, most
        self._held: OrderedDict[str, Completion] = OrderedDict()
        self._size = 0

    def add(self, completion: Completion) -> None:
        """Remember a completion."""
        self._held[completion.id] = completion
        self._size += completion.size
        while self._held and (self._size > self._most or self._is_old(next(iter(self._held.values())))):
            self._size -= self._held.popitem(last=False)[1].size

    def find(self, key: str, name: str) -> Completion:
        """Return a completion.

        Raises:
            Refusal: If there is none of this id, any more, that this key asked for.
        """
        found = self._held.get(name)
        if found is None or found.key != key or self._is_old(found):
            message = "There is no completion of this id (any more); say it within 12 hours, while the server runs."
            raise Refusal(404, "completion_not_found", message, param="id")
        return found

    def _is_old(self, completion: Completion) -> bool:
        return self._clock() - completion.made > SECONDS
