"""A user who has stopped a reply waits for nobody."""

import asyncio
import time

import pytest

from nightschool.engine.host import wanted
from nightschool.engine.host.wanted import Unwanted, while_wanted


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(wanted, "_LOOK", 0.01)
    monkeypatch.setattr(wanted, "_GRACE", 0.05)


async def test_what_is_wanted_gives_what_it_gives():
    async def work():
        await asyncio.sleep(0.03)
        return "said"

    assert await while_wanted(work(), lambda: False) == "said"


async def test_what_fails_says_why():
    async def work():
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        await while_wanted(work(), lambda: True)


async def test_what_ends_by_itself_once_it_is_stopped_may():
    async def work():
        await asyncio.sleep(0.03)
        return "so far"

    assert await while_wanted(work(), lambda: True) == "so far"


async def test_what_hangs_is_given_up_and_puts_its_things_in_order():
    ended = []

    async def work():
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(True)

    began = time.monotonic()
    with pytest.raises(Unwanted):
        await while_wanted(work(), lambda: True)
    assert ended
    assert time.monotonic() - began < 60
