"""Answers as they are read: which frames may come, how long they may be, and what a refusal means."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import httpcore2
import httpx2

from ...schemas.errors import BadFrame, PeerRefused, Unauthorised, Unreachable
from ...schemas.hsp import Code, Problem
from .bodies import parse_record
from .frames import MAX_JSON, Flag, Header, Type
from .rows import Writing, check_rows
from .sockets import FAILURES

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Asked:
    """Which rows are right, and who takes them: the number of their sequence, and they, ``(n, width)``, in pieces."""

    width: int
    writing: Writing
    take: Callable[[int, Tensor], None]


class Answer(Protocol):
    """An answer of frames that is being read."""

    def pieces(self) -> AsyncIterator[bytes]:
        """Give its bytes as they come."""
        ...

    def ends(self) -> None:
        """Say that its last frame was read."""
        ...


class HttpAnswer:
    """An answer that ends with the body of a response."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    def pieces(self) -> AsyncIterator[bytes]:
        """Give its bytes as they come."""
        return self._response.aiter_raw()

    def ends(self) -> None:
        """Say that its last frame was read."""


@contextmanager
def telling(address: str) -> Iterator[None]:
    """Raise what goes wrong on the way as what it means."""
    try:
        yield
    except (httpx2.TimeoutException, httpcore2.TimeoutException, TimeoutError) as error:
        raise Unreachable(f"{address} did not answer in time; check it and the network.") from error
    except (httpx2.RequestError, httpx2.StreamError, *FAILURES) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise Unreachable(f"{address} cannot be reached ({reason}); check it and the network.") from error


class Expected:
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


async def limited(response: httpx2.Response, most: int = MAX_JSON) -> bytes:
    """Return a body, no longer than it may be."""
    held = bytearray()
    async for piece in response.aiter_raw():
        held += piece
        if len(held) > most:
            raise BadFrame(f"The server sent more than the {most} bytes that were to come; do not use it.")
    return bytes(held)


def refusal_of(address: str, response: httpx2.Response, body: bytes) -> PeerRefused | Unauthorised:
    """Return the error for an answer that is not 2xx, whoever sent it: the server or something before it."""
    try:
        problem = parse_record(body, Problem)
    except BadFrame:
        code = _CODES.get(response.status_code, Code.INTERNAL if response.status_code >= 500 else Code.BAD_REQUEST)
        problem = Problem(code=code, message=_words(body) or f"HTTP status {response.status_code}")
    return refused(address, problem)


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


def refused(address: str, problem: Problem) -> PeerRefused | Unauthorised:
    """Return the error that a refusal is."""
    said = " ".join(problem.message.split())[:300].rstrip(".") or problem.code.value
    if problem.code is Code.UNAUTHORISED:
        return Unauthorised(f"{address} does not accept the key ({said}); set the right one.")
    return PeerRefused(f"{address} refuses: {said}.", problem)
