"""A service over real records, slots and plugins, with a scripted model in place of the real one; and real engines."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from types import SimpleNamespace

import pytest

from nightschool.engine.base.numbers import Numbers
from nightschool.engine.chat.chat import Reply
from nightschool.engine.chat.prompt import Turn
from nightschool.engine.chat.traffic import Traffic
from nightschool.engine.host.client import EngineClient
from nightschool.engine.host.model_thread import Model
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.host.rooms import Rooms
from nightschool.engine.host.service import Service
from nightschool.engine.paths import Home
from nightschool.engine.records import Records
from nightschool.engine.slots.store import SlotStore
from nightschool.engine.study.runner import Progress, StudyResult
from nightschool.schemas.cards import BaseCard, Probe
from nightschool.schemas.messages import CreateConversation, EngineStatus, SendMessage
from nightschool.schemas.records import Finish, StudyReport, StudyState

CARD = BaseCard(
    fingerprint="ab" * 32,
    name="scripted",
    family="llama",
    layers=4,
    width=8,
    vocabulary=260,
    context=2000,
    config_hash="",
    tokenizer_hash="",
    template_hash="",
    tensors_hash="",
    end_of_turn=[0],
    probe=Probe(tokens=[], top_ids=[], top_logprobs=[]),
)


class ByteTokenizer:
    """One token a byte, turns one after the other."""

    chat_template = "plain"

    def apply_chat_template(self, messages, **_):
        return "".join(f"{m['role']}: {m['content']}\n" for m in messages)

    def __call__(self, text, **_):
        return {"input_ids": list(text.encode())}


class ScriptedChat:
    """Answers word by word what ``answer`` says; ``gate`` holds it after the first word, ``error`` breaks it."""

    def __init__(self):
        self.answer = "It is Paris."
        self.gate = asyncio.Event()
        self.gate.set()
        self.error = None
        self.error_after = 0
        self.asked = []
        self.forgotten = []
        self.traffic = Traffic()

    async def reply(self, conversation, turns, *, system, adapter, sampling, on_text, cancelled, through=None):
        asked = {"turns": list(turns), "system": system, "adapter": adapter, "sampling": sampling}
        self.asked.append(SimpleNamespace(**asked, through=through))
        said = ""
        for place, word in enumerate(self.answer.split(" ")):
            if self.error is not None and place == self.error_after:
                raise self.error
            piece = f" {word}" if said else word
            on_text(piece)
            said += piece
            while not self.gate.is_set() and not cancelled():
                await asyncio.sleep(0.001)
            if cancelled():
                return Reply(said, Finish.CANCELLED, place + 1, traffic=self.traffic)
        return Reply(said, Finish.STOP, len(self.answer.split(" ")), asked=20, held=8, traffic=self.traffic)

    def forget(self, conversation):
        self.forgotten.append(conversation)


class ScriptedModel:
    """Stands in for the model thread; ``failure`` is why there is no model."""

    def __init__(self, folder):
        self.chat = ScriptedChat()
        base = SimpleNamespace(card=CARD, tokenizer=ByteTokenizer(), folder=folder, numbers=Numbers.FP32, upper=None)
        speed = SimpleNamespace(one=Numbers.FP32, many=Numbers.FP32)
        self.loaded = Model(base, None, self.chat, 1, speed)
        self.awake = asyncio.Event()
        self.awake.set()
        self.failure = None
        self.spec = ""
        self.woken = 0

    @property
    def ready(self):
        return self.awake.is_set() and self.failure is None

    async def model(self):
        await self.awake.wait()
        if self.failure is not None:
            raise self.failure
        return self.loaded

    async def do(self, work):
        result = await work(await self.model())
        await asyncio.sleep(0)  # what is told from the model thread arrives before the result
        return result

    def wake(self):
        self.woken += 1

    async def forget(self, conversation):
        if self.ready:
            self.chat.forget(conversation)

    async def close(self):
        pass


class Desk:
    """One user at a service: what is asked, and what was told."""

    def __init__(self, home):
        self.home = home
        self.told = []
        self.everybody = []
        self.status = EngineStatus(state="ready", base=CARD)
        self.model = ScriptedModel(home.models / "scripted")
        store = SlotStore(home.slots)
        store.ensure_defaults()
        records = Records(home.database)
        self.rooms = Rooms(
            home, records, store, PluginHost.load(False), self.model, self.everybody.append, lambda: self.status
        )
        self.service = Service(self.rooms)
        self.service.recover()
        self.chat = self.model.chat

    async def ask(self, request):
        return await self.service.answer(request, self.told.append)

    async def conversation(self, slot="science"):
        return (await self.ask(CreateConversation(slot=slot))).id

    async def say(self, text, conversation):
        return await self.ask(SendMessage(conversation=conversation, text=text))

    def events(self, kind):
        return [event for event in (*self.told, *self.everybody) if event.kind == kind]

    @staticmethod
    def turns(*texts):
        return [Turn(role, text) for role, text in texts]


async def until(true, seconds=60.0):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.005)


@pytest.fixture
def wait_until():
    return until


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
async def desk(home):
    """A service at work; ``desk.again()`` is the next engine on the same profile."""
    desk = Desk(home)
    yield desk
    desk.rooms.records.close()


@pytest.fixture
def new_desk(home):
    return lambda: Desk(home)


@pytest.fixture
async def engines(home):
    """Start engine processes on one profile; they are ended with the test."""
    started = []

    def make(model="", script=None):
        argv = None if script is None else [sys.executable, "-c", script]
        client = EngineClient(home, model, argv)
        started.append(client)
        return client

    yield make
    for client in started:
        await client.close()


class ScriptedStudy:
    """Stands in for the study's process."""

    def __init__(self):
        self.state = StudyState.ACCEPTED
        self.reason = "Every gate passed."
        self.left_out = {}
        self.jobs = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, job, tell, pace):
        self.jobs.append(job)
        self.pace = pace
        tell(Progress(stage="training", fraction=0.5, step=1, steps=2))
        await self.hold.wait()
        report = StudyReport(accepted=self.state is StudyState.ACCEPTED, reason=self.reason)
        candidate = None
        if self.state is StudyState.ACCEPTED:
            candidate = job.folder / "candidate"
            candidate.mkdir(parents=True)
            (candidate / "adapter_model.safetensors").write_bytes(b"weights %d" % job.study)
            (candidate / "adapter_config.json").write_text(json.dumps({}))
        return StudyResult(
            state=self.state, candidate=candidate, report=report, reason=self.reason, left_out=self.left_out
        )


@pytest.fixture
def runner(monkeypatch):
    """Studies that end as told."""
    scripted = ScriptedStudy()
    monkeypatch.setattr("nightschool.engine.study.runner.run_study", scripted)
    return scripted
