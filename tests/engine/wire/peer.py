"""A server of HSP/1 in a transport: does what docs/protocol.md says over a provider of this process, or fails as told.

Each of ``peer.faults`` changes one answer of its verb, in order.
"""

from __future__ import annotations

import contextlib
import json
import secrets

import httpx2

from nightschool.engine.wire.bodies import decode_record, encode_record
from nightschool.engine.wire.codecs import CODECS
from nightschool.engine.wire.frames import Reader, Type
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

    def describe(self):
        card = self.provider.base.model_dump()
        base = {name: card[name] for name in hsp.BaseIdentity.model_fields if name in card}
        return hsp.Description(
            base=self.identity or hsp.BaseIdentity(**base),
            compute=hsp.Compute(engine="peer of the tests", numbers="fp32"),
            cuts=self.cuts,
            codecs=[codec.info() for codec in CODECS],
            zstd=self.zstd,
            verbs=["step", "capture"],
            limits=self.limits,
        )

    async def handle_async_request(self, request):
        body = b"".join([part async for part in request.stream])
        self.sent_bytes += len(body)
        verb = self._verb(request)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            response = problem(hsp.Code.UNAUTHORISED)
        else:
            response = await getattr(self, f"_{verb}")(request, body)
        for fault in self.faults:
            if fault.verb in (verb, "any"):
                self.faults.remove(fault)
                return fault.answer(response, self)
        return response

    def _verb(self, request):
        last = request.url.path.rsplit("/", 1)[-1]
        if request.method == "DELETE":
            return "close"
        return {"describe": "describe", "sessions": "open", "step": "step", "capture": "capture"}[last]

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
        name = request.url.path.split("/")[-2]
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
