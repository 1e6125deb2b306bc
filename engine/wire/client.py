"""The asking side of HSP/1: one request each, over connections that stay open. No retries: see ``patience``.

What a server sends is believed only as far as it fits what was asked: a frame is refused by its header, JSON by its
length, and whatever does not come in time is given up.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel

from ...schemas.errors import BadFrame, Unreachable, UsageError
from ...schemas.hsp import (
    Capture,
    CaptureEnd,
    Contents,
    Description,
    Open,
    Opened,
    Problem,
    SideFile,
    Step,
    StepEnd,
    Stream,
)
from . import routes
from .answers import Answer, Asked, Expected, HttpAnswer, limited, refusal_of, refused, telling
from .bodies import decode_record, encode_request, parse_record
from .frames import CONTENT_TYPE, Frame, Reader, Type
from .prefix import Prefix
from .rows import decode_guesses, decode_rows
from .sockets import SocketPool, has_sockets

if TYPE_CHECKING:
    from torch import Tensor

R = TypeVar("R", bound=BaseModel)

_MOST_CONTENTS = 64 << 20
"""Bytes of a list of contents: a base of many experts has tens of thousands of tensors."""
_KEPT_OPEN = 100.0  # seconds that an idle connection is kept; our server keeps it longer, so that it is not cut in use


@dataclass(frozen=True)
class Waiting:
    """Seconds after which a server is given up: to connect, between two pieces of an answer, for a whole answer."""

    connect: float = 10.0
    idle: float = 60.0
    whole: float = 900.0


Carrier = Literal["auto", "http", "socket"]
"""What carries frames: a WebSocket where the server offers one and what it needs is installed, HTTP alone, or a
WebSocket wherever the server gives one."""

Framed = Step | Stream | Capture


class Client:
    """Asks one server. Made once and used for long; it may be used in one event loop after another."""

    def __init__(
        self,
        address: str,
        key: str = "",
        *,
        plain_http: bool = False,
        waiting: Waiting | None = None,
        transport: Callable[[], httpx2.AsyncBaseTransport] | None = None,
        carrier: Carrier = "auto",
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            address: ``https://host[:port][/path]``, below which the routes lie.
            key: The bearer key; empty: none.
            plain_http: Whether ``http://`` may be used beyond this machine, where anybody on the way can read along.
            waiting: How long for what.
            transport: Makes what carries the requests, for tests and simulated networks; None: the network.
            carrier: Of what is asked in frames.

        Raises:
            UsageError: If the address cannot be used, or what the carrier needs is not installed.
        """
        self.address = _checked(address, plain_http=plain_http)
        self._here = _is_loopback(urlsplit(address).hostname or "")
        self._headers = {"Accept-Encoding": "identity"}
        if key:
            self._headers["Authorization"] = f"Bearer {_checked_key(key)}"
        self._waiting = waiting or Waiting()
        self._transport = transport
        self.moved = 0
        """Bytes of bodies that went either way so far."""
        if carrier == "socket" and not has_sockets():
            raise UsageError("WebSockets need one more package: pip install 'nightschool[socket]'.")
        self._carrier, self._is_offered = carrier, False
        self._http: httpx2.AsyncClient | None = None
        self._sockets: SocketPool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def carrier(self) -> str:
        """What carried the frames that were asked for last, in words."""
        return "a WebSocket" if self._sockets is not None and self._sockets.is_used else "HTTP"

    async def describe(self) -> Description:
        """Return what the server says of itself.

        Raises:
            RemoteError: If it does not answer, refuses, or does not speak HSP/1.
        """
        async with self._asking("GET", routes.DESCRIBE) as response:
            found = parse_record(await limited(response), Description)
        self._is_offered = "socket" in found.verbs
        return found

    async def contents(self) -> Contents:
        """Return what the base of the server consists of, and which part of it is given.

        Raises:
            RemoteError: As of :meth:`describe`.
        """
        async with self._asking("GET", routes.CONTENTS) as response:
            found = await limited(response, _MOST_CONTENTS)
        self.moved += len(found)
        return parse_record(found, Contents)

    async def file(self, file: SideFile) -> bytes:
        """Return a file beside the weights, as long as the list says; its hash is not looked at.

        Raises:
            RemoteError: As of :meth:`describe`.
        """
        held = bytearray()
        await self._take_part(routes.FILE.format(name=file.name), 0, file.size, held.extend)
        return bytes(held)

    async def tensor(self, name: str, start: int, size: int, take: Callable[[bytes], None]) -> None:
        """Take the bytes of a tensor of ``size`` bytes from ``start`` on, in pieces; its hash is not looked at.

        Raises:
            RemoteError: As of :meth:`describe`; the bytes taken before may be kept.
        """
        await self._take_part(routes.TENSOR.format(name=name), start, size, take)

    async def _take_part(self, path: str, start: int, size: int, take: Callable[[bytes], None]) -> None:
        more = {"Range": f"bytes={start}-"} if start else {}
        left = size - start
        async with self._asking("GET", path, more=more) as response:
            if response.status_code != (206 if start else 200):
                raise BadFrame(f"{self.address} does not send the part that was asked for; do not use it.")
            async for piece in response.aiter_raw():
                self.moved += len(piece)
                left -= len(piece)
                if left < 0:
                    raise BadFrame(f"{self.address} sent more than the {size} bytes of its list; do not use it.")
                take(piece)
        if left:
            raise Unreachable(f"{self.address} stopped in the middle of an answer; ask again.")

    async def open(self, wanted: Open) -> Opened:
        """Begin a session.

        Raises:
            RemoteError: As of :meth:`describe`.
        """
        body = wanted.model_dump_json(exclude_none=True).encode()
        async with self._asking("POST", routes.SESSIONS, body, "application/json") as response:
            return parse_record(await limited(response), Opened)

    async def step(self, session: str, step: Step, after: Prefix, position: int, asked: Asked) -> None:
        """Go back to ``position``, append what ``after`` has from there on, and take the rows from ``step.first`` on.

        Raises:
            RemoteError: As of :meth:`describe`; the rows taken before are right.
        """
        named, new = step.model_copy(update={"session": session}), [after.tokens[position:]]
        async with self._framed(routes.STEP.format(session=session), named, new, position) as answer:
            end = decode_record(await self._read(answer, [step.first], [len(after)], asked), StepEnd)
        if (end.have, end.hash) != (len(after), after.hash()):
            raise BadFrame("The server did not do the step that was asked for; do not use it.")

    async def stream(
        self,
        session: str,
        stream: Stream,
        after: Prefix,
        position: int,
        asked: Asked,
        *,
        take: Callable[[Tensor, int | None], None],
    ) -> None:
        """Step as :meth:`step` does, and take what the server runs ahead with, until it ends.

        ``take`` gets rows ``(n, d)``, in order, and the token that the server believes to follow them; None: no more
        come, or they are not the last of those that were asked for.

        Raises:
            RemoteError: As of :meth:`describe`; the rows taken before are right.
        """
        named, new = stream.model_copy(update={"session": session}), [after.tokens[position:]]
        rows = Expected([stream.first], [len(after) + stream.ahead], asked, least=len(after) - stream.guessed)
        async with self._framed(routes.STREAM.format(session=session), named, new, position) as answer:
            await self._frames(
                answer, rows, lambda frame: take(decode_rows(frame), next(reversed(decode_guesses(frame)), None))
            )

    async def capture(self, capture: Capture, sequences: Sequence[Sequence[int]], asked: Asked) -> None:
        """Take the rows of whole sequences; those of each in order.

        Raises:
            RemoteError: As of :meth:`describe`; the rows taken before are right.
        """
        lengths = [len(tokens) for tokens in sequences]
        async with self._framed(routes.CAPTURE, capture, sequences) as answer:
            decode_record(await self._read(answer, [0] * len(lengths), lengths, asked), CaptureEnd)

    async def close(self, session: str) -> None:
        """Free a session.

        Raises:
            RemoteError: As of :meth:`describe`; the server frees it by itself later.
        """
        async with self._asking("DELETE", routes.SESSION.format(session=session)):
            pass

    async def answer(self, method: str, path: str, said: object = None, *, most: int) -> bytes:
        """Return the whole body of an answer to JSON, for those who do not speak HSP/1.

        Raises:
            BadFrame: If it is longer than ``most`` bytes.
            RemoteError: As of :meth:`describe`.
        """
        body = None if said is None else json.dumps(said, separators=(",", ":")).encode()
        async with self._asking(method, path, body, "application/json" if body else "") as response:
            found = await limited(response, most)
        self.moved += len(found)
        return found

    async def aclose(self) -> None:
        """Close the connections. The client can be used again."""
        http, sockets, self._http, self._sockets = self._http, self._sockets, None, None
        if http is not None and self._loop is asyncio.get_running_loop():
            if sockets is not None:
                await sockets.aclose()
            await http.aclose()

    # -- requests -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _asking(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = "",
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request and give an answer that is 2xx and whose body is still to be read."""
        headers = {"Content-Type": kind, **more} if kind else dict(more)
        self.moved += len(body or b"")
        with telling(self.address):
            async with (
                asyncio.timeout(self._waiting.whole),
                self._connected().stream(method, self.address + path, content=body, headers=headers) as response,
            ):
                if not response.is_success:
                    raise refusal_of(self.address, response, await limited(response))
                yield response

    @asynccontextmanager
    async def _framed(
        self, path: str, record: Framed, sequences: Sequence[Sequence[int]], position: int = 0
    ) -> AsyncIterator[Answer]:
        """Ask for something in frames, by what carries them, and give the answer that is still to be read."""
        with telling(self.address):
            sockets = self._pool()
            socket = None if sockets is None else await sockets.take()
        if sockets is None or socket is None:
            bare = record if isinstance(record, Capture) else record.model_copy(update={"session": None})
            body = encode_request(bare, sequences, position=position)
            async with self._asking("POST", path, body, CONTENT_TYPE) as response:
                yield HttpAnswer(response)
            return
        body = encode_request(record, sequences, position=position)
        self.moved += len(body)
        with telling(self.address):
            async with asyncio.timeout(self._waiting.whole), sockets.asking(socket, body) as answer:
                yield answer

    async def _read(self, answer: Answer, first: Sequence[int], lengths: Sequence[int], asked: Asked) -> Frame:
        """Take the rows of an answer, each sequence from ``first`` to its length, and return its END."""
        rows = Expected(first, lengths, asked)
        return await self._frames(answer, rows, lambda frame: asked.take(frame.header.sequence, decode_rows(frame)))

    async def _frames(self, answer: Answer, rows: Expected, take: Callable[[Frame], None]) -> Frame:
        """Read an answer to its end: hand on its ROWS, and return its END."""
        reader, end = Reader(rows.expect), None
        async for piece in answer.pieces():
            self.moved += len(piece)
            for frame in reader.feed(piece):
                if end is not None:
                    raise BadFrame("The server goes on after the end; do not use it.")
                if frame.header.type is Type.ERROR:
                    answer.ends()
                    raise refused(self.address, decode_record(frame, Problem))
                if frame.header.type is Type.END:
                    end = frame
                    answer.ends()
                else:
                    take(frame)
        if end is None:
            raise Unreachable(f"{self.address} stopped in the middle of an answer; ask again.")
        reader.close()
        return end

    def _pool(self) -> SocketPool | None:
        """Return what opens WebSockets; None: HTTP carries all."""
        if self._carrier == "http" or (self._carrier == "auto" and not (self._is_offered and has_sockets())):
            return None
        http = self._connected()
        if self._sockets is None:
            idle = self._waiting.idle
            self._sockets = SocketPool(self.address + routes.SOCKET, http, idle=idle, kept_open=_KEPT_OPEN)
        return self._sockets

    def _connected(self) -> httpx2.AsyncClient:
        """Return the connections of this loop; those of a loop that ended are lost with it."""
        loop = asyncio.get_running_loop()
        if self._http is None or self._loop is not loop:
            waiting = self._waiting
            self._loop, self._sockets = loop, None
            self._http = httpx2.AsyncClient(
                headers=self._headers,
                timeout=httpx2.Timeout(waiting.idle, connect=waiting.connect),
                limits=httpx2.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=_KEPT_OPEN),
                transport=self._transport() if self._transport is not None else None,
                trust_env=not self._here,  # a proxy has no business with this machine
            )
        return self._http


def _checked(address: str, *, plain_http: bool) -> str:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - raises if it is none
    except ValueError as error:
        raise UsageError(f"{address!r} is no address of a provider ({error}); write https://host:port.") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"{address!r} is no address of a provider; write https://host:port.")
    if parts.username is not None or parts.password is not None:
        raise UsageError("An address with a password in it is kept and shown; give the key apart.")
    if parts.scheme == "http" and not plain_http and not _is_loopback(parts.hostname):
        raise UsageError(
            f"http://{parts.hostname} would send your texts and your key readable for anybody on the way; use https, "
            "or allow plain http for a network that you trust."
        )
    return address.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked_key(key: str) -> str:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("The key holds characters that no key has; copy it again.")
    return key
