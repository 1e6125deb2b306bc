"""A server over vLLM gives what the base gives, runs ahead in bursts, and believes nothing that is handed over."""

from __future__ import annotations

import asyncio
import io
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from nightschool.engine.base.card import check_probe
from nightschool.engine.base.halves import open_tail
from nightschool.engine.base.library import load
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.chat.pace import Pace
from nightschool.engine.wire import routes
from nightschool.engine.wire.bodies import decode_record
from nightschool.engine.wire.client import Client
from nightschool.engine.wire.patience import Patience
from nightschool.engine.wire.prefix import prefix_hash
from nightschool.engine.wire.rows import Writing, decode_guesses, decode_rows
from nightschool.engine.wire.server.journal import Journal
from nightschool.engine.wire.server.keys import KeyRing
from nightschool.engine.wire.server.listening import uvicorn_config
from nightschool.engine.wire.server.metrics import Metrics
from nightschool.engine.wire.server.patient import PatientServer
from nightschool.engine.wire.server.served import BODY_BYTES, Served
from nightschool.engine.wire.server.sessions import Sessions
from nightschool.engine.wire.server.vllm import service as service_module
from nightschool.engine.wire.server.vllm.engine import VllmEngine
from nightschool.engine.wire.server.vllm.mailbox import Mailbox
from nightschool.engine.wire.server.vllm.service import VllmService
from nightschool.engine.wire.server.web import make_app
from nightschool.plugins.providers.local import LocalProvider
from nightschool.plugins.providers.remote import RemoteProvider
from nightschool.schemas.errors import PromptTooLong
from nightschool.schemas.hsp import Compute, StepEnd
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role
from nightschool.tests.engine.wire.server.test_streams import body, with_guesses
from nightschool.tests.engine.wire.server.vllm.fake import FakeVllm
from nightschool.tests.serving import CUT, Refusal, tokens
from nightschool.tests.serving import Client as Plain

CUTS = (0, CUT)


@dataclass
class Running:
    url: str
    base: object
    vllm: FakeVllm
    service: VllmService

    def client(self):
        return Plain(self.url, self.base.card.fingerprint)

    def provider(self, codec="f32", tries=3):
        return RemoteProvider(self.base.card, Client(self.url), Writing(codec), Patience(tries=tries, pause=0.01))


@contextmanager
def serving(base, tmp_path):
    with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short
        rows = Path(folder) / "rows.sock"
        layers = [base.card.layers - cut for cut in CUTS]
        vllm = FakeVllm(base, rows, layers)
        engine = VllmEngine(
            "http://vllm.test", "key", Mailbox(rows), width=base.card.width, layers=layers, transport=vllm
        )
        served = Served(base.card, Compute(engine="vLLM of the tests", numbers="fp32"), CUTS, base.card.context - 1)
        service = VllmService(served, Sessions(1 << 40, dict.fromkeys(CUTS, 0), 60), engine, Metrics(), sockets=True)
        app = make_app(service, KeyRing(tmp_path / "keys.json", needed=False), Journal(io.StringIO()))
        ready, ports = threading.Event(), []
        config = uvicorn_config(app, "127.0.0.1", 0, message_bytes=BODY_BYTES)
        server = PatientServer(config, service, lambda port: (ports.append(port), ready.set()))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        assert ready.wait(60)
        try:
            yield Running(f"http://127.0.0.1:{ports[0]}", base, vllm, service)
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture
def server(folders, tmp_path):
    with serving(load(folders("llama")), tmp_path) as found:
        yield found


@pytest.mark.parametrize("cut", CUTS)
async def test_sessions_go_on_back_and_on(server, cut):
    local, session = LocalProvider(server.base).open(cut), server.provider().open(cut)
    for position, new in ((0, tokens(30, 1)), (30, [1]), (31, [2, 3]), (11, tokens(9, 2)), (20, [4])):
        expected = await local.extend(position, new)
        found = await session.extend(position, new)
        torch.testing.assert_close(found.rows, expected.rows, atol=1e-4, rtol=1e-4)
    await session.close()


async def test_captures_come_in_order(server):
    batch = [tokens(length, length) for length in (30, 1, 17, 100)]
    found = await server.provider().states(batch, CUT)
    for one, expected in zip(found, await LocalProvider(server.base).states(batch, CUT), strict=True):
        torch.testing.assert_close(one.rows, expected.rows, atol=1e-4, rtol=1e-4)


async def test_it_is_the_base_that_it_says(server):
    assert await check_probe(server.base.card, server.provider(), open_tail(server.base, CUT)) < 1e-3
    said = await server.provider().describe()
    assert said.compute.engine == "vLLM of the tests"
    assert any("vLLM" in note for note in said.notes)


def test_only_the_rows_that_are_wanted_are_asked_for(server):
    session = server.client().open()
    session.step(0, tokens(20))
    assert len(session.step(20, [1, 2, 3], first=22)) == 1
    assert server.vllm.asked[-1]["kv_transfer_params"]["first"] == 22
    count = len(server.vllm.asked)
    assert len(session.step(23, [4], first=24)) == 0
    assert len(server.vllm.asked) == count  # nothing is computed of which nothing is wanted


def stream(session, position, new, **fields):
    *frames, end = session.client.frames(
        routes.STREAM.format(session=session.name), body(session, position, new, **fields)
    )
    guesses = [token for frame in frames for token in decode_guesses(frame)]
    said = decode_record(end, StepEnd)
    session.said = with_guesses(session.said[:position] + new, frames)[: said.have]
    assert said.hash == prefix_hash(session.said)
    return frames, guesses


@pytest.mark.parametrize("ahead", [1, 2, 3, 5, 6, 7, 20])
def test_guesses_are_what_the_plain_base_says_and_each_row_is_followed_by_its_own(server, ahead):
    session, new = server.client().open(), tokens(9)
    frames, guesses = stream(session, 0, new, ahead=ahead)
    with torch.no_grad():
        whole = server.base.model.generate(torch.tensor([new]), max_new_tokens=ahead, do_sample=False, eos_token_id=999)
    assert guesses == whole[0, len(new) :].tolist()
    rows = torch.cat([decode_rows(frame) for frame in frames])
    (again,) = server.client().capture([new + guesses])
    assert len(rows) == len(new) + ahead
    torch.testing.assert_close(rows, again, atol=1e-4, rtol=1e-4)
    assert [bool(decode_guesses(frame)) for frame in frames][-(ahead + 1) :] == [True] * ahead + [False]
    assert session.said == new + guesses
    session.step(len(session.said), [1])


@pytest.mark.parametrize("first", [0, 8, 9, 11])
def test_guesses_of_the_client_follow_the_rows_before_them(server, first):
    session, sure, ours = server.client().open(), tokens(9), tokens(3, seed=5)
    frames, guesses = stream(session, 0, sure + ours, guessed=3, ahead=4, first=first)
    with torch.no_grad():
        whole = server.base.model.generate(
            torch.tensor([sure + ours]), max_new_tokens=4, do_sample=False, eos_token_id=999
        )
    said = whole[0].tolist()
    assert guesses == said[max(9, first + 1) :]
    rows = torch.cat([decode_rows(frame) for frame in frames])
    (again,) = server.client().capture([said])
    torch.testing.assert_close(rows, again[first:], atol=1e-4, rtol=1e-4)


def test_bursts_grow(server):
    stream(server.client().open(), 0, tokens(9), ahead=40)
    assert [asked["max_tokens"] - 1 for asked in server.vllm.asked] == [2, 4, 8, 16, 6]


def test_an_end_is_kept_to(server):
    session = server.client().open()
    _, guesses = stream(session, 0, tokens(9), ahead=8)
    third = guesses[2]
    assert third not in guesses[:2]
    frames, ended = stream(session, 0, tokens(9), ahead=8, ends=[third])
    assert ended == guesses[:3]
    assert decode_guesses(frames[-1]) == [third]
    assert len(session.said) == 9 + 2


def test_the_context_ends_a_stream_and_a_prompt(server):
    context = server.base.card.context - 1
    session = server.client().open()
    stream(session, 0, tokens(context - 2), ahead=50)
    assert len(session.said) == context
    with pytest.raises(Refusal) as refused:
        session.step(0, tokens(context + 1))
    assert (refused.value.problem.code, refused.value.problem.limit) == ("too_long", context)


async def test_a_prompt_that_is_too_long_is_told_in_the_words_of_the_engine(server):
    with pytest.raises(PromptTooLong):
        await server.provider().open(CUT).extend(0, tokens(server.base.card.context))


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_chat_says_what_it_says_here(server, temperature):
    sampling = Sampling(max_tokens=40, temperature=temperature, seed=5)

    def said(provider, streams):
        chat = Chat(server.base, provider, CUT, pace=Pace(streams=streams, drafts=False))
        how = {"system": "", "adapter": None, "sampling": sampling}
        reply = chat.reply(1, [Turn(Role.USER, "Hello")], on_text=lambda text: None, cancelled=lambda: False, **how)
        return asyncio.run(reply), chat.traffic

    there, traffic = said(server.provider(), True)
    here, _ = said(LocalProvider(server.base), False)
    assert there == here
    if not temperature:
        assert traffic.round_trips < here.tokens / 3


def test_sessions_of_one_key_share_what_was_read_and_those_of_others_do_not(server):
    session = server.client().open()
    session.step(0, tokens(9))
    salt = server.vllm.asked[-1]["cache_salt"]
    assert len(salt) == 32
    server.client().open().step(0, tokens(9))
    assert server.vllm.asked[-1]["cache_salt"] == salt


SPOILT = {
    "fewer rows": lambda head, data: ({**head, "rows": head["rows"] - 1, "bytes": len(data) - 128}, data[:-128]),
    "more rows": lambda head, data: ({**head, "rows": 10_000, "bytes": 10_000 * 128}, data),
    "another width": lambda head, data: ({**head, "width": 64}, data),
    "another kind": lambda head, data: ({**head, "dtype": "int64"}, data),
    "a cut": lambda head, data: (head, data[:-1]),
    "no JSON": lambda head, data: (b"hello\n", b""),
    "a line without end": lambda head, data: (b"x" * 100_000, b""),
    "a name that nobody waits for": lambda head, data: ({**head, "name": "another"}, data),
    "nothing": lambda head, data: None,
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_what_is_handed_over_wrong_is_refused_and_the_next_one_is_right(server, spoil, monkeypatch):
    monkeypatch.setattr("nightschool.engine.wire.server.vllm.engine._HANDED_OVER", 0.5)
    session = server.client().open()
    session.step(0, [1, 2, 3])
    server.vllm.spoil = spoil
    with pytest.raises(Refusal) as refused:
        session.step(3, [4, 5])
    assert refused.value.problem.code == "internal"
    assert len(session.step(3, [4, 5])) == 2


def test_a_vllm_that_is_full_or_gone_is_told(server):
    session = server.client().open()
    for status, code in ((429, "too_many"), (503, "cache_full"), (400, "internal")):
        server.vllm.status = status
        with pytest.raises(Refusal) as refused:
            session.step(0, [1])
        assert refused.value.problem.code in (code, "cache_full")
    server.vllm.status = 200
    assert len(session.step(0, [1])) == 1


def test_another_step_waits_its_turn_and_a_newer_one_ends_a_stream(server, monkeypatch):
    monkeypatch.setattr(service_module, "LONGEST_BURST", 2)
    session = server.client().open()
    stream(session, 0, tokens(9), ahead=2)
    assert server.service.sessions.busy == 0
    assert len(session.step(5, [1, 2])) == 2
