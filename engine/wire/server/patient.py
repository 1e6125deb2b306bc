"""uvicorn, and what it leaves open: heads of requests that never end, and an end that nobody is told of."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Protocol

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol


class Serving(Protocol):
    """What a server does besides listening."""

    def start(self) -> None:
        """Begin; called in the loop."""
        ...

    async def stop(self, seconds: float) -> None:
        """Refuse what comes from now on, and wait so long at most for what runs."""
        ...

    async def close(self) -> None:
        """End."""
        ...


HEAD_SECONDS = 10.0
"""In which the head of a request must come, from its first byte or from the connection on."""
DRAIN_SECONDS = 10.0
"""For which steps may go on once the server was asked to stop."""
_TOLD_SECONDS = 1.0  # for which it goes on refusing, so that whoever asks next is told and not just cut off


class PatientProtocol(H11Protocol):
    """HTTP/1.1 whose patience ends: a head that comes byte by byte may not take longer than ``HEAD_SECONDS``."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Stop waiting where a request has begun; go on where its head is not whole."""
        super().data_received(data)
        if self not in self.connections or (self.cycle is not None and not self.cycle.response_complete):
            self._stop_waiting()  # it is another protocol's, or a request has come
        elif self._waiting is None and self.timeout_keep_alive_task is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if not self.transport.is_closing():
            self.transport.abort()


class PatientServer(uvicorn.Server):
    """Tells clients that it is shutting down before it does. A second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, service: Serving, ready: Callable[[int], None]) -> None:
        """Prepare; ``ready`` is called with the port once it listens."""
        super().__init__(config)
        self._service, self._ready = service, ready
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to compute, and listen."""
        self._loop = asyncio.get_running_loop()
        self._service.start()
        await super().startup(sockets)
        if self.started:
            self._ready(self.servers[0].sockets[0].getsockname()[1])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening and computing."""
        await super().shutdown(sockets)
        await self._service.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Refuse from now on, and leave when what runs has ended."""
        if self._loop is None or self._draining is not None:
            self.should_exit = True
            self.force_exit = self.force_exit or sig == signal.SIGINT
        else:
            self._loop.call_soon_threadsafe(self.drain)

    def drain(self) -> None:
        """Begin to shut down."""
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        await asyncio.gather(self._service.stop(DRAIN_SECONDS), asyncio.sleep(_TOLD_SECONDS))
        self.should_exit = True
