"""Where the endpoint listens, which key it makes, and what it tells whom."""

from __future__ import annotations

import asyncio
import io
import socket
from contextlib import asynccontextmanager, suppress

import httpx2
import pytest

from nightschool.engine.api.run import FIRST_KEY, Options, serve
from nightschool.engine.paths import Home
from nightschool.engine.wire.server.allowance import Allowance
from nightschool.engine.wire.server.journal import Journal
from nightschool.engine.wire.server.keys import add_key, list_keys
from nightschool.schemas.errors import EngineError, UsageError
from nightschool.schemas.messages import AnswerTurns
from nightschool.tui.scripted import ScriptedEngine

HELLO = {"model": "science", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@asynccontextmanager
async def listening(home, **options):
    engine, told = ScriptedEngine(), asyncio.get_running_loop().create_future()
    await engine.start()
    work = serve(home, engine, Options(**{"port": 0, **options}), Journal(io.StringIO()), told.set_result)
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield engine, told.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, EngineError):
            await task
        await engine.close()


async def post(at, key, **headers):
    url = at.base_url.replace("0.0.0.0", "127.0.0.1")
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key}", **headers}, timeout=60) as http:
        return await http.post(f"{url}/chat/completions", json=HELLO)


async def test_the_first_start_makes_a_key_and_the_next_one_keeps_it(home):
    async with listening(home) as (engine, at):
        assert (await post(at, at.key)).status_code == 200
        assert engine.asked[-1].memory
        assert [key.name for key in list_keys(home.api_keys)] == [FIRST_KEY]
        first = at.key
    async with listening(home) as (_, at):
        assert at.key == ""
        assert (await post(at, first)).status_code == 200
        assert (await post(at, first, host="evil.example")).status_code == 403


async def test_other_machines_call_it_by_any_name_and_are_not_told_what_is_known_of_the_user(home):
    key = add_key(home.api_keys, "laptop", Allowance())
    async with listening(home, host="0.0.0.0") as (engine, at):
        assert (await post(at, key, host="desk.home.arpa")).status_code == 200
        (asked,) = [request for request in engine.asked if isinstance(request, AnswerTurns)]
        assert not asked.memory
        assert (await post(at, "ns_wrong")).status_code == 401


async def test_others_need_a_key_first_and_none_is_made(home):
    with pytest.raises(UsageError, match="api keys add"):
        async with listening(home, host="0.0.0.0"):
            pass
    assert list_keys(home.api_keys) == []


async def test_a_port_that_is_taken_is_told(home):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EngineError, match="another --port"):
        async with listening(home, port=taken.getsockname()[1]):
            pass
