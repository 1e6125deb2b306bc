"""One reply at a time: who waits, in which order, and when there are too many."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .refusal import Refusal

MOST = 32
"""Requests that may wait, of all keys."""
MOST_OF_A_KEY = 16


class Turnstile:
    """Lets one in at a time: each key in turn, and of one key who came first."""

    def __init__(self, most: int = MOST, most_of_a_key: int = MOST_OF_A_KEY) -> None:
        self._most, self._most_of_a_key = most, most_of_a_key
        self._taken = False
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for one's turn, and have it.

        Raises:
            Refusal: If too many wait already.
        """
        if self._taken:
            await self._wait(key)
        self._taken = True
        try:
            yield
        finally:
            self._let_in()

    async def _wait(self, key: str) -> None:
        queue = self._waiting.get(key, deque())
        if self.waiting >= self._most or len(queue) >= self._most_of_a_key:
            raise Refusal(429, "too_many_waiting", "Too many requests wait already; ask again later.", retry_after=5)
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        self._waiting[key] = queue
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._let_in()  # it was let in and left in the same moment
            else:
                self._forget(key, turn)
            raise

    def _let_in(self) -> None:
        """Hand the turn on, or leave it to whoever comes next."""
        self._taken = bool(self._waiting)
        if not self._waiting:
            return
        key, queue = next(iter(self._waiting.items()))
        turn = queue.popleft()
        self._waiting.move_to_end(key)
        if not queue:
            del self._waiting[key]
        turn.set_result(None)

    def _forget(self, key: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(key)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[key]
