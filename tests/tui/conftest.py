import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from nightschool.tui.app import NightSchool
from nightschool.tui.scripted import ScriptedEngine


async def wait_until(condition, seconds=10.0):
    """Poll until the condition holds; what it returned is returned."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.01)


@pytest.fixture
def until():
    return wait_until


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def opened(engine):
    """Open the app over the scripted engine and wait until it is awake."""

    @asynccontextmanager
    async def open_app(size=(120, 36), ready=True, **options):
        app = NightSchool(engine, **options)
        async with app.run_test(size=size, notifications=True) as pilot:
            if ready:
                await wait_until(lambda: app.session.ready and app.session.slots)
            yield app, pilot

    return open_app
