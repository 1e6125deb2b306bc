"""One HTTP request and its answer, as every server of ours has them.

Bodies are measured before they are read, nobody may take longer than ``PATIENCE`` to say or to hear something, and
work ends when the client hangs up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect

from ....schemas.hsp import Code
from .refused import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

PATIENCE = 20.0
"""Seconds in which a whole body must come, and any piece of an answer must go."""


class Line:
    """A client on the other end.

    Attributes:
        status: Of the answer, once it has begun; 0 before.
        is_read: Whether nothing of the request is still to come.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.status = scope, 0
        self.is_read = scope["method"] in ("GET", "DELETE")
        self._receive, self._send = receive, send

    @property
    def named(self) -> str:
        """What the address named: a session, a file, a tensor; empty where it names nothing."""
        return str(next(iter(self.scope.get("path_params", {}).values()), ""))

    def header(self, name: bytes) -> str:
        """Return a header of the request, by its name in small letters; empty where there is none."""
        return header_of(self.scope, name)

    async def pieces(self, most: int) -> AsyncIterator[bytes]:
        """Give the body piece by piece.

        Raises:
            Refused: If it is longer than ``most`` bytes, or says so, or takes too long.
            ClientDisconnect: If the client went away.
        """
        announced = self.header(b"content-length")
        if announced.isdigit() and int(announced) > most:
            raise _too_large(most)
        came, ends = 0, time.monotonic() + PATIENCE
        while True:
            try:
                async with asyncio.timeout(ends - time.monotonic()):
                    message = await self._receive()
            except TimeoutError as error:
                raise Refused(Code.BAD_REQUEST, "The request took too long to arrive; send it at once.") from error
            if message["type"] != "http.request":
                raise ClientDisconnect
            piece = message.get("body", b"")
            came += len(piece)
            if came > most:
                raise _too_large(most)
            self.is_read = not message.get("more_body", False)
            yield piece
            if self.is_read:
                return

    async def body(self, most: int) -> bytes:
        """Return the whole body; errors as of :meth:`pieces`."""
        return b"".join([piece async for piece in self.pieces(most)])

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        """Send a whole answer."""
        length = (b"content-length", str(len(body)).encode())
        await self.begin(status, headers if status == 204 else [*headers, length])
        await self.end(body)

    async def refuse(self, refusal: Refused) -> None:
        """Say what was refused; a connection whose body was not read ends with it."""
        body = refusal.problem.model_dump_json(exclude_none=True).encode()
        unread = [] if self.is_read else [(b"connection", b"close")]
        await self.answer(refusal.status, body, [(b"content-type", b"application/json"), *refusal.headers, *unread])

    async def begin(self, status: int, headers: Headers) -> None:
        """Begin an answer that goes out in pieces."""
        self.status = status
        await self._put({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, data: bytes) -> None:
        """Send a piece of it."""
        await self._put({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """End it."""
        await self._put({"type": "http.response.body", "body": data})

    async def while_there(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work as long as the client is there; it is cancelled, and waited for, when the client leaves.

        Raises:
            ClientDisconnect: If the client went away.
        """
        await while_there(work, self._gone())

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _put(self, message: MutableMapping[str, Any]) -> None:
        await put(self._send, message)


def header_of(scope: Scope, name: bytes) -> str:
    """Return a header of a request, by its name in small letters; empty where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


async def put(send: Send, message: MutableMapping[str, Any]) -> None:
    """Send something that must go within ``PATIENCE``.

    Raises:
        ClientDisconnect: If it does not.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            await send(message)
    except TimeoutError as error:
        raise ClientDisconnect from error


async def while_there(work: Coroutine[Any, Any, None], gone: Coroutine[Any, Any, None]) -> None:
    """Do some work until ``gone`` returns; then it is cancelled, and waited for.

    Raises:
        ClientDisconnect: If the work had not ended before.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone)
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        await working
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})


def _too_large(most: int) -> Refused:
    return Refused(Code.TOO_LARGE, f"The request is longer than {most} bytes; send less at a time.", limit=most)
