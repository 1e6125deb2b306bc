"""Work that waits for somebody elsewhere, given up when nobody wants it any longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_LOOK, _GRACE = 0.25, 1.0
"""Seconds between two looks, and in which unwanted work may end by itself, as it does at its next token."""


class Unwanted(Exception):
    """Work was given up."""


async def while_wanted(work: Coroutine[Any, Any, T], stopped: Callable[[], bool]) -> T:
    """Return what some work gives; what computes here never waits, and ends as it always did.

    Raises:
        Unwanted: If it was stopped and went on waiting; it has put its things in order.
    """
    task = asyncio.ensure_future(work)
    while not (await asyncio.wait({task}, timeout=_LOOK))[0]:
        if stopped() and not (await asyncio.wait({task}, timeout=_GRACE))[0]:
            task.cancel()
            await asyncio.wait({task})
            if task.cancelled():
                raise Unwanted
    return task.result()
