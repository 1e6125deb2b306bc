"""Work that a screen waits for without holding up its keys."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from textual.css.query import NoMatches
from textual.screen import Screen


def work_on(
    screen: Screen[Any], work: Coroutine[Any, Any, None], *, group: str = "default", exclusive: bool = False
) -> None:
    """Do work that ends by showing something on a screen; on one that was closed meanwhile nothing is shown.

    Args:
        screen: Whose work it is.
        work: What to do.
        group: With what else.
        exclusive: Whether older work of the group is dropped.
    """
    screen.run_worker(_unless_closed(screen, work), group=group, exclusive=exclusive)


async def _unless_closed(screen: Screen[Any], work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except NoMatches:  # a screen is parted from what is on it before its work is cancelled
        if screen.display:
            raise
