"""Providers of strangers in use: whatever they do, a reply ends with one sentence, and who is to blame is known."""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.base.provider import Counting, Distant, Guess, Keepable, LastRows, Streaming
from nightschool.engine.host.plugins import STRIKES, PluginHost
from nightschool.engine.plug import guarded_provider
from nightschool.engine.plug.manage import show_plugin
from nightschool.engine.settings import ServerSettings
from nightschool.schemas.errors import PluginError, Unreachable
from nightschool.schemas.messages import Sampling
from nightschool.schemas.plugins import PluginState
from nightschool.tests.engine.plug.animals import HEAD

PROVIDER = (
    HEAD
    + """
import asyncio, torch
from types import SimpleNamespace
from nightschool.engine.base.provider import Frame, States
from nightschool.engine.base.supply import FinalKind
from nightschool.schemas.errors import Unreachable

class Session:
    length = 0

    async def extend(self, position, tokens):
        await asyncio.sleep(0)
        return States(position, torch.zeros(len(tokens), 32))

    async def close(self):
        pass

class Rich(Session):
    distant = True

    async def last(self, position, tokens, count):
        return States(position + len(tokens) - count, torch.zeros(count, 32))

    async def stream(self, position, tokens, guess):
        yield Frame(position, tuple(tokens), torch.zeros(len(tokens), 32), 7)
        yield Frame(position + len(tokens), (7,), torch.zeros(1, 32), None)

    def held(self):
        return {}

    def restore(self, tokens, held):
        pass

class Provider:
    moved = 5

    def __init__(self, base):
        self.base = base.card

    async def states(self, batch, cut):
        return [States(0, torch.zeros(len(tokens), 32)) for tokens in batch]

    def open(self, cut):
        return Session()

async def examine(base, server, cut):
    return 1 / 0

@hookimpl
def nightschool_providers():
    return [FinalKind(name="animal", open=lambda base, server: Provider(base), examine=examine)]
"""
)
GUESS = Guess(Sampling(), 1, 4)


@pytest.fixture
def opened(shelf, tiny_base):
    """Open the provider of a plugin that is made of some code."""

    def make(code=PROVIDER):
        shelf.add("animal", code)
        kind = PluginHost.load(home=shelf.home).named("nightschool_providers", "animal")
        return kind, kind.open(tiny_base, ServerSettings(url="http://127.0.0.1:1", kind="animal"))

    return make


def row(shelf):
    return show_plugin(shelf.home, "animal")


async def test_a_good_one_does_what_it_does_alone(opened):
    _, provider = opened()
    session = provider.open(0)
    assert (await session.extend(3, [1, 2])).rows.shape == (2, 32)
    assert [len(one.rows) for one in await provider.states([[1], [1, 2]], 0)] == [1, 2]
    assert session.length == 0
    assert isinstance(provider, Counting)
    assert provider.moved == 5
    await session.close()
    for optional in (LastRows, Streaming, Distant, Keepable):
        assert not isinstance(session, optional)


async def test_what_is_optional_is_there_where_it_was(opened):
    _, provider = opened(PROVIDER.replace("return Session()", "return Rich()"))
    session = provider.open(0)
    for optional in (LastRows, Streaming, Distant, Keepable):
        assert isinstance(session, optional)
    assert session.distant
    assert len((await session.last(0, [1, 2, 3], 2)).rows) == 2
    assert [frame.tokens async for frame in session.stream(0, [1, 2], GUESS)] == [(1, 2), (7,)]


@pytest.mark.parametrize(
    ("extend", "fault"),
    [
        ("return 1 / 0", "extend() failed with ZeroDivisionError"),
        ("raise SystemExit(3)", "extend() failed with SystemExit"),
        ("return None", "extend() gives NoneType where states"),
        ("return States(position, torch.zeros(1, 32))", "of the shape (1, 32) where (2, 32) is wanted"),
        ("return States(position, torch.zeros(2, 31))", "of the shape (2, 31)"),
        ("return States(0, torch.zeros(2, 32))", "from position 0 on where 3 is wanted"),
        ("return States(position, torch.full((2, 32), float('nan')))", "not finite numbers"),
        ("return States(position, torch.zeros(2, 32, dtype=torch.int32))", "floating-point"),
        ("await asyncio.sleep(60)", "extend() took longer than 0.2 s"),
    ],
)
async def test_a_fault_is_blamed_and_the_third_turns_it_off(opened, shelf, monkeypatch, extend, fault):
    monkeypatch.setattr(guarded_provider, "SECONDS", 0.2)
    _, provider = opened(PROVIDER.replace("await asyncio.sleep(0)", extend, 1))
    session = provider.open(0)
    for strike in range(1, STRIKES + 1):
        with pytest.raises(PluginError) as raised:
            await session.extend(3, [1, 2])
        assert fault in str(raised.value)
        assert "providers use local" in str(raised.value)
        assert row(shelf).strikes == strike
    assert row(shelf).state is PluginState.BLOCKED
    with pytest.raises(PluginError, match="turned off"):
        await session.extend(3, [1, 2])
    await session.close()


async def test_what_is_raised_on_purpose_comes_through_unblamed(opened, shelf):
    _, provider = opened(PROVIDER.replace("await asyncio.sleep(0)", "raise Unreachable('It is away.')"))
    with pytest.raises(Unreachable, match="away"):
        await provider.open(0).extend(0, [1])
    assert row(shelf).strikes == 0


async def test_a_frame_that_is_wrong_ends_its_stream(opened, shelf):
    code = PROVIDER.replace("return Session()", "return Rich()").replace("position + len(tokens), (7,)", "0, (7,)")
    _, provider = opened(code)
    frames = provider.open(0).stream(0, [1, 2], GUESS)
    assert torch.equal((await anext(frames)).rows, torch.zeros(2, 32))
    with pytest.raises(PluginError, match="from position 0 on where 2 is wanted"):
        await anext(frames)
    assert row(shelf).strikes == 1


async def test_an_examination_that_fails_is_blamed(opened, shelf, tiny_base):
    kind, _ = opened()
    with pytest.raises(PluginError, match=r"examine\(\) failed with ZeroDivisionError"):
        await kind.examine(tiny_base, ServerSettings(url="http://127.0.0.1:1", kind="animal"), None)
    assert row(shelf).strikes == 1


def test_what_is_no_provider_is_refused_when_it_is_opened(opened):
    with pytest.raises(PluginError, match=r"open\(\) returned int, which is no provider"):
        opened(PROVIDER.replace("lambda base, server: Provider(base)", "lambda base, server: 3"))
