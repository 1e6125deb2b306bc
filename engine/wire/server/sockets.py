"""WebSocket: the verbs of frames over one connection that stays, one request after the other.

What holds for HTTP holds here: the key is looked at with every request, messages are as long as bodies may be, none may
take longer than ``PATIENCE`` to come or to go, and a client that leaves ends its work. What is refused is told by an
ERROR frame. A page in a browser may open WebSockets to any address, so whoever says that it is one is refused.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from starlette.requests import ClientDisconnect

from ....schemas.errors import BadFrame
from ....schemas.hsp import Code
from ..bodies import encode_record
from ..frames import HEADER_BYTES, Type, decode_header
from .exchange import Desk, Exchange
from .keys import ANYBODY, Key
from .line import Headers, Receive, Scope, Send, header_of, put, while_there
from .refused import Refused, shutting_down
from .verbs import FRAMED, count, do

IDLE = 120.0
"""Seconds for which a WebSocket may stay open without a request, as a connection of HTTP may."""
_OPEN = 512  # at once, all keys together; of one key as many as it may have sessions

_GOING_AWAY, _PROTOCOL, _TEXT = 1001, 1002, 1003  # RFC 6455, 7.4.1


class Sockets:
    """All WebSockets of a server, as an ASGI application."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open one, if it may be, and serve it to its end."""
        authorization = header_of(scope, b"authorization")
        key = self._desk.keys.find(authorization)
        await receive()  # websocket.connect
        try:
            await self._let_in(scope, key, send)
        except Refused as refusal:
            await _deny(refusal, send)
            self._note(key, refusal.status)
            return
        except ClientDisconnect:
            return
        assert key is not None
        self._note(key, 101)
        self._open[key.name] += 1
        try:
            await self._serve(authorization, _Wire(receive, send))
        finally:
            self._open[key.name] -= 1

    async def _let_in(self, scope: Scope, key: Key | None, send: Send) -> None:
        if key is None:
            raise Refused(Code.UNAUTHORISED, "This server asks for a key, and this is none; ask its owner for one.")
        if self._desk.service.stopping:
            raise shutting_down()
        if not self._desk.service.sockets:
            raise Refused(Code.NOT_OFFERED, "This server has no WebSockets; ask by HTTP.")
        if header_of(scope, b"origin"):
            raise Refused(Code.BAD_REQUEST, "Pages in browsers may not ask here.")
        most = key.allowance.sessions
        if self._open[key.name] >= most or self._open.total() >= _OPEN:
            raise Refused(Code.TOO_MANY, "Too many WebSockets are open; close one.", retry_after=1.0, limit=most)
        await put(send, {"type": "websocket.accept"})

    async def _serve(self, authorization: str, wire: _Wire) -> None:
        """Answer one request after the other, until either side has enough."""
        code = _GOING_AWAY
        try:
            while (data := await wire.next()) is not None:
                message = Message(data, wire)
                await self._answer(self._desk.keys.find(authorization), message)
                if message.is_bad:
                    code = _PROTOCOL
                    break
        except _NotBytes:
            code = _TEXT
        except ClientDisconnect:
            return
        await wire.close(code)

    async def _answer(self, key: Key | None, message: Message) -> None:
        try:
            verb = _verb_of(message.data)
        except BadFrame as error:
            message.is_bad = True
            await message.refuse(Refused(Code.BAD_REQUEST, str(error)))
            count(self._desk, "socket", Exchange(self._desk, key or ANYBODY, message), 0.0)
            return
        await do(self._desk, verb, FRAMED[verb], key, message)
        if message.left:
            raise ClientDisconnect

    def _note(self, key: Key | None, status: int) -> None:
        self._desk.service.metrics.requests.add(1, "socket", str(status))
        self._desk.journal.write("request", verb="socket", key=(key or ANYBODY).name, status=status, ms=0.0)


class Message:
    """One message: a request whose answer goes out in messages of whole frames.

    Attributes:
        is_bad: Whether it was no request of HSP/1, after which nothing is to be expected of the connection.
        left: Whether the client went away, or spoke before it was answered.
    """

    named = ""

    def __init__(self, data: bytes, wire: _Wire) -> None:
        self.data, self.status = data, 0
        self.is_bad = self.left = False
        self._wire = wire

    def header(self, name: bytes) -> str:
        """Return no header: a message has none."""
        return ""

    async def pieces(self, most: int) -> AsyncIterator[bytes]:
        """Give the message, which came as a whole and is no longer than a body may be."""
        yield self.data

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        """Send an answer in one message."""
        self.status = status
        await self.piece(body)

    async def begin(self, status: int, headers: Headers) -> None:
        """Begin an answer: nothing goes out yet."""
        self.status = status

    async def piece(self, data: bytes) -> None:
        """Send whole frames."""
        await self._put(data)

    async def end(self, data: bytes = b"") -> None:
        """End it, which the frame END or ERROR has said."""
        if data:
            await self._put(data)

    async def refuse(self, refusal: Refused) -> None:
        """Say what was refused."""
        self.status = refusal.status
        self.is_bad = self.is_bad or refusal.problem.code is Code.BAD_REQUEST
        await self._put(encode_record(Type.ERROR, refusal.problem))

    async def while_there(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work as long as the client is there, and listens.

        Raises:
            ClientDisconnect: If it went away, or asked for something else meanwhile.
        """
        try:
            await while_there(work, self._wire.interrupted())
        except ClientDisconnect:
            self.left = True
            raise

    async def _put(self, data: bytes) -> None:
        try:
            await self._wire.send(data)
        except ClientDisconnect:
            self.left = True
            raise


class _NotBytes(Exception):
    """A message of text came."""


class _Wire:
    """A WebSocket that was accepted."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send

    async def next(self) -> bytes | None:
        """Return the next message; None: none came for long.

        Raises:
            ClientDisconnect: If the client went away.
            _NotBytes: If it is text.
        """
        try:
            async with asyncio.timeout(IDLE):
                message = await self._receive()
        except TimeoutError:
            return None
        if message["type"] != "websocket.receive":
            raise ClientDisconnect
        data = message.get("bytes")
        if data is None:
            raise _NotBytes
        return bytes(data)

    async def interrupted(self) -> None:
        """Return once the client goes away, or says anything, which it must not while it is answered."""
        await self._receive()

    async def send(self, data: bytes) -> None:
        """Send a message.

        Raises:
            ClientDisconnect: If it does not go.
        """
        try:
            await put(self._send, {"type": "websocket.send", "bytes": data})
        except OSError as error:  # uvicorn's word for a client that is gone
            raise ClientDisconnect from error

    async def close(self, code: int) -> None:
        """Say goodbye."""
        try:
            await put(self._send, {"type": "websocket.close", "code": code})
        except (OSError, ClientDisconnect):
            return


async def _deny(refusal: Refused, send: Send) -> None:
    """Refuse to open a WebSocket as a request of HTTP is refused."""
    body = refusal.problem.model_dump_json(exclude_none=True).encode()
    length = (b"content-length", str(len(body)).encode())
    headers = [(b"content-type", b"application/json"), length, *refusal.headers]
    try:
        await put(send, {"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
        await put(send, {"type": "websocket.http.response.body", "body": body})
    except (OSError, ClientDisconnect):
        return


def _verb_of(data: bytes) -> str:
    """Return the verb that a message asks for.

    Raises:
        BadFrame: If it begins with no REQUEST of a verb that WebSockets carry.
    """
    if len(data) < HEADER_BYTES:
        raise BadFrame("A message has one REQUEST frame and then TOKENS.")
    header, _ = decode_header(data)
    if header.type is not Type.REQUEST:
        raise BadFrame("A message has one REQUEST frame and then TOKENS.")
    try:
        verb = json.loads(data[HEADER_BYTES : HEADER_BYTES + header.length])["verb"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadFrame("A request over a WebSocket says its verb.") from error
    if not isinstance(verb, str) or verb not in FRAMED:
        raise BadFrame(f"A WebSocket carries {', '.join(FRAMED)} and nothing else.")
    return verb
