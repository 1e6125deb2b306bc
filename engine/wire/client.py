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
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel

from ...schemas.errors import BadFrame, PeerRefused, Unauthorised, Unreachable, UsageError
from ...schemas.hsp import (
    Capture,
    CaptureEnd,
    Code,
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
from .bodies import decode_record, encode_request, parse_record
from .frames import CONTENT_TYPE, MAX_JSON, Flag, Frame, Header, Reader, Type
from .prefix import Prefix
from .rows import Writing, check_rows, decode_guesses, decode_rows

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


@dataclass(frozen=True)
class Asked:
    """Which rows are right, and who takes them: the number of their sequence, and they, ``(n, width)``, in pieces."""

    width: int
    writing: Writing
    take: Callable[[int, Tensor], None]


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
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            address: ``https://host[:port][/path]``, below which the routes lie.
            key: The bearer key; empty: none.
            plain_http: Whether ``http://`` may be used beyond this machine, where anybody on the way can read along.
            waiting: How long for what.
            transport: Makes what carries the requests, for tests and simulated networks; None: the network.

        Raises:
            UsageError: If the address cannot be used.
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
        self._http: httpx2.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def describe(self) -> Description:
        """Return what the server says of itself.

        Raises:
            RemoteError: If it does not answer, refuses, or does not speak HSP/1.
        """
        async with self._asking("GET", routes.DESCRIBE) as response:
            return parse_record(await _limited(response), Description)

    async def contents(self) -> Contents:
        """Return what the base of the server consists of, and which part of it is given.

        Raises:
            RemoteError: As of :meth:`describe`.
        """
        async with self._asking("GET", routes.CONTENTS) as response:
            found = await _limited(response, _MOST_CONTENTS)
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
            async for piece in self._pieces(response):
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
            return parse_record(await _limited(response), Opened)

    async def step(self, session: str, step: Step, after: Prefix, position: int, asked: Asked) -> None:
        """Go back to ``position``, append what ``after`` has from there on, and take the rows from ``step.first`` on.

        Raises:
            RemoteError: As of :meth:`describe`; the rows taken before are right.
        """
        body = encode_request(step, [after.tokens[position:]], position=position)
        path = routes.STEP.format(session=session)
        async with self._asking("POST", path, body, CONTENT_TYPE) as response:
            end = decode_record(await self._read(response, [step.first], [len(after)], asked), StepEnd)
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
        body = encode_request(stream, [after.tokens[position:]], position=position)
        rows = _Rows([stream.first], [len(after) + stream.ahead], asked, least=len(after))
        reader, ended = Reader(rows.expect), False
        path = routes.STREAM.format(session=session)
        async with self._asking("POST", path, body, CONTENT_TYPE) as response:
            async for piece in self._pieces(response):
                for frame in reader.feed(piece):
                    if ended:
                        raise BadFrame("The server goes on after the end; do not use it.")
                    if frame.header.type is Type.ERROR:
                        raise _refused(self.address, decode_record(frame, Problem))
                    if frame.header.type is Type.END:
                        ended = True
                    else:
                        take(decode_rows(frame), next(reversed(decode_guesses(frame)), None))
        if not ended:
            raise Unreachable(f"{self.address} stopped in the middle of an answer; ask again.")
        reader.close()

    async def capture(self, capture: Capture, sequences: Sequence[Sequence[int]], asked: Asked) -> None:
        """Take the rows of whole sequences; those of each in order.

        Raises:
            RemoteError: As of :meth:`describe`; the rows taken before are right.
        """
        body = encode_request(capture, sequences)
        lengths = [len(tokens) for tokens in sequences]
        async with self._asking("POST", routes.CAPTURE, body, CONTENT_TYPE) as response:
            decode_record(await self._read(response, [0] * len(lengths), lengths, asked), CaptureEnd)

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
            found = await _limited(response, most)
        self.moved += len(found)
        return found

    async def aclose(self) -> None:
        """Close the connections. The client can be used again."""
        http, self._http = self._http, None
        if http is not None and self._loop is asyncio.get_running_loop():
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
        try:
            async with (
                asyncio.timeout(self._waiting.whole),
                self._connected().stream(method, self.address + path, content=body, headers=headers) as response,
            ):
                if not response.is_success:
                    raise _refusal(self.address, response, await _limited(response))
                yield response
        except (httpx2.TimeoutException, TimeoutError) as error:
            raise Unreachable(f"{self.address} did not answer in time; check it and the network.") from error
        except (httpx2.RequestError, httpx2.StreamError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise Unreachable(f"{self.address} cannot be reached ({reason}); check it and the network.") from error

    async def _read(
        self, response: httpx2.Response, first: Sequence[int], lengths: Sequence[int], asked: Asked
    ) -> Frame:
        """Take the rows of an answer, each sequence from ``first`` to its length, and return its END."""
        rows = _Rows(first, lengths, asked)
        reader, end = Reader(rows.expect), None
        async for piece in self._pieces(response):
            for frame in reader.feed(piece):
                if end is not None:
                    raise BadFrame("The server goes on after the end; do not use it.")
                if frame.header.type is Type.ERROR:
                    raise _refused(self.address, decode_record(frame, Problem))
                if frame.header.type is Type.END:
                    end = frame
                else:
                    asked.take(frame.header.sequence, decode_rows(frame))
        if end is None:
            raise Unreachable(f"{self.address} stopped in the middle of an answer; ask again.")
        reader.close()
        return end

    async def _pieces(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        async for piece in response.aiter_raw():
            self.moved += len(piece)
            yield piece

    def _connected(self) -> httpx2.AsyncClient:
        """Return the connections of this loop; those of a loop that ended are lost with it."""
        loop = asyncio.get_running_loop()
        if self._http is None or self._loop is not loop:
            waiting = self._waiting
            self._loop = loop
            self._http = httpx2.AsyncClient(
                headers=self._headers,
                timeout=httpx2.Timeout(waiting.idle, connect=waiting.connect),
                limits=httpx2.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=_KEPT_OPEN),
                transport=self._transport() if self._transport is not None else None,
                trust_env=not self._here,  # a proxy has no business with this machine
            )
        return self._http


class _Rows:
    """Which frames may come: for each sequence the rows from ``first`` to its length, in order, then an end.

    With ``least`` the one sequence is a stream: it may end as soon as it has so many tokens.
    """

    def __init__(self, first: Sequence[int], lengths: Sequence[int], asked: Asked, least: int | None = None) -> None:
        self._least = least
        self._next = list(first)
        self._lengths = list(lengths)
        self._asked = asked

    def expect(self, header: Header) -> None:
        """Refuse a frame that was not asked for."""
        if header.type is Type.ROWS:
            self._expect_rows(header)
        elif header.type is Type.END:
            if self._next != self._lengths if self._least is None else self._next[0] < self._least:
                raise BadFrame("The server ends before it has sent all rows; do not use it.")
        elif header.type is not Type.ERROR:
            raise BadFrame(f"The server sent a {header.type.name} frame, which it must not; do not use it.")

    def _expect_rows(self, header: Header) -> None:
        number = header.sequence
        if number >= len(self._next) or header.position != self._next[number]:
            raise BadFrame(f"The server sent rows from {header.position} on that were not to come; do not use it.")
        if Flag.GUESSED in header.flags and self._least is None:
            raise BadFrame("The server guesses where it was not asked to; do not use it.")
        most = self._lengths[number] - header.position
        check_rows(header, width=self._asked.width, most=most, writing=self._asked.writing)
        self._next[number] += header.rows


async def _limited(response: httpx2.Response, most: int = MAX_JSON) -> bytes:
    """Return a body, no longer than it may be."""
    held = bytearray()
    async for piece in response.aiter_raw():
        held += piece
        if len(held) > most:
            raise BadFrame(f"The server sent more than the {most} bytes that were to come; do not use it.")
    return bytes(held)


def _refusal(address: str, response: httpx2.Response, body: bytes) -> PeerRefused | Unauthorised:
    """Return the error for an answer that is not 2xx, whoever sent it: the server or something before it."""
    try:
        problem = parse_record(body, Problem)
    except BadFrame:
        code = _CODES.get(response.status_code, Code.INTERNAL if response.status_code >= 500 else Code.BAD_REQUEST)
        problem = Problem(code=code, message=_words(body) or f"HTTP status {response.status_code}")
    return _refused(address, problem)


def _words(body: bytes) -> str:
    """Return what others than HSP/1 servers say in a refusal, ``{"error": {"message": ...}}`` or without the outer."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    for key in ("error", "message"):
        said = said.get(key, said) if isinstance(said, dict) else said
    return said[:300] if isinstance(said, str) else ""


_CODES = {401: Code.UNAUTHORISED, 403: Code.UNAUTHORISED, 429: Code.TOO_MANY, 503: Code.SHUTTING_DOWN}
"""What statuses mean that are not of an HSP/1 server, but of a proxy before it. A 404 of a proxy is no lost session."""


def _refused(address: str, problem: Problem) -> PeerRefused | Unauthorised:
    said = " ".join(problem.message.split())[:300].rstrip(".") or problem.code.value
    if problem.code is Code.UNAUTHORISED:
        return Unauthorised(f"{address} does not accept the key ({said}); set the right one.")
    return PeerRefused(f"{address} refuses: {said}.", problem)


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
