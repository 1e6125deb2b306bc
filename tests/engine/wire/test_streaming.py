"""Streaming through a real server and a real connection: the same replies, in fewer round trips."""

from __future__ import annotations

import asyncio

import pytest
import torch

from nightschool.engine.base.halves import open_tail
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.chat.pace import Pace
from nightschool.engine.slots.adapter import Adapter, Factors, new_adapter
from nightschool.engine.wire import routes
from nightschool.engine.wire.client import Client
from nightschool.engine.wire.patience import Patience
from nightschool.engine.wire.rows import Writing
from nightschool.plugins.providers.local import LocalProvider
from nightschool.plugins.providers.remote import RemoteProvider
from nightschool.plugins.providers.several import SeveralProviders
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Finish, Role
from nightschool.tests.serving import CUT, running
from nightschool.tests.tiny import save_tiny

TURNS = [Turn(Role.USER, "Hello")]


@pytest.fixture(params=["http", "socket"], autouse=True)
def carrier(request, monkeypatch):
    """What carries the tokens of every test here."""
    monkeypatch.setattr("nightschool.engine.wire.client.has_sockets", lambda: request.param == "socket")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("served") / "tiny-llama")


@pytest.fixture
def server(folder, tmp_path):
    with running(folder, tmp_path) as found:
        yield found


@pytest.fixture
def adapter(server, tmp_path):
    generator = torch.Generator().manual_seed(3)
    factors = {
        place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.15)
        for place, f in new_adapter(open_tail(server.base, CUT), 4).factors.items()
    }
    Adapter(factors).save(tmp_path, "tiny")
    return tmp_path


def elsewhere(server, streams=True):
    """A chat whose trunk is behind the server; Pace never tries one by one."""
    provider = RemoteProvider(server.base.card, Client(server.url), Writing("f32"))
    return Chat(server.base, provider, CUT, pace=Pace(streams=streams, drafts=False))


def here(server):
    return Chat(server.base, LocalProvider(server.base), CUT, pace=Pace(streams=False, drafts=False))


async def ask(chat, turns=TURNS, *, adapter=None, cancelled=lambda: False, conversation=1, **options):
    return await chat.reply(
        conversation,
        turns,
        system="",
        adapter=adapter,
        sampling=Sampling(**{"max_tokens": 30, **options}),
        on_text=lambda text: None,
        cancelled=cancelled,
    )


def test_replies_are_those_of_a_trunk_in_this_process(server, adapter):
    async def play():
        far, near = elsewhere(server), here(server)
        guessed = agreed = 0
        for number, temperature in enumerate((0.0, 0.7, 1.0, 1.5)):
            how = {"adapter": adapter, "temperature": temperature, "seed": number, "conversation": number}
            found, wanted = await ask(far, **how), await ask(near, **how)
            assert (found.text, found.finish) == (wanted.text, wanted.finish)
            assert found.traffic.failures == 0
            turns = [*TURNS, Turn(Role.ASSISTANT, found.text), Turn(Role.USER, "Go on")]
            more, rest = await ask(far, turns, **how), await ask(near, turns, **how)
            assert more.text == rest.text
            guessed, agreed = guessed + found.traffic.guessed, agreed + found.traffic.agreed
        assert 0 < agreed < guessed
        await far.close()

    asyncio.run(play())


def test_the_plain_base_is_asked_seldom(server):
    async def play():
        far = elsewhere(server)
        reply = await ask(far, max_tokens=60)
        assert reply.traffic.agreement == 1.0
        assert reply.traffic.round_trips <= 6
        await far.close()

    asyncio.run(play())


def test_a_cancelled_stream_leaves_a_session_that_goes_on(server, adapter):
    async def play():
        far, near = elsewhere(server), here(server)
        replies = []
        for chat in (far, near):
            looks = iter(range(100))
            first = await ask(chat, adapter=adapter, cancelled=lambda looks=looks: next(looks) >= 6)
            assert first.finish is Finish.CANCELLED
            turns = [*TURNS, Turn(Role.ASSISTANT, first.text), Turn(Role.USER, "Go on")]
            replies.append((first.text, (await ask(chat, turns, adapter=adapter)).text))
        assert replies[0] == replies[1]
        await far.close()

    asyncio.run(play())


def test_a_lost_session_costs_no_word(server, adapter):
    async def play():
        far, near = elsewhere(server), here(server)
        said = []

        def lose():
            said.append(1)
            if len(said) in (8, 15):
                for session in list(server.service.sessions):
                    session.forget() if session.is_idle else server.service.sessions.close(session)
            return False

        found = await ask(far, adapter=adapter, temperature=1.0, seed=4, cancelled=lose)
        wanted = await ask(near, adapter=adapter, temperature=1.0, seed=4)
        assert found.text == wanted.text
        await far.close()

    asyncio.run(play())


def test_where_a_server_ends_in_the_middle_another_one_streams_on(folder, tmp_path, server, adapter):
    async def play():
        with running(folder, tmp_path / "other") as other:
            quick = Patience(tries=2, pause=0.01)
            card, writing = server.base.card, Writing("f32")
            several = [RemoteProvider(card, Client(one.url), writing, quick) for one in (other, server)]
            far = Chat(server.base, SeveralProviders(several), CUT, pace=Pace(drafts=False))
            looks = iter(range(1000))

            def end():
                if next(looks) == 8:
                    other.server.should_exit = other.server.force_exit = True
                    other.thread.join(30)
                return False

            found = await ask(far, adapter=adapter, temperature=1.0, seed=4, cancelled=end)
            wanted = await ask(here(server), adapter=adapter, temperature=1.0, seed=4)
            assert found.text == wanted.text
            assert not other.thread.is_alive()
            assert found.traffic.agreed > 0
            assert 'verb="stream"' in server.service.metrics.text()  # the second one was asked to run ahead, too
            await far.close()

    asyncio.run(play())


def test_a_server_without_the_tail_is_asked_for_each_token(folder, tmp_path):
    async def play():
        with running(folder, tmp_path, streams=False) as plain:
            assert "stream" not in plain.client().describe().verbs
            far = elsewhere(plain)
            found, wanted = await ask(far), await ask(here(plain))
            assert found.text == wanted.text
            assert found.traffic.guessed == 0
            await far.close()

    asyncio.run(play())


def test_a_stream_of_nothing_is_refused(server):
    client = server.client()
    assert "stream" in client.describe().verbs
    session = client.open()
    answer = client.http.post(routes.STREAM.format(session=session.name), content=session.body(0, [1, 2]))
    assert answer.status_code == 400  # a step is no stream
