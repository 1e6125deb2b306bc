"""Work that a person may stop: what was begun is brought to an end before the one who waits for it goes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, TypeVar

from ..schemas.errors import NightSchoolError
from ..schemas.messages import CancelStudy, Request

R = TypeVar("R")
T = TypeVar("T")

Ask = Callable[[Request[Any]], Awaitable[Any]]

CANCEL_SECONDS = 15.0
"""How long a stopped study may take to end."""


class Stopped(Exception):
    """Raised in a thread whose work is not wanted any more."""


async def until_stopped(ask: Ask, request: Request[R], give: Callable[[R], None]) -> R:
    """Ask for something that studies; where the user stops it, ``give`` what it came to, and end as stopped."""
    work = asyncio.ensure_future(ask(request))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        with contextlib.suppress(NightSchoolError):
            await asyncio.wait_for(ask(CancelStudy()), CANCEL_SECONDS)
        await asyncio.wait({work}, timeout=CANCEL_SECONDS)
        if work.done() and not work.cancelled() and work.exception() is None:
            give(work.result())
        work.cancel()
        raise


async def telling_thread(work: Callable[[Callable[[int], None]], T], tell: Callable[[int], None]) -> T:
    """Do work in a thread that tells how far it is; where the user stops it, it ends when it tells the next time.

    Args:
        work: Given what it must call now and then.
        tell: Called in the loop with the same.
    """
    loop, stopped = asyncio.get_running_loop(), threading.Event()

    def told(count: int) -> None:
        if stopped.is_set():
            raise Stopped
        loop.call_soon_threadsafe(tell, count)

    running = asyncio.ensure_future(asyncio.to_thread(work, told))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait({running})
        if not running.cancelled():
            running.exception()  # so that nobody complains that it was never looked at
        raise


@asynccontextmanager
async def in_thread(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a context in one thread: a lock file belongs to the thread that took it."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:
        entering = loop.run_in_executor(thread, manager.__enter__)
        try:
            found = await asyncio.shield(entering)
        except asyncio.CancelledError:
            await asyncio.wait({entering})
            if entering.exception() is None:
                await loop.run_in_executor(thread, manager.__exit__, None, None, None)
            raise
        try:
            yield found
        finally:
            await asyncio.shield(loop.run_in_executor(thread, manager.__exit__, None, None, None))
