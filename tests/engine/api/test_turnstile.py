"""One at a time, each key in turn, and nobody waits in a line that is too long."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from nightschool.engine.api.refusal import Refusal
from nightschool.engine.api.turnstile import Turnstile


class Room:
    def __init__(self, turnstile):
        self.turnstile, self.came, self.inside = turnstile, [], 0
        self.doors = {}

    async def visit(self, key, name):
        self.doors[name] = asyncio.Event()
        async with self.turnstile.turn(key):
            self.inside += 1
            assert self.inside == 1
            self.came.append(name)
            try:
                await self.doors[name].wait()
            finally:
                self.inside -= 1

    async def enter(self, key, name):
        task = asyncio.ensure_future(self.visit(key, name))
        await settle()
        return task

    async def leave(self, name):
        self.doors[name].set()
        await settle()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_keys_take_turns_and_of_one_key_who_came_first():
    room = Room(Turnstile())
    for key, name in (("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")):
        await room.enter(key, name)
    for _ in range(6):
        await room.leave(room.came[-1])
    assert room.came == ["a1", "a2", "b1", "c1", "a3", "b2"]


async def test_whoever_stops_waiting_is_passed_over():
    room = Room(Turnstile())
    await room.enter("a", "a1")
    gone = await room.enter("a", "a2")
    await room.enter("b", "b1")
    gone.cancel()
    await settle()
    assert room.turnstile.waiting == 1
    await room.leave("a1")
    assert room.came == ["a1", "b1"]


async def test_one_that_leaves_as_it_is_let_in_hands_the_turn_on():
    room = Room(Turnstile())
    first = await room.enter("a", "a1")
    gone = await room.enter("a", "a2")
    await room.enter("b", "b1")
    room.doors["a1"].set()
    while not first.done():
        await asyncio.sleep(0)
        gone.cancel()
    await settle()
    assert room.came[-1] == "b1"
    await room.leave("b1")
    await room.enter("a", "a3")
    assert room.came[-1] == "a3"


async def test_too_many_are_refused_of_all_and_of_one_key():
    room = Room(Turnstile(most=3, most_of_a_key=2))
    for name in ("a1", "a2", "a3"):
        await room.enter("a", name)
    with pytest.raises(Refusal) as caught:
        await room.visit("a", "a4")
    assert (caught.value.status, caught.value.retry_after) == (429, 5)
    await room.enter("b", "b1")
    with pytest.raises(Refusal):
        await room.visit("c", "c1")
    await room.leave("a1")
    await room.enter("c", "c2")
    assert room.turnstile.waiting == 3


async def test_an_error_inside_hands_the_turn_on():
    turnstile = Turnstile()
    with suppress(ValueError):
        async with turnstile.turn("a"):
            raise ValueError
    async with asyncio.timeout(5), turnstile.turn("a"):
        pass
