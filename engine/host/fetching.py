"""One thing at a time is fetched from elsewhere or sent there, and it can be stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ...schemas.errors import ModelInUse, PullCancelled
from ...schemas.events import PullEvent
from .pull import Told
from .rooms import Tell

T = TypeVar("T")


class Fetching:
    """What is on its way, if anything is; ``name`` is how the user calls it."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self.name = ""

    @property
    def busy(self) -> bool:
        """Whether anything is on its way."""
        return self._task is not None

    async def do(self, name: str, work: Callable[[Told], Coroutine[Any, Any, T]], tell: Tell) -> T:
        """Return what a piece of work gives.

        Raises:
            ModelInUse: If another is under way.
            PullCancelled: If it was stopped.
        """
        if self._task is not None:
            raise ModelInUse(f"{self.name} is being fetched or sent already; wait for it, or cancel it first.")

        def told(stage: str, fraction: float | None) -> None:
            tell(PullEvent(spec=name, stage=stage, fraction=fraction))

        task = asyncio.create_task(work(told))
        self._task, self.name = task, name
        try:
            await asyncio.wait({task})
        finally:
            self._task = None
        if task.cancelled():
            raise PullCancelled(f"{name} was stopped on its way; done again, it goes on from there.")
        return task.result()

    async def cancel(self) -> bool:
        """Stop it; returns when it has ended."""
        if self._task is None or not self._task.cancel():
            return False
        await asyncio.wait({self._task})
        return True
