"""A real server on a tiny base, in a thread of the test, and a client that speaks HSP/1 byte by byte."""

from __future__ import annotations

import io
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
import torch

from nightschool.engine.base.device import Device
from nightschool.engine.base.library import load
from nightschool.engine.wire import routes
from nightschool.engine.wire.bodies import decode_record, encode_request, parse_record
from nightschool.engine.wire.frames import CONTENT_TYPE, Reader, Type
from nightschool.engine.wire.prefix import prefix_hash
from nightschool.engine.wire.rows import decode_rows
from nightschool.engine.wire.server.journal import Journal
from nightschool.engine.wire.server.keys import KeyRing, add_key
from nightschool.engine.wire.server.listening import uvicorn_config
from nightschool.engine.wire.server.patient import PatientServer
from nightschool.engine.wire.server.run import Options, make_service
from nightschool.engine.wire.server.served import BODY_BYTES
from nightschool.engine.wire.server.web import make_app
from nightschool.schemas.hsp import Capture, Description, Open, Opened, Problem, Step, StepEnd

CUT = 2


def tokens(length, seed=0):
    return torch.randint(0, 256, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


class Refusal(Exception):
    def __init__(self, response):
        self.status, self.headers = response.status_code, response.headers
        self.problem = parse_record(response.content, Problem)
        super().__init__(f"{self.status} {self.problem}")


@dataclass
class Running:
    """A server that runs, and what a test looks at."""

    url: str
    service: object
    server: PatientServer
    base: object
    journal: io.StringIO
    thread: threading.Thread
    keys: dict = field(default_factory=dict)

    def client(self, key=""):
        return Client(self.url, self.base.card.fingerprint, self.keys.get(key, key))

    def lines(self):
        return [json.loads(line) for line in self.journal.getvalue().splitlines()]


class Client:
    """Asks by HTTP, and knows nothing that it was not told."""

    def __init__(self, url, fingerprint, key=""):
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.http = httpx2.Client(base_url=url, headers=headers, timeout=60)
        self.fingerprint = fingerprint

    def checked(self, response):
        if response.is_error:
            raise Refusal(response)
        return response

    def describe(self):
        return parse_record(self.checked(self.http.get(routes.DESCRIBE)).content, Description)

    def open(self, cut=CUT, codec="f32", **fields):
        body = Open(**{"fingerprint": self.fingerprint, "cut": cut, "codec": codec, **fields}).model_dump_json()
        opened = self.checked(self.http.post(routes.SESSIONS, content=body))
        return Session(self, parse_record(opened.content, Opened).session)

    def frames(self, path, body):
        response = self.checked(self.http.post(path, content=body, headers={"content-type": CONTENT_TYPE}))
        reader = Reader(lambda header: None)
        found = list(reader.feed(response.content))
        reader.close()
        return found

    def capture(self, sequences, cut=CUT, codec="f32", **fields):
        asked = Capture(**{"fingerprint": self.fingerprint, "cut": cut, "codec": codec, **fields})
        *rows, end = self.frames(routes.CAPTURE, encode_request(asked, sequences))
        assert end.header.type is Type.END
        parts = {}
        for frame in rows:
            assert frame.header.position == sum(map(len, parts.get(frame.header.sequence, [])))
            parts.setdefault(frame.header.sequence, []).append(decode_rows(frame))
        return [torch.cat(parts[number]) for number in range(len(sequences))]


class Session:
    """One sequence, as a client sees it."""

    def __init__(self, client, name):
        self.client, self.name, self.number = client, name, 0
        self.said = []

    def body(self, position, new, *, first=None, number=None, hash_=None):
        self.number = self.number + 1 if number is None else number
        asked = Step(
            step=self.number,
            hash=hash_ or prefix_hash(self.said[:position]),
            first=position if first is None else first,
        )
        return encode_request(asked, [new], position=position)

    def step(self, position, new, **how):
        """Return the rows of a step and its END."""
        body = self.body(position, new, **how)
        *frames, end = self.client.frames(routes.STEP.format(session=self.name), body)
        assert end.header.type is Type.END, decode_record(end, Problem)
        said = decode_record(end, StepEnd)
        self.said = self.said[:position] + new
        assert (said.have, said.hash) == (len(self.said), prefix_hash(self.said))
        place = how.get("first", position)
        for frame in frames:
            assert frame.header.position == place
            place += frame.header.rows
        return torch.cat([decode_rows(frame) for frame in frames]) if frames else torch.empty(0)

    def close(self):
        assert self.client.http.delete(routes.SESSION.format(session=self.name)).status_code == 204


@contextmanager
def running(folder, tmp_path, *, keys=None, budget=None, **options):
    """Give a server. ``keys``: allowances by name; ``budget``: bytes of keys and values."""
    base = load(folder)
    journal = io.StringIO()
    service = make_service(base, Device("cpu"), Options(**{"cuts": (CUT,), "cache_mb": 64, **options}))
    if budget is not None:
        service.sessions.budget = budget
    path = tmp_path / "keys.json"
    secrets = {name: add_key(path, name, allowance) for name, allowance in (keys or {}).items()}
    app = make_app(service, KeyRing(path, needed=False), Journal(journal))
    ready = threading.Event()
    ports = []
    config = uvicorn_config(app, "127.0.0.1", 0, message_bytes=BODY_BYTES)
    server = PatientServer(config, service, lambda port: (ports.append(port), ready.set()))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield Running(f"http://127.0.0.1:{ports[0]}", service, server, base, journal, thread, secrets)
    finally:
        server.should_exit = True
        thread.join(30)
