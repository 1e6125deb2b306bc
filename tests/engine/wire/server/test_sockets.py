"""A WebSocket carries the bytes of HTTP under the rules of HTTP; who is rude, slow or too loud is shown out."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket as plain
import threading
import time
from contextlib import contextmanager

import httpx2
import pytest
import torch
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from nightschool.engine.wire import routes
from nightschool.engine.wire.bodies import decode_record, encode_record, encode_request
from nightschool.engine.wire.frames import Header, Reader, Type, encode
from nightschool.engine.wire.prefix import prefix_hash
from nightschool.engine.wire.rows import decode_guesses, decode_rows
from nightschool.engine.wire.server import line, sockets
from nightschool.engine.wire.server.allowance import Allowance
from nightschool.engine.wire.server.keys import remove_key
from nightschool.engine.wire.server.served import BODY_BYTES
from nightschool.schemas.hsp import Capture, Noise, Problem, Step, StepEnd, Stream
from nightschool.tests.serving import CUT, running, tokens


def wait_until(true, seconds=30.0):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


class Closed(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Wire:
    """A WebSocket byte by byte."""

    def __init__(self, server, key="", **headers):
        host, port = server.url.removeprefix("http://").split(":")
        self.peer = plain.create_connection((host, int(port)), timeout=30)
        nonce = base64.b64encode(os.urandom(16)).decode()
        asked = {
            "Host": "x",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": nonce,
            **({"Authorization": f"Bearer {server.keys.get(key, key)}"} if key else {}),
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in asked.items())
        self.peer.sendall(f"GET {routes.SOCKET} HTTP/1.1\r\n{head}\r\n".encode())
        came = b""
        while b"\r\n\r\n" not in came and (piece := self.peer.recv(65536)):
            came += piece
        head, _, rest = came.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])
        if self.status == 101:
            proof = hashlib.sha1(nonce.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            assert base64.b64encode(proof) in head
        else:
            while piece := self.peer.recv(65536):
                rest += piece
            self.problem = Problem.model_validate_json(rest)
            rest = b""
        self.wire = Connection(ConnectionType.CLIENT)
        self.events = []
        self.wire.receive_data(rest)

    def raw(self, data):
        self.peer.sendall(data)

    def say(self, message):
        self.raw(self.wire.send(BytesMessage(data=message)))

    def event(self):
        while not self.events:
            data = self.peer.recv(65536)
            if not data:
                raise Closed(None)
            self.wire.receive_data(data)
            self.events += self.wire.events()
        return self.events.pop(0)

    def message(self):
        held = b""
        while True:
            event = self.event()
            if isinstance(event, CloseConnection):
                raise Closed(event.code)
            assert isinstance(event, BytesMessage)
            held += event.data
            if event.message_finished:
                return held

    def answer(self):
        """Return the frames of an answer; its messages hold whole frames."""
        frames = []
        while not frames or frames[-1].header.type not in (Type.END, Type.ERROR):
            reader = Reader(lambda header: None)
            frames += reader.feed(self.message())
            reader.close()
        return frames

    def ask(self, message):
        self.say(message)
        return self.answer()

    def refusal(self, message):
        (frame,) = self.ask(message)
        return decode_record(frame, Problem)

    def is_closed(self):
        try:
            self.message()
        except Closed as closed:
            return closed.code
        return False


@contextmanager
def opened(server, key="", **headers):
    wire = Wire(server, key, **headers)
    try:
        yield wire
    finally:
        wire.peer.close()


def step(session, position, new, *, number=None, before=()):
    session.number = number or session.number + 1
    asked = Step(session=session.name, step=session.number, hash=prefix_hash(list(before)), first=position)
    return encode_request(asked, [new], position=position)


def alive(server, key=""):
    return len(server.client(key).open().step(0, [1, 2, 3])) == 3


@pytest.fixture
def wire(server):
    with opened(server) as found:
        assert found.status == 101
        yield found


def test_steps_give_the_bytes_that_http_gives(server, wire):
    client = server.client()
    one, other = client.open(), client.open()
    said = tokens(60)
    for position, new in ((0, said[:40]), (40, [1]), (41, [2, 3]), (20, said[:9])):
        one.step(position, new)  # by HTTP
        before = other.said[:position]
        *rows, end = wire.ask(step(other, position, new, before=before))
        other.said = before + new
        assert decode_record(end, StepEnd) == StepEnd(have=len(other.said), hash=prefix_hash(other.said))
        (expected,) = client.capture([other.said])
        torch.testing.assert_close(
            torch.cat([decode_rows(frame) for frame in rows]), expected[position:], atol=1e-4, rtol=1e-4
        )
    assert one.said == other.said


def test_captures_and_streams_come_over_it_too(server, wire):
    client = server.client()
    batch = [tokens(30, 1), tokens(7, 2)]
    *rows, _ = wire.ask(encode_request(Capture(fingerprint=client.fingerprint, cut=CUT, codec="f32"), batch))
    expected = client.capture(batch)
    for number, whole in enumerate(expected):
        found = torch.cat([decode_rows(frame) for frame in rows if frame.header.sequence == number])
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-4)
    session, new = client.open(), tokens(9)
    asked = Stream(
        session=session.name,
        step=1,
        hash=prefix_hash([]),
        first=0,
        ahead=5,
        most=5,
        noise=Noise(seed=1, temperature=0),
    )
    *frames, end = wire.ask(encode_request(asked, [new]))
    guesses = [token for frame in frames for token in decode_guesses(frame)]
    assert len(guesses) == 5
    assert decode_record(end, StepEnd).hash == prefix_hash(new + guesses)


def test_a_stream_is_corrected_over_a_second_one(server, wire):
    session, new = server.client().open(), tokens(20)
    how = {"session": session.name, "noise": Noise(seed=1, temperature=0)}
    long = Stream(step=1, hash=prefix_hash([]), first=0, ahead=256, most=400, **how)
    wire.say(encode_request(long, [new]))
    wire.message()  # it runs
    with opened(server) as other:
        short = Stream(step=2, hash=prefix_hash(new), first=20, ahead=2, most=2, **how)
        *_, end = other.ask(encode_request(short, [tokens(2, 3)], position=20))
    assert decode_record(end, StepEnd).have == 24
    rest = wire.answer()
    assert rest[-1].header.type is Type.END
    assert len(rest) < 200
    assert wire.refusal(step(session, 999, [1], number=9)).code == "conflict"  # it is still of use


def test_refusals_have_the_codes_of_http_and_leave_it_open(server, wire):
    session = server.client().open()
    wire.ask(step(session, 0, [1, 2, 3]))
    conflict = wire.refusal(step(session, 5, [1]))
    assert (conflict.code, conflict.have, conflict.hash) == ("conflict", 3, prefix_hash([1, 2, 3]))
    session.name = "x" * 32
    assert wire.refusal(step(session, 0, [1])).code == "unknown_session"
    bad = Capture(fingerprint="0" * 64, cut=CUT)
    assert wire.refusal(encode_request(bad, [[1]])).code == "wrong_base"
    session = server.client().open()
    assert len(wire.ask(step(session, 0, [4]))) == 2


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"HSP/",
        b"\0" * 100,
        b'{"verb": "step"}',
        encode(Header(Type.END), b"{}"),
        encode(Header(Type.REQUEST), b"[]"),
        encode(Header(Type.REQUEST), b'{"step": 1}'),
        encode(Header(Type.REQUEST), b'{"verb": "open"}'),
        encode(Header(Type.REQUEST), b'{"verb": ["step"]}'),
        encode(Header(Type.REQUEST), b"[" * 100_000),
        encode_record(Type.REQUEST, Step(session="x" * 16, step=1, hash="0" * 32, first=0)),
        encode_request(Step(step=1, hash=prefix_hash([]), first=0), [[1]]),
    ],
    ids=lambda message: str(len(message)),
)
def test_what_is_no_request_is_told_and_ends_it(server, wire, message):
    assert wire.refusal(message).code == "bad_request"
    assert wire.is_closed() == 1002
    assert alive(server)
    assert not [written for written in server.lines() if written["event"] == "failed"]


def test_text_ends_it(server, wire):
    wire.raw(wire.wire.send(TextMessage(data="hello")))
    assert wire.is_closed() == 1003
    assert alive(server)


def test_a_message_longer_than_a_body_may_be_ends_it(server, wire):
    with pytest.raises((ConnectionError, Closed)):
        for _ in range(2 * BODY_BYTES // 65536):
            wire.raw(wire.wire.send(BytesMessage(data=b"\0" * 65536, message_finished=False)))
        raise Closed(wire.is_closed())
    assert alive(server)


def test_a_length_that_is_forged_is_refused_by_its_header(server, wire):
    session = server.client().open()
    message = bytearray(step(session, 0, [1, 2]))
    message[24:28] = b"\xff\xff\xff\xff"
    assert wire.refusal(bytes(message)).code == "bad_request"


def test_a_message_that_never_ends_is_given_up(server, monkeypatch):
    monkeypatch.setattr(line, "PATIENCE", 0.3)
    whole = Connection(ConnectionType.CLIENT).send(BytesMessage(data=b"HSP/" + b"\0" * 100))
    for part in (whole[:1], whole[:40], whole[: len(whole) // 2]):
        with opened(server) as wire:
            wire.raw(part)
            assert wire.is_closed() is None  # cut off
    with opened(server) as wire:  # pings between its parts do not help
        wire.raw(wire.wire.send(BytesMessage(data=b"HSP/", message_finished=False)))
        stop = threading.Event()

        def ping():
            while not stop.wait(0.05):
                try:
                    wire.raw(wire.wire.send(Ping()))
                except OSError:
                    return

        pinging = threading.Thread(target=ping)
        pinging.start()
        try:
            with pytest.raises((Closed, OSError)):
                while True:
                    assert isinstance(wire.event(), Pong)
        finally:
            stop.set()
            pinging.join(10)
    assert alive(server)


def test_who_says_nothing_for_long_is_said_goodbye(server, monkeypatch):
    monkeypatch.setattr(sockets, "IDLE", 0.2)
    with opened(server) as wire:
        assert wire.is_closed() == 1001


def test_who_speaks_out_of_turn_is_cut_off(server, wire):
    session = server.client().open()
    how = {"session": session.name, "noise": Noise(seed=1, temperature=0)}
    long = Stream(step=1, hash=prefix_hash([]), first=0, ahead=256, most=400, **how)
    wire.say(encode_request(long, [tokens(20)]))
    wire.message()
    wire.say(step(session, 0, [1]))
    with pytest.raises((Closed, OSError)):
        while True:
            wire.message()
    wait_until(lambda: server.service.sessions.busy == 0)
    assert alive(server)


def test_a_client_that_leaves_ends_its_work(server):
    session = server.client().open()
    how = {"session": session.name, "noise": Noise(seed=1, temperature=0)}
    with opened(server) as wire:
        wire.say(encode_request(Stream(step=1, hash=prefix_hash([]), first=0, ahead=256, most=400, **how), [[1, 2]]))
        wire.message()
    wait_until(lambda: server.service.sessions.busy == 0)
    assert len(session.step(0, [1], number=2)) == 1


def test_pages_in_browsers_are_not_let_in(server):
    with opened(server, Origin="http://127.0.0.1:8765") as wire:
        assert (wire.status, wire.problem.code) == (400, "bad_request")


def test_keys_are_looked_at_when_it_opens_and_with_every_request(folders, tmp_path):
    with running(folders("llama"), tmp_path, keys={"one": Allowance(sessions=2), "two": Allowance()}) as server:
        for key in ("", "ns_wrong"):
            with opened(server, key) as wire:
                assert (wire.status, wire.problem.code) == (401, "unauthorised")
        session = server.client("one").open()
        session.step(0, [1, 2, 3])
        with opened(server, "two") as wire:
            found = wire.refusal(step(session, 3, [4], before=[1, 2, 3]))
            assert (found.code, found.have) == ("unknown_session", None)
            remove_key(tmp_path / "keys.json", "two")
            wait_until(lambda: wire.refusal(step(session, 3, [4], before=[1, 2, 3])).code == "unauthorised")
        with opened(server, "one"), opened(server, "one"), opened(server, "one") as third:
            assert (third.status, third.problem.code, third.problem.limit) == (429, "too_many", 2)
        assert alive(server, "one")


def test_what_is_written_down_holds_no_token(server, wire):
    session = server.client().open()
    wire.ask(step(session, 0, [211, 212, 213]))
    wire.refusal(step(session, 3, [9999], before=[211, 212, 213]))
    wire.is_closed()
    wait_until(lambda: any(written.get("status") == 400 for written in server.lines()))
    allowed = {"time", "event", "verb", "key", "status", "tokens", "ms"}
    for written in server.lines():
        assert set(written) <= allowed
    assert "9999" not in server.journal.getvalue()
    verbs = [(written["verb"], written["status"]) for written in server.lines()]
    assert ("socket", 101) in verbs
    assert ("step", 400) in verbs
    assert ("step", 200) not in verbs  # one a token, only where the owner wants it


def test_a_server_that_shuts_down_says_so(server, wire):
    session = server.client().open()
    server.service.stopping = True
    assert wire.refusal(step(session, 0, [1])).code == "shutting_down"
    with opened(server) as late:
        assert (late.status, late.problem.code) == (503, "shutting_down")


def test_a_server_without_them_says_so_and_http_goes_on(server):
    server.service.sockets = False
    assert "socket" not in server.client().describe().verbs
    with opened(server) as wire:
        assert (wire.status, wire.problem.code) == (422, "not_offered")
    assert alive(server)


def test_a_plain_request_for_it_is_told(server):
    response = httpx2.get(f"{server.url}{routes.SOCKET}")
    assert (response.status_code, json.loads(response.content)["code"]) == (404, "bad_request")
