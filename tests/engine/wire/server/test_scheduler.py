"""Passes take all that waits: short steps whole, long prompts in chunks between which others have their turn."""

from __future__ import annotations

import asyncio
import threading

import pytest
import torch

from nightschool.engine.base.lean.stream import LeanCache
from nightschool.engine.wire.server import scheduler as module
from nightschool.engine.wire.server.scheduler import Beginning, Scheduler, Work


class Trunk:
    """Gives rows that tell what they were made of, and keeps what each pass had. A pass waits until it is let go."""

    def __init__(self):
        self.passes, self.gate = [], threading.Semaphore(0)
        self.began = threading.Semaphore(0)

    def new_cache(self):
        return LeanCache(0)

    def extend_together(self, batch, caches):
        self.passes.append([len(tokens) for tokens in batch])
        self.began.release()
        assert self.gate.acquire(timeout=30)
        for tokens, cache in zip(batch, caches, strict=True):
            cache.length += len(tokens)
        return [torch.tensor(tokens, dtype=torch.float32)[:, None] for tokens in batch]

    def let(self, count=1000):
        self.gate.release(count)


@pytest.fixture
async def started(monkeypatch):
    monkeypatch.setattr(Scheduler, "_chunk", lambda self, *, alone: 100)
    trunk, told = Trunk(), []
    scheduler = Scheduler({2: trunk}, "cpu", told.append)
    scheduler.start()
    yield scheduler, trunk, told
    trunk.let()
    await asyncio.to_thread(scheduler.stop)


def work(count, start=0, **more):
    return Work(2, more.pop("beginning", Beginning()), list(range(start, start + count)), **more)


async def rows_of(one):
    found = []
    while (rows := await one.states.get()) is not None:
        found += rows[:, 0].tolist()
    await one.ended.wait()
    return found


async def begun(trunk):
    assert await asyncio.to_thread(trunk.began.acquire, timeout=30)


async def test_steps_that_wait_are_one_pass(started):
    scheduler, trunk, told = started
    first, others = work(3), [work(1 + number, 10 * number) for number in range(6)]
    scheduler.submit(first)
    await begun(trunk)  # the first is alone; the others come while it runs
    for one in others:
        scheduler.submit(one)
    trunk.let()
    assert await rows_of(first) == [0, 1, 2]
    for number, one in enumerate(others):
        assert await rows_of(one) == list(range(10 * number, 10 * number + 1 + number))
    assert trunk.passes == [[3], [1, 2, 3, 4, 5, 6]]
    assert [took.streams for took in told] == [1, 6]


async def test_a_long_prompt_keeps_nobody_waiting(started):
    scheduler, trunk, _ = started
    long, short = work(350), work(2, 7)
    scheduler.submit(long)
    await begun(trunk)
    scheduler.submit(short)
    trunk.let()
    assert await rows_of(short) == [7, 8]
    assert await rows_of(long) == list(range(350))
    assert trunk.passes == [[100], [2, 100], [100], [50]]


async def test_long_prompts_take_turns(started):
    scheduler, trunk, _ = started
    one, two = work(200), work(200, 1000)
    scheduler.submit(one)
    await begun(trunk)
    scheduler.submit(two)
    trunk.let()
    assert await rows_of(one) == list(range(200))
    assert await rows_of(two) == list(range(1000, 1200))
    assert trunk.passes == [[100], [100], [100], [100]]


async def test_captures_come_after_what_somebody_waits_for(started):
    scheduler, trunk, _ = started
    first, capture, step = work(1), work(150, is_urgent=False), work(90, 500)
    scheduler.submit(first)
    await begun(trunk)
    scheduler.submit(capture)
    scheduler.submit(step)
    trunk.let()
    await rows_of(step)
    await rows_of(capture)
    assert trunk.passes == [[1], [90, 10], [100], [40]]


async def test_what_is_given_up_ends_between_passes(started):
    scheduler, trunk, _ = started
    long = work(350)
    scheduler.submit(long)
    await begun(trunk)
    scheduler.cancel(long)
    trunk.let()
    assert await rows_of(long) == list(range(100))
    assert (long.done, long.cache.length, trunk.passes) == (100, 100, [[100]])


async def test_a_window_that_dropped_the_past_has_it_read_again(started, monkeypatch):
    scheduler, trunk, _ = started
    monkeypatch.setattr(module, "crop", lambda cache, length: False)
    trunk.let()
    one = work(3, 50, beginning=Beginning(LeanCache(0, 200), 150, range(1000, 1150)))
    scheduler.submit(one)
    assert await rows_of(one) == [50, 51, 52]
    assert (one.done - one.again, one.cache.length) == (3, 153)
    assert trunk.passes == [[100], [53]]


async def test_an_error_ends_those_of_its_pass_alone(started, monkeypatch):
    scheduler, trunk, _ = started
    monkeypatch.setattr(trunk, "extend_together", lambda batch, caches: 1 / 0)
    bad = work(3)
    scheduler.submit(bad)
    assert await rows_of(bad) == []
    assert isinstance(bad.error, ZeroDivisionError)
    assert bad.cache is None
    monkeypatch.undo()
    trunk.let()
    good = work(3)
    scheduler.submit(good)
    assert len(await rows_of(good)) == 3


async def test_what_else_is_computed_comes_between_two_passes_and_in_their_thread(started):
    scheduler, trunk, _ = started
    scheduler.submit(work(3))
    await begun(trunk)
    called = asyncio.create_task(scheduler.do(threading.current_thread))
    await asyncio.sleep(0)
    assert not called.done()
    trunk.let()
    assert (await called).name == "trunk"


async def test_what_else_is_computed_is_not_kept_waiting_by_a_long_prompt(started):
    scheduler, trunk, _ = started
    long = work(250)
    scheduler.submit(long)
    await begun(trunk)
    called = asyncio.create_task(scheduler.do(lambda: len(trunk.passes)))
    await asyncio.sleep(0)
    trunk.let()
    assert await called == 1
    assert len(await rows_of(long)) == 250


async def test_what_else_is_computed_raises_where_it_was_asked_for(started):
    scheduler, trunk, _ = started
    with pytest.raises(ZeroDivisionError):
        await scheduler.do(lambda: 1 / 0)
    trunk.let()
    good = work(3)
    scheduler.submit(good)
    assert len(await rows_of(good)) == 3


def test_chunks_follow_how_quick_it_is():
    scheduler = Scheduler({2: Trunk()}, "cpu", lambda took: None)
    found = []
    for seconds in (1.0, 0.001, 0.00001):
        scheduler._token_seconds = seconds
        found.append((scheduler._chunk(alone=False), scheduler._chunk(alone=True)))
    assert found == [(32, 32), (100, 300), (512, 512)]
