"""The asking side of WebSockets: connections that stay open, each of which carries one request at a time.

An answer is read as it comes, so that how long a message is means nothing; what its frames may be, their reader says.
What is needed beside the HTTP client (wsproto) is imported where a WebSocket is opened.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpcore2
import httpx2

from ...schemas.errors import BadFrame

if TYPE_CHECKING:
    from wsproto.events import Event

FAILURES = (httpcore2.NetworkError, httpcore2.ProtocolError, OSError)
"""What goes wrong on the way; ``httpcore2.TimeoutException``: nothing came in time."""

_MOST = 32
"""WebSockets that are open at once; what is asked beyond that goes by HTTP."""
_AGAIN = 60.0  # seconds after which a server that gave none is asked for one again
_READ = 256 << 10
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def has_sockets() -> bool:
    """Whether what WebSockets need is installed (the extra ``socket``)."""
    return importlib.util.find_spec("wsproto") is not None


class SocketAnswer:
    """The answer to one request, which ends with the message that has the frame END or ERROR."""

    def __init__(self, socket: Socket, idle: float) -> None:
        self._socket, self._idle = socket, idle
        self._has_end = False

    @property
    def is_whole(self) -> bool:
        """Whether it has ended, and nothing is left of its last message."""
        return self._has_end and self._socket.is_between

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give its bytes as they come.

        Raises:
            BadFrame: If what comes is no WebSocket's.
            FAILURES, httpcore2.TimeoutException: If it breaks off.
        """
        while not self.is_whole:
            for piece in await self._socket.read(self._idle):
                yield piece

    def ends(self) -> None:
        """Say that its last frame was read."""
        self._has_end = True


class SocketPool:
    """The WebSockets to one server. Used in one event loop."""

    def __init__(self, url: str, http: httpx2.AsyncClient, *, idle: float, kept_open: float) -> None:
        """Prepare; nothing is sent.

        Args:
            url: Where they are opened, as for HTTP.
            http: Opens them, with its headers, certificates and proxies.
            idle: Seconds between two pieces of an answer.
            kept_open: Seconds for which one without work is kept.
        """
        self._url, self._http, self._idle, self._kept_open = url, http, idle, kept_open
        self._free: list[Socket] = []
        self._open = 0
        self._not_before = 0.0

    @property
    def is_used(self) -> bool:
        """Whether there is one."""
        return self._open > 0

    async def take(self) -> Socket | None:
        """Return a WebSocket that nobody uses; None: the server gives none now.

        Raises:
            httpx2.HTTPError: If the server cannot be reached.
        """
        while self._free:
            free = self._free.pop()
            if time.monotonic() - free.rested < self._kept_open and not free.has_news:
                return free
            await self._drop(free)
        if self._open >= _MOST or time.monotonic() < self._not_before:
            return None
        self._open += 1
        socket: Socket | None = None
        try:
            socket = await _opened(self._url, self._http)
        finally:
            self._open -= socket is None
        if socket is None:
            self._not_before = time.monotonic() + _AGAIN
        return socket

    @asynccontextmanager
    async def asking(self, socket: Socket, body: bytes) -> AsyncIterator[SocketAnswer]:
        """Send a request over one that was taken, and give the answer that is to be read.

        Raises:
            FAILURES, httpcore2.TimeoutException: If it breaks off.
        """
        answer = SocketAnswer(socket, self._idle)
        try:
            await socket.send(body, self._idle)
            yield answer
        finally:
            if answer.is_whole:
                socket.rested = time.monotonic()
                self._free.append(socket)
            else:
                await self._drop(socket)

    async def aclose(self) -> None:
        """Close those that nobody uses."""
        while self._free:
            await self._drop(self._free.pop())

    async def _drop(self, socket: Socket) -> None:
        self._open -= 1
        await socket.aclose()


class Socket:
    """One WebSocket that was opened.

    Attributes:
        rested: When it was last used, on the monotonic clock.
        is_between: Whether no message is being read.
    """

    def __init__(self, response: httpx2.Response) -> None:
        from wsproto.connection import Connection, ConnectionType

        self._response = response
        self._stream: httpcore2.AsyncNetworkStream = response.extensions["network_stream"]
        self._connection = Connection(ConnectionType.CLIENT)
        self._ended = ""
        self.rested = 0.0
        self.is_between = True

    @property
    def has_news(self) -> bool:
        """Whether something came that nobody asked for: mostly its end."""
        return bool(self._ended or self._stream.get_extra_info("is_readable"))

    async def send(self, message: bytes, idle: float) -> None:
        """Send a message.

        Raises:
            FAILURES, httpcore2.TimeoutException: If it does not go.
        """
        from wsproto.events import BytesMessage

        await self._stream.write(self._connection.send(BytesMessage(data=message)), timeout=idle)

    async def read(self, idle: float) -> list[bytes]:
        """Return the bytes of messages that came next, maybe none.

        Raises:
            BadFrame: If they are no WebSocket's, or text.
            FAILURES, httpcore2.TimeoutException: If none comes.
        """
        from wsproto.utilities import RemoteProtocolError

        if self._ended:
            raise httpcore2.ReadError(self._ended)
        data = await self._stream.read(_READ, timeout=idle)
        if not data:
            raise httpcore2.ReadError("the WebSocket was cut off")
        try:
            self._connection.receive_data(data)
            return [piece for event in self._connection.events() for piece in await self._pieces(event, idle)]
        except RemoteProtocolError as error:
            raise BadFrame("The server does not speak WebSocket as it should; do not use it.") from error

    async def _pieces(self, event: Event, idle: float) -> list[bytes]:
        from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

        if isinstance(event, BytesMessage):
            self.is_between = event.message_finished
            return [bytes(event.data)]
        if isinstance(event, CloseConnection):  # what came before it is still to be read
            self._ended = f"the WebSocket was closed, code {int(event.code)}"
        if isinstance(event, TextMessage):
            raise BadFrame("The server sends text over a WebSocket, which it must not; do not use it.")
        if isinstance(event, Ping):
            await self._stream.write(self._connection.send(event.response()), timeout=idle)
        return []

    async def aclose(self) -> None:
        """Close it, without many words: nothing is under way that is wanted."""
        await self._response.aclose()


async def _opened(url: str, http: httpx2.AsyncClient) -> Socket | None:
    """Open a WebSocket; None: what is there gives none.

    Raises:
        httpx2.HTTPError: If it cannot be reached.
    """
    key = base64.b64encode(secrets.token_bytes(16))
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": key.decode(),
        "Sec-WebSocket-Version": "13",
    }
    response = await http.send(http.build_request("GET", url, headers=headers), stream=True)
    proof = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest()).decode()
    if response.status_code != 101 or response.headers.get("sec-websocket-accept") != proof:
        await response.aclose()
        return None
    return Socket(response)
