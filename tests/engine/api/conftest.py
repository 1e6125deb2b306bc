"""The endpoint over the scripted engine, in a thread of the test, and OpenAI's own client."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time

import httpx2
import openai
import pytest

from nightschool.engine.api.service import Service
from nightschool.engine.api.web import make_app
from nightschool.engine.wire.server.allowance import Allowance
from nightschool.engine.wire.server.journal import Journal
from nightschool.engine.wire.server.keys import KeyRing, add_key
from nightschool.engine.wire.server.listening import uvicorn_config
from nightschool.engine.wire.server.patient import PatientServer
from nightschool.tui.scripted import ScriptedEngine

HOSTS = ("localhost", "127.0.0.1")


class Running:
    """An endpoint that runs, and what a test looks at."""

    def __init__(self, folder):
        self.engine = ScriptedEngine()
        self.keys = {name: add_key(folder / "keys.json", name, Allowance()) for name in ("editor", "guest")}
        self.journal = io.StringIO()
        journal = Journal(self.journal)
        self.service = Service(self.engine, memory=True, lost=lambda: journal.write("engine_lost"))
        app = make_app(self.service, KeyRing(folder / "keys.json", needed=True), journal, HOSTS)
        self._ready, self._ports = threading.Event(), []
        self.server = PatientServer(uvicorn_config(app, "127.0.0.1", 0), self.service, self._listens)
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.thread.start()
        assert self._ready.wait(60)
        self.url = f"http://127.0.0.1:{self._ports[0]}/v1"

    def _listens(self, port):
        self._ports.append(port)
        self._ready.set()

    async def _serve(self):
        self.loop = asyncio.get_running_loop()
        await self.engine.start()
        await self.server.serve()

    def client(self, key="editor", kind=openai.OpenAI):
        return kind(base_url=self.url, api_key=self.keys.get(key, key), max_retries=0, timeout=60)

    def http(self, key="editor"):
        headers = {"authorization": f"Bearer {self.keys[key]}"} if key else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=60)

    def asked(self, kind):
        return [request for request in self.engine.asked if isinstance(request, kind)]

    def lines(self):
        return [json.loads(line) for line in self.journal.getvalue().splitlines()]

    def in_loop(self, call):
        self.loop.call_soon_threadsafe(call)

    def close(self):
        self.server.should_exit = True
        self.thread.join(30)


@pytest.fixture
def api(tmp_path):
    running = Running(tmp_path)
    yield running
    running.engine.hold.set()
    running.close()


@pytest.fixture
def client(api):
    return api.client()


@pytest.fixture
def until():
    def wait_until(true, seconds=30.0):
        ends = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < ends, "it never happened"
            time.sleep(0.01)
        return found

    return wait_until
