"""uvicorn's WebSockets, without patience: a message that comes byte by byte, and a client that never reads."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.events import BytesMessage, Ping, TextMessage

from . import line


class PatientSocket(WSProtocol):
    """A WebSocket on which a message must come whole within the time that a body may take."""

    _waiting: asyncio.TimerHandle | None = None
    _is_whole = True

    def data_received(self, data: bytes) -> None:
        """Begin to wait where a message has begun, and stop where one has come."""
        self._is_whole = not self.handshake_complete
        super().data_received(data)
        if self._is_whole:
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(line.PATIENCE, self._give_up)

    def handle_message(self, event: TextMessage | BytesMessage) -> None:
        """Note whether it is the end of one."""
        super().handle_message(event)
        self._is_whole = event.message_finished

    def handle_ping(self, event: Ping) -> None:
        """Note whether it stands between messages."""
        super().handle_ping(event)
        self._is_whole = self.buffer.value is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    async def run_asgi(self) -> None:
        """Serve; what the client has not read some time after that, it will not."""
        await super().run_asgi()
        if not self.disconnected:
            self.loop.call_later(line.PATIENCE, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if not self.transport.is_closing():
            self.transport.abort()
