"""A server of HSP/1 in a transport: does what docs/protocol.md says over a provider of this process, or fails as told.

Each of ``peer.faults`` changes one answer of its verb, in order.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets

import httpcore2
import httpx2
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage

from nightschool.engine.wire.bodies import decode_record, encode_record
from nightschool.engine.wire.codecs import CODECS
from nightschool.engine.wire.frames import Header, Reader, Type, encode
from nightschool.engine.wire.prefix import Prefix
from nightschool.engine.wire.rows import Writing, encode_rows
from nightschool.engine.wire.tokens import decode_tokens
from nightschool.schemas import hsp

KEY = "a-key-of-the-tests"


class Stream(httpx2.AsyncByteStream):
    """A body in pieces; an exception among them is raised there."""

    def __init__(self, pieces):
        self.pieces = pieces

    async def __aiter__(self):
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


class Peer(httpx2.AsyncBaseTransport):
    sockets = False  # whether it offers WebSockets

    def __init__(self, provider, *, cuts=(0, 1, 2), step_tokens=64, capture_tokens=64, zstd=False):
        self.provider = provider
        self.cuts = list(cuts)
        self.limits = hsp.Limits(
            step_tokens=step_tokens,
            capture_tokens=capture_tokens,
            capture_sequences=4,
            body_bytes=1 << 20,
            sessions=8,
            idle_seconds=60,
        )
        self.zstd = zstd
        self.sessions = {}
        self.faults = []
        self.asked = []  # (verb, position, tokens, rows wanted)
        self.sent_bytes = 0
        self.identity = None  # to lie about
        self.opened = self.by_socket = 0  # WebSockets, and what was asked over them

    def describe(self):
        card = self.provider.base.model_dump()
        base = {name: card[name] for name in hsp.BaseIdentity.model_fields if name in card}
        return hsp.Description(
            base=self.identity or hsp.BaseIdentity(**base),
            compute=hsp.Compute(engine="peer of the tests", numbers="fp32"),
            cuts=self.cuts,
            codecs=[codec.info() for codec in CODECS],
            zstd=self.zstd,
            verbs=["step", "capture", *(["socket"] if self.sockets else [])],
            limits=self.limits,
        )

    async def handle_async_request(self, request):
        body = b"".join([part async for part in request.stream])
        self.sent_bytes += len(body)
        verb = self._verb(request)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return self.spoilt(verb, problem(hsp.Code.UNAUTHORISED))
        return await self.answer(verb, request, body)

    async def answer(self, verb, request, body):
        return self.spoilt(verb, await getattr(self, f"_{verb}")(request, body))

    def spoilt(self, verb, response):
        for fault in self.faults:
            if fault.verb in (verb, "any"):
                self.faults.remove(fault)
                return fault.answer(response, self)
        return response

    def _verb(self, request):
        last = request.url.path.rsplit("/", 1)[-1]
        if request.method == "DELETE":
            return "close"
        return {"sessions": "open"}.get(last, last)

    async def _socket(self, request, body):
        self.opened += 1
        key = request.headers["sec-websocket-key"].encode()
        proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        wire = {"network_stream": Wire(self)}
        return httpx2.Response(101, headers={"sec-websocket-accept": proof}, extensions=wire, stream=Stream([]))

    async def _describe(self, request, body):
        return answered(200, self.describe().model_dump_json())

    async def _open(self, request, body):
        asked = hsp.Open.model_validate_json(body)
        self.asked.append(("open", 0, 0, 0))
        if asked.fingerprint != self.describe().base.fingerprint:
            return problem(hsp.Code.WRONG_BASE)
        name = secrets.token_hex(16)
        session = self.provider.open(asked.cut)
        self.sessions[name] = [session, Prefix(), Writing(asked.codec, asked.zstd), 0, None]
        return answered(201, hsp.Opened(session=name, idle_seconds=60).model_dump_json())

    async def _step(self, request, body):
        name = request.url.path.split("/")[-2] if request else session_of(body)
        if name not in self.sessions:
            return problem(hsp.Code.UNKNOWN_SESSION)
        session, prefix, writing, last, kept = self.sessions[name]
        head, tail = Reader(lambda header: None).feed(body)
        step, tokens, position = decode_record(head, hsp.Step), decode_tokens(tail), tail.header.position
        self.asked.append(("step", position, len(tokens), position + len(tokens) - step.first))
        if len(tokens) > self.limits.step_tokens:
            return problem(hsp.Code.TOO_LARGE, limit=self.limits.step_tokens)
        if step.step < last:
            return problem(hsp.Code.STALE)
        if step.step == last:
            return framed(kept)
        if position > len(prefix) or prefix.hash(position) != step.hash:
            return problem(hsp.Code.CONFLICT, have=len(prefix), hash=prefix.hash())
        rows = (await session.extend(position, tokens)).rows
        prefix.truncate(position)
        prefix.extend(tokens)
        pieces = list(encode_rows(rows[step.first - position :], step.first, writing))
        end = hsp.StepEnd(have=len(prefix), hash=prefix.hash())
        pieces.append(encode_record(Type.END, end))
        self.sessions[name][3:] = [step.step, pieces]
        return framed(pieces)

    async def _capture(self, request, body):
        head, *tails = Reader(lambda header: None).feed(body)
        capture = decode_record(head, hsp.Capture)
        batch = [decode_tokens(tail) for tail in tails]
        self.asked.append(("capture", len(batch), sum(map(len, batch)), 0))
        if sum(map(len, batch)) > self.limits.capture_tokens or len(batch) > self.limits.capture_sequences:
            return problem(hsp.Code.TOO_LARGE)
        pieces = []
        for number, states in reversed(list(enumerate(await self.provider.states(batch, capture.cut)))):
            pieces += encode_rows(states.rows, 0, Writing(capture.codec, capture.zstd), sequence=number)
        end = hsp.CaptureEnd(sequences=len(batch), rows=sum(map(len, batch)))
        return framed([*pieces, encode_record(Type.END, end)])

    async def _close(self, request, body):
        held = self.sessions.pop(request.url.path.split("/")[-1], None)
        if held:
            await held[0].close()
        return answered(204, "")


class Wire:
    """The network stream of a WebSocket to a peer."""

    def __init__(self, peer):
        self.peer = peer
        self.connection = Connection(ConnectionType.SERVER)
        self.asked = b""
        self.coming = None
        self.left = 0  # pieces of an answer that nobody has read

    def get_extra_info(self, info):
        return info == "is_readable" and self.left > 0

    async def write(self, data, timeout=None):
        self.connection.receive_data(data)
        for event in self.connection.events():
            assert isinstance(event, BytesMessage)
            self.asked += event.data
            if event.message_finished:
                self.peer.sent_bytes += len(self.asked)
                self.peer.by_socket += 1
                self.coming, self.asked = self.answers(self.asked), b""

    async def read(self, most, timeout=None):
        try:
            return await anext(self.coming)
        except StopAsyncIteration:
            raise httpcore2.ReadTimeout("nothing comes") from None
        except httpx2.RequestError as error:
            raise httpcore2.ReadError(str(error)) from error

    async def answers(self, message):
        """Give the messages that an answer becomes."""
        verb = record_of(message)["verb"]
        response = await self.peer.answer(verb, None, message)
        if response.status_code != 200:
            body = b"".join([part async for part in response.stream])
            if b'"code"' not in body:
                raise httpx2.ReadError("a proxy's page, and the end")
            yield self.connection.send(BytesMessage(data=encode(Header(Type.ERROR), body)))
            return
        self.left = len(getattr(response.stream, "pieces", ()))
        async for piece in response.stream:
            self.left -= 1
            half = len(piece) // 2
            yield self.connection.send(BytesMessage(data=piece[:half], message_finished=False))
            yield self.connection.send(BytesMessage(data=piece[half:]))
        raise httpx2.ReadError("gone")


def record_of(message):
    (head, *_) = Reader(lambda header: None).feed(message)
    return json.loads(head.payload)


def session_of(message):
    return record_of(message)["session"]


def answered(status, text, **headers):
    return httpx2.Response(status, headers=headers, stream=Stream([text.encode()]))


def framed(pieces):
    return httpx2.Response(200, stream=Stream(pieces))


def problem(code, **more):
    body = {"code": code, "message": "told so by a test", **more}
    return answered(hsp.STATUS[code], json.dumps(body))


class Fault:
    """What goes wrong with the next answer of a verb."""

    def __init__(self, verb, answer):
        self.verb, self.answer = verb, answer


def lost_before(verb="step"):
    """The answer is lost as a whole, what was asked is done."""

    def answer(response, peer):
        raise httpx2.ReadError("gone")

    return Fault(verb, answer)


def cut_after(pieces, verb="step"):
    """The answer is cut off after some pieces of its body."""

    def answer(response, peer):
        return framed([*response.stream.pieces[:pieces], httpx2.ReadError("gone")])

    return Fault(verb, answer)


def refused(code, verb="step", **more):
    return Fault(verb, lambda response, peer: problem(code, **more))


def restarted(verb="step"):
    """The server forgets all sessions, and this answer is lost."""

    def answer(response, peer):
        peer.sessions.clear()
        raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")

    return Fault(verb, answer)


def garbled(change, verb="step"):
    """The body of the answer is another one."""
    return Fault(verb, lambda response, peer: framed(change(list(response.stream.pieces))))


@contextlib.contextmanager
def counting(peer):
    """Give what is asked meanwhile."""
    start, found = len(peer.asked), []
    yield found
    found += peer.asked[start:]
