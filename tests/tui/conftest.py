import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest

from nightschool.tests.tui.market_world import market
from nightschool.tui.app import NightSchool
from nightschool.tui.cli import run
from nightschool.tui.scripted import ScriptedEngine

__all__ = ["market"]  # a fixture that lives beside its world


async def wait_until(condition, seconds=60.0):
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


@pytest.fixture
def call(engine, monkeypatch, tmp_path, capsys):
    """Run a command line; gives exit code, stdout and stderr."""
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path))

    def run_it(*arguments):
        engine._listeners.clear()  # each run is a client of its own
        engine._lost.clear()
        code = run(arguments, lambda home, model: engine)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_it


@pytest.fixture
def document(call):
    """Run a command with --json and read its document."""

    def run_it(*arguments):
        code, out, err = call(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return run_it
