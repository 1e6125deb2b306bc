"""HTTP: from requests to verbs and back. What is asked all the time, steps, goes straight through ASGI."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ....schemas.errors import BadFrame
from ....schemas.hsp import Capture, Code, Open, Problem, Step, Stream
from .. import routes
from ..bodies import decode_record, encode_record, parse_record
from ..frames import CONTENT_TYPE, Frame, Header, Reader, Type
from ..tokens import check_tokens, decode_tokens
from .journal import Journal
from .keys import ANYBODY, Key, KeyRing
from .line import Headers, Line, Receive, Scope, Send
from .metrics import CONTENT_TYPE as METRICS_TYPE
from .refused import Refused, shutting_down
from .scheduler import FEW
from .service import BODY_BYTES, Service
from .tails import Body

R = TypeVar("R", bound=BaseModel)

_JSON_BYTES = 64 << 10
_GONE = 499  # what nginx writes down where the client went away


def make_app(service: Service, keys: KeyRing, journal: Journal) -> Starlette:
    """Return the ASGI application."""
    desk = _Desk(service, keys, journal)

    def route(path: str, method: str, verb: str, handle: Handle, *, is_open: bool = False) -> Route:
        found = Route(path, endpoint=_Endpoint(desk, verb, handle, is_open=is_open), methods=[method])
        found.methods = {method}  # a plain ASGI endpoint has none of its own
        return found

    return Starlette(
        routes=[
            route(routes.STEP, "POST", "step", _step),
            route(routes.CAPTURE, "POST", "capture", _capture),
            route(routes.SESSIONS, "POST", "open", _open),
            route(routes.SESSION, "DELETE", "close", _close),
            route(routes.DESCRIBE, "GET", "describe", _describe),
            route(routes.STREAM, "POST", "stream", _stream),
            route(routes.CORRECT, "POST", "correct", _not_offered),
            route(routes.CONTENTS, "GET", "contents", _contents),
            route(routes.FILE, "GET", "file", _file),
            route(routes.TENSOR, "GET", "tensor", _tensor),
            route(routes.METRICS, "GET", "metrics", _metrics),
            route(routes.HEALTH, "GET", "health", _health, is_open=True),
        ],
        exception_handlers={404: _nowhere, 405: _nowhere},
    )


async def _nowhere(request: Request, error: Exception) -> Response:
    """Answer what asks for something that is not there."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    problem = Problem(code=Code.BAD_REQUEST, message="HSP/1 has nothing of this kind here; check the address.")
    return Response(problem.model_dump_json(exclude_none=True), status, media_type="application/json")


class _Desk:
    """What every request needs."""

    def __init__(self, service: Service, keys: KeyRing, journal: Journal) -> None:
        self.service, self.keys, self.journal = service, keys, journal


class _Exchange:
    """One request and its answer."""

    def __init__(self, desk: _Desk, key: Key, line: Line) -> None:
        self.service, self.key, self.line = desk.service, key, line
        self._journal = desk.journal
        self.tokens = 0

    @property
    def session(self) -> str:
        return str(self.line.scope["path_params"]["session"])

    @property
    def name(self) -> str:
        return str(self.line.scope["path_params"]["name"])

    # -- what is asked ------------------------------------------------------------------------------------------------

    async def record(self, kind: type[R]) -> R:
        """Return the JSON record that is the body."""
        return parse_record(await self.line.body(_JSON_BYTES), kind)

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

    async def json(self, status: int, record: BaseModel, headers: Headers | None = None) -> None:
        """Send a record."""
        body = record.model_dump_json(exclude_none=True).encode()
        await self.answer(status, body, b"application/json", headers or [])

    async def at_once(self, frames: AsyncIterator[bytes]) -> None:
        """Send a short answer as a whole."""
        async with contextlib.aclosing(frames) as held:  # type: ignore[type-var]
            body = b"".join([frame async for frame in held])
        await self.answer(200, body, CONTENT_TYPE.encode(), [])

    async def part(self, body: Body) -> None:
        """Send bytes, all or those from the range that was asked for.

        Raises:
            Refused: If there is no such range.
            ClientDisconnect: If the client went away.
        """
        first, stop = _range(self.line.header(b"range"), body.size)
        headers = [(b"content-type", b"application/octet-stream"), (b"content-length", str(stop - first).encode())]
        headers += [(b"accept-ranges", b"bytes")]
        whole = (first, stop) == (0, body.size)
        if not whole:
            headers += [(b"content-range", f"bytes {first}-{stop - 1}/{body.size}".encode())]

        async def send() -> None:
            await self.line.begin(200 if whole else 206, headers)
            async for piece in body.pieces(first, stop):
                await self.line.piece(piece)
                self.service.metrics.sent.add(len(piece), "tail")
            await self.line.end()

        await self.line.while_there(send())

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


def _range(said: str, size: int) -> tuple[int, int]:
    """Return which bytes are asked for, ``first`` to ``stop``, of so many.

    Raises:
        Refused: If they are none of them, or several ranges.
    """
    if not said:
        return 0, size
    found = _RANGE.fullmatch(said.strip())
    first = int(found[1]) if found else size
    stop = min(size, int(found[2]) + 1) if found and found[2] else size
    if first >= stop:
        raise Refused(Code.BAD_REQUEST, f"Of {size} bytes one range can be asked for, as bytes=0-99.", limit=size)
    return first, stop


_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?", re.ASCII)

Handle = Callable[[_Exchange], Awaitable[None]]
_FRAMES = [(b"content-type", CONTENT_TYPE.encode())]
_UNTOLD = ("health", "metrics")


class _Endpoint:
    """A verb as an ASGI application: who asks, what comes of it, and what is written down."""

    def __init__(self, desk: _Desk, verb: str, handle: Handle, *, is_open: bool) -> None:
        self._desk, self._verb, self._handle, self._is_open = desk, verb, handle, is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, line = time.perf_counter(), Line(scope, receive, send)
        key = ANYBODY if self._is_open else self._desk.keys.find(line.header(b"authorization"))
        exchange = _Exchange(self._desk, key or ANYBODY, line)
        try:
            if key is None:
                raise Refused(Code.UNAUTHORISED, "This server asks for a key, and this is none; ask its owner for one.")
            await self._handle(exchange)
        except ClientDisconnect:
            exchange.line.status = _GONE
        except (Refused, BadFrame) as error:
            await _tell(exchange, error)
        except Exception as error:  # noqa: BLE001 (whatever it is, the next request shall find a server)
            refusal = Refused(Code.INTERNAL, "The server failed; its log says where. Try again.")
            refusal.__cause__ = error
            await _tell(exchange, refusal)
        self._count(exchange, time.perf_counter() - began)

    def _count(self, exchange: _Exchange, seconds: float) -> None:
        self._desk.service.metrics.requests.add(1, self._verb, str(exchange.line.status))
        if self._verb not in _UNTOLD and (
            self._verb != "step" or exchange.line.status >= 400 or self._desk.journal.steps
        ):
            self._desk.journal.write(
                "request",
                verb=self._verb,
                key=exchange.key.name,
                status=exchange.line.status,
                tokens=exchange.tokens or None,
                ms=seconds * 1000,
            )


async def _tell(exchange: _Exchange, error: Refused | BadFrame) -> None:
    """Say what was refused, where the answer has not begun; a connection whose body was not read ends with it."""
    refusal = error if isinstance(error, Refused) else Refused(Code.BAD_REQUEST, str(error))
    if error.__cause__ is not None and refusal.problem.code is Code.INTERNAL:
        exchange.failed(error.__cause__)
    if exchange.line.status:
        return
    with contextlib.suppress(ClientDisconnect):
        unread = [] if exchange.line.is_read else [(b"connection", b"close")]
        await exchange.json(refusal.status, refusal.problem, [*refusal.headers, *unread])


# -- the verbs --------------------------------------------------------------------------------------------------------


async def _step(exchange: _Exchange) -> None:
    most = exchange.key.allowance.step_tokens
    asked, frames = await exchange.frames(Step, most, 1)
    if len(frames) != 1:
        raise BadFrame("A step has one TOKENS frame.")
    tokens = decode_tokens(frames[0])
    exchange.tokens = len(tokens)
    answer = await exchange.service.step(exchange.key, exchange.session, asked, frames[0].header.position, tokens)
    await (exchange.at_once(answer) if len(tokens) <= FEW else exchange.stream(answer))


async def _stream(exchange: _Exchange) -> None:
    asked, frames = await exchange.frames(Stream, exchange.key.allowance.step_tokens, 1)
    if len(frames) != 1:
        raise BadFrame("A stream has one TOKENS frame.")
    tokens = decode_tokens(frames[0])
    exchange.tokens = len(tokens)
    position = frames[0].header.position
    await exchange.stream(await exchange.service.stream(exchange.key, exchange.session, asked, position, tokens))


async def _capture(exchange: _Exchange) -> None:
    allowed = exchange.key.allowance
    if not allowed.capture_tokens:
        raise Refused(Code.NOT_OFFERED, "This key may not capture.")
    asked, frames = await exchange.frames(Capture, allowed.capture_tokens, allowed.capture_sequences)
    for number, frame in enumerate(frames):
        if frame.header.sequence != number or frame.header.position:
            raise BadFrame("The sequences of a capture are numbered from 0, and begin at position 0.")
    sequences = [decode_tokens(frame) for frame in frames]
    exchange.tokens = sum(map(len, sequences))
    await exchange.stream(await exchange.service.capture(exchange.key, asked, sequences))


async def _open(exchange: _Exchange) -> None:
    await exchange.json(201, exchange.service.open(exchange.key, await exchange.record(Open)))


async def _close(exchange: _Exchange) -> None:
    exchange.service.close_session(exchange.key, exchange.session)
    await exchange.empty()


async def _describe(exchange: _Exchange) -> None:
    await exchange.json(200, exchange.service.describe(exchange.key))


async def _contents(exchange: _Exchange) -> None:
    await exchange.json(200, await exchange.service.tails(exchange.key).contents())


async def _file(exchange: _Exchange) -> None:
    tails = exchange.service.tails(exchange.key)
    with tails.sending(exchange.key):
        await exchange.part(await tails.file(exchange.name))


async def _tensor(exchange: _Exchange) -> None:
    tails = exchange.service.tails(exchange.key)
    with tails.sending(exchange.key):
        await exchange.part(await tails.tensor(exchange.name))


async def _not_offered(exchange: _Exchange) -> None:
    raise Refused(Code.NOT_OFFERED, "Streams are corrected by another stream.")


async def _metrics(exchange: _Exchange) -> None:
    await exchange.answer(200, exchange.service.metrics.text().encode(), METRICS_TYPE.encode(), [])


async def _health(exchange: _Exchange) -> None:
    if exchange.service.stopping:
        raise shutting_down()
    await exchange.answer(200, b"ok\n", b"text/plain; charset=utf-8", [])
