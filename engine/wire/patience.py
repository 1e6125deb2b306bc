"""How long a provider that fails is tried again, and with which pauses."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ...schemas.errors import BadFrame, PeerRefused, RemoteError, Unreachable
from ...schemas.hsp import Code

T = TypeVar("T")

_AGAIN = {Code.BUSY, Code.TOO_MANY, Code.CACHE_FULL, Code.SHUTTING_DOWN, Code.INTERNAL}


@dataclass(frozen=True)
class Patience:
    """The first try again is at once, as a kept connection may have been closed; then pauses double, with jitter.

    Attributes:
        tries: How often one thing is tried without any progress.
        pause: Seconds before the second try again, on average.
        longest: Seconds of the longest pause; a server that asks for a longer one is given up.
        sleep: Waits.
        random: Draws the jitter.
    """

    tries: int = 6
    pause: float = 0.2
    longest: float = 10.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: random.Random = field(default_factory=random.Random)

    async def trying(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what ``ask`` gives, asked again where that may help.

        Raises:
            RemoteError: The last failure.
        """
        failed = 0
        while True:
            try:
                return await ask()
            except RemoteError as error:
                failed += 1
                await self.wait(failed, error)

    async def wait(self, failed: int, error: RemoteError) -> None:
        """Pause after the ``failed``-th failure in a row.

        Raises:
            RemoteError: ``error`` itself, where trying again is of no use or has been tried enough.
        """
        asked = error.problem.retry_after if isinstance(error, PeerRefused) and error.problem else None
        if failed >= self.tries or not passes(error) or (asked or 0) > self.longest:
            raise error
        pause = 0.0 if failed == 1 and asked is None else min(self.longest, self.pause * 2 ** (failed - 2))
        await self.sleep((asked or 0) + pause * self.random.uniform(0.5, 1.5))


def passes(error: RemoteError) -> bool:
    """Whether the same may succeed later with the same provider."""
    if isinstance(error, PeerRefused):
        return error.problem is not None and error.problem.code in _AGAIN
    return isinstance(error, (Unreachable, BadFrame))
