"""What the app needs of the engine: a link that starts it, asks it, hears it and survives its death.

``engine/host/client.py`` is the real one; the tests put a scripted one in its place. The app knows nothing else of
the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from ..schemas.events import Event
from ..schemas.messages import Request

R = TypeVar("R")


class EngineLink(Protocol):
    """A conversation with one engine process.

    Callbacks may run in any task or thread and must return at once; the app only posts messages from them.
    """

    async def start(self, *, wake: bool = True) -> None:
        """Spawn the engine process and return at once; it wakes in the background and tells ``engine.state``.

        ``wake`` False: it loads no base, for what needs none.
        """
        ...

    async def call(self, request: Request[R], on_event: Callable[[Event], None] | None = None) -> R:
        """Ask, and wait for the answer; ``on_event`` hears what is told on the way.

        Raises:
            NightSchoolError: The class that the engine raised; ``EngineLost`` if it ended before it answered.
        """
        ...

    def listen(self, callback: Callable[[Event], None]) -> None:
        """Hear what the engine tells everybody."""
        ...

    def when_lost(self, callback: Callable[[str], None]) -> None:
        """Hear, with one sentence, that the engine process ended without being asked to."""
        ...

    async def restart(self, model: str | None = None) -> None:
        """Spawn a new engine process after a loss, or in place of the one that runs; listeners stay.

        ``model`` is the base from now on, empty: what the profile is set to; None: as before.
        """
        ...

    async def close(self) -> None:
        """Ask the engine to end and wait until it has."""
        ...
