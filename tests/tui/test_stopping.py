"""Work that a person stops comes to its end before the one who waits for it goes."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import pytest

from nightschool.tui.stopping import in_thread, telling_thread


class Lock:
    """A context that must be left in the thread that entered it, once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.inside: int | None = None
        self.left: list[bool] = []

    @contextmanager
    def held(self):
        assert self.go.wait(30)
        self.inside = threading.get_ident()
        try:
            yield "found"
        finally:
            self.left.append(self.inside == threading.get_ident())


async def test_a_context_is_left_in_the_thread_that_entered_it():
    lock = Lock()
    lock.go.set()
    async with in_thread(lock.held()) as found:
        assert (found, lock.left) == ("found", [])
        assert lock.inside != threading.get_ident()
    assert lock.left == [True]


async def test_a_context_is_left_where_entering_it_was_not_waited_for(until):
    lock = Lock()

    async def use():
        async with in_thread(lock.held()):
            raise AssertionError("it was stopped before")

    using = asyncio.ensure_future(use())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    using.cancel()
    asyncio.get_running_loop().call_later(0.05, lock.go.set)
    with pytest.raises(asyncio.CancelledError):
        await using
    assert lock.left == [True]


async def test_an_error_within_leaves_the_context():
    lock = Lock()
    lock.go.set()
    with pytest.raises(ValueError, match="no"):
        async with in_thread(lock.held()):
            raise ValueError("no")
    assert lock.left == [True]


async def test_a_thread_that_tells_is_stopped_when_it_tells(until):
    ended, heard = threading.Event(), list[int]()

    def work(tell):
        try:
            count = 0
            while True:
                tell(count := count + 1)
        finally:
            ended.set()

    working = asyncio.ensure_future(telling_thread(work, heard.append))
    await until(lambda: heard)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert ended.is_set()


async def test_what_a_thread_gives_is_given():
    assert await telling_thread(lambda tell: tell(1) or "done", lambda count: None) == "done"
