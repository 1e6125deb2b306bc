"""Telling what a reply costs on the way to a provider elsewhere, not oftener than a screen can be read."""

from __future__ import annotations

import time
from collections.abc import Callable

from ...schemas.events import Event, TrafficEvent
from ..chat.traffic import Traffic

EVERY = 0.25
"""Seconds between two tellings."""


class Costs:
    """Of one reply."""

    def __init__(
        self,
        conversation: int,
        provider: str,
        say: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is told."""
        self._conversation, self._provider, self._say, self._clock = conversation, provider, say, clock
        self._next = clock() + EVERY

    def now_and_then(self, traffic: Traffic) -> None:
        """Tell it if it was not told lately."""
        if self._clock() >= self._next:
            self.tell(traffic)
            self._next = self._clock() + EVERY

    def tell(self, traffic: Traffic) -> None:
        """Tell it."""
        self._say(TrafficEvent(conversation=self._conversation, traffic=traffic.facts(self._provider)))
