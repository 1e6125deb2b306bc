"""One request and its answer, whatever carries them: how frames are read, and how they are sent as they come."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from ....schemas.errors import BadFrame
from ....schemas.hsp import Capture, Code, Description, Open, Opened, Step, Stream
from ..bodies import decode_record, encode_record, parse_record
from ..frames import CONTENT_TYPE, Frame, Header, Reader, Type
from ..tokens import check_tokens
from .journal import Journal
from .keys import Key, KeyRing
from .line import Headers
from .metrics import Metrics
from .refused import Refused
from .served import BODY_BYTES
from .tails import Tails

R = TypeVar("R", bound=BaseModel)

_JSON_BYTES = 64 << 10


class Carrier(Protocol):
    """A client on the other end, for one request: ``Line`` is one over HTTP, ``Message`` one over a WebSocket.

    Attributes:
        status: Of the answer, once it has begun; 0 before.
    """

    status: int

    @property
    def named(self) -> str:
        """What the address named: a session, a file, a tensor; empty where it names nothing."""
        ...

    def header(self, name: bytes) -> str:
        """Return a header of the request; empty where there is none."""
        ...

    def pieces(self, most: int) -> AsyncIterator[bytes]:
        """Give what is asked piece by piece, no more than ``most`` bytes."""
        ...

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        """Send a whole answer."""
        ...

    async def begin(self, status: int, headers: Headers) -> None:
        """Begin an answer that goes out in pieces."""
        ...

    async def piece(self, data: bytes) -> None:
        """Send a piece of it."""
        ...

    async def end(self, data: bytes = b"") -> None:
        """End it."""
        ...

    async def refuse(self, refusal: Refused) -> None:
        """Say what was refused, before an answer has begun."""
        ...

    async def while_there(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work as long as the client is there."""
        ...


class Verbs(Protocol):
    """Who answers: ``Service`` computes itself, ``VllmService`` has vLLM compute.

    Attributes:
        metrics: What is counted.
        stopping: Whether nothing is accepted any more.
        sockets: Whether what is asked in frames may come over WebSockets.
    """

    metrics: Metrics
    stopping: bool
    sockets: bool

    def describe(self, key: Key) -> Description:
        """Say what is served and what this key may."""
        ...

    def tails(self, key: Key) -> Tails:
        """Return what gives the parts of the base."""
        ...

    def open(self, key: Key, asked: Open) -> Opened:
        """Begin an empty session."""
        ...

    def close_session(self, key: Key, name: str) -> None:
        """Free a session, if there is one."""
        ...

    async def step(self, key: Key, name: str, asked: Step, position: int, tokens: list[int]) -> AsyncIterator[bytes]:
        """Accept a step, and return the frames of its answer as they come."""
        ...

    async def stream(
        self, key: Key, name: str, asked: Stream, position: int, tokens: list[int]
    ) -> AsyncIterator[bytes]:
        """Accept a step, and return the frames of its answer and of what is guessed to follow it."""
        ...

    async def capture(self, key: Key, asked: Capture, sequences: Sequence[list[int]]) -> AsyncIterator[bytes]:
        """Compute whole sequences, and return their frames as they come."""
        ...


class Desk:
    """What every request needs."""

    def __init__(self, service: Verbs, keys: KeyRing, journal: Journal) -> None:
        self.service, self.keys, self.journal = service, keys, journal


class Exchange:
    """One request and its answer."""

    def __init__(self, desk: Desk, key: Key, line: Carrier) -> None:
        self.service, self.key, self.line = desk.service, key, line
        self._journal = desk.journal
        self.tokens = 0

    # -- what is asked ------------------------------------------------------------------------------------------------

    def session(self, said: str | None) -> str:
        """Return which session is meant: the one of the address, else the one that the record says.

        Raises:
            Refused: If neither says it.
        """
        name = self.line.named or said
        if not name:
            raise Refused(Code.BAD_REQUEST, "A request over a WebSocket names its session.")
        return name

    async def record(self, kind: type[R]) -> R:
        """Return the JSON record that is the body."""
        return parse_record(b"".join([piece async for piece in self.line.pieces(_JSON_BYTES)]), kind)

    async def frames(self, kind: type[R], tokens: int, sequences: int) -> tuple[R, list[Frame]]:
        """Return the record of a REQUEST frame and the TOKENS frames after it.

        ``tokens``: at most in all of them; ``sequences``: at most so many frames. More is refused by its header.
        """
        left, seen = tokens, 0

        def expect(header: Header) -> None:
            nonlocal left, seen
            seen += 1
            if header.type is not (Type.REQUEST if seen == 1 else Type.TOKENS):
                raise BadFrame("A request has one REQUEST frame and then TOKENS.")
            if seen > 1 + sequences:
                raise Refused(Code.TOO_LARGE, f"At most {sequences} sequences may come at once.", limit=sequences)
            if seen > 1:
                if header.rows > left:
                    raise Refused(Code.TOO_LARGE, f"At most {tokens} tokens may come at once.", limit=tokens)
                check_tokens(header, left)
                left -= header.rows

        reader = Reader(expect)
        found = [frame async for piece in self.line.pieces(BODY_BYTES) for frame in reader.feed(piece)]
        reader.close()
        if not found:
            raise BadFrame("The request is empty.")
        return decode_record(found[0], kind), found[1:]

    # -- what is answered ---------------------------------------------------------------------------------------------

    async def answer(self, status: int, body: bytes, kind: bytes, headers: Headers) -> None:
        """Send a whole answer."""
        await self.line.answer(status, body, [(b"content-type", kind), *headers])

    async def empty(self) -> None:
        """Send an answer without a body."""
        await self.line.answer(204, b"", [])

    async def json(self, status: int, record: BaseModel) -> None:
        """Send a record."""
        await self.answer(status, record.model_dump_json(exclude_none=True).encode(), b"application/json", [])

    async def at_once(self, frames: AsyncIterator[bytes]) -> None:
        """Send a short answer as a whole."""
        async with contextlib.aclosing(frames) as held:  # type: ignore[type-var]
            body = b"".join([frame async for frame in held])
        await self.answer(200, body, CONTENT_TYPE.encode(), [])

    async def stream(self, frames: AsyncIterator[bytes]) -> None:
        """Send frames as they come, as long as the client is there.

        Raises:
            Refused: Of what goes wrong before the first frame; after it, an ERROR frame says it.
            ClientDisconnect: If the client went away.
        """
        await self.line.while_there(self._send_all(frames))

    async def _send_all(self, frames: AsyncIterator[bytes]) -> None:
        line = self.line
        async with contextlib.aclosing(frames) as held:  # type: ignore[type-var]
            try:
                async for frame in held:
                    if not line.status:
                        await line.begin(200, _FRAMES)
                    await line.piece(frame)
            except Refused as refusal:
                if not line.status:
                    raise
                if refusal.__cause__ is not None:
                    self.failed(refusal.__cause__)
                line.status = refusal.status
                await line.piece(encode_record(Type.ERROR, refusal.problem))
        await line.end()

    def failed(self, error: BaseException) -> None:
        """Write down where something failed."""
        self._journal.write_failure(error)


_FRAMES = [(b"content-type", CONTENT_TYPE.encode())]
