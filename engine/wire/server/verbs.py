"""What is done for each verb, whatever carries it: what is read of a request, and how its answer goes out."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect

from ....schemas.errors import BadFrame
from ....schemas.hsp import Capture, Code, Open, Step, Stream
from ..tokens import decode_tokens
from .exchange import Carrier, Desk, Exchange
from .keys import ANYBODY, Key
from .metrics import CONTENT_TYPE as METRICS_TYPE
from .refused import Refused, shutting_down
from .scheduler import FEW
from .tails import Body

Handle = Callable[[Exchange], Awaitable[None]]

_GONE = 499  # what nginx writes down where the client went away
_UNTOLD = ("health", "metrics")


async def do(desk: Desk, verb: str, handle: Handle, key: Key | None, line: Carrier) -> None:
    """Do what is asked, answer whatever comes of it, and write it down. ``key``: None, nobody's."""
    began = time.perf_counter()
    exchange = Exchange(desk, key or ANYBODY, line)
    try:
        if key is None:
            raise Refused(Code.UNAUTHORISED, "This server asks for a key, and this is none; ask its owner for one.")
        await handle(exchange)
    except ClientDisconnect:
        line.status = _GONE
    except (Refused, BadFrame) as error:
        await _tell(exchange, error)
    except Exception as error:  # noqa: BLE001 (whatever it is, the next request shall find a server)
        refusal = Refused(Code.INTERNAL, "The server failed; its log says where. Try again.")
        refusal.__cause__ = error
        await _tell(exchange, refusal)
    count(desk, verb, exchange, time.perf_counter() - began)


def count(desk: Desk, verb: str, exchange: Exchange, seconds: float) -> None:
    """Write down what became of a request."""
    status = exchange.line.status
    desk.service.metrics.requests.add(1, verb, str(status))
    if verb not in _UNTOLD and (verb != "step" or status >= 400 or desk.journal.steps):
        desk.journal.write(
            "request",
            verb=verb,
            key=exchange.key.name,
            status=status,
            tokens=exchange.tokens or None,
            ms=seconds * 1000,
        )


async def _tell(exchange: Exchange, error: Refused | BadFrame) -> None:
    """Say what was refused, where the answer has not begun."""
    refusal = error if isinstance(error, Refused) else Refused(Code.BAD_REQUEST, str(error))
    if error.__cause__ is not None and refusal.problem.code is Code.INTERNAL:
        exchange.failed(error.__cause__)
    if exchange.line.status:
        return
    try:
        await exchange.line.refuse(refusal)
    except ClientDisconnect:
        exchange.line.status = exchange.line.status or _GONE


# -- the verbs of frames ----------------------------------------------------------------------------------------------


async def step(exchange: Exchange) -> None:
    """Answer a step."""
    most = exchange.key.allowance.step_tokens
    asked, frames = await exchange.frames(Step, most, 1)
    if len(frames) != 1:
        raise BadFrame("A step has one TOKENS frame.")
    tokens = decode_tokens(frames[0])
    exchange.tokens = len(tokens)
    session, position = exchange.session(asked.session), frames[0].header.position
    answer = await exchange.service.step(exchange.key, session, asked, position, tokens)
    await (exchange.at_once(answer) if len(tokens) <= FEW else exchange.stream(answer))


async def stream(exchange: Exchange) -> None:
    """Answer a stream."""
    asked, frames = await exchange.frames(Stream, exchange.key.allowance.step_tokens, 1)
    if len(frames) != 1:
        raise BadFrame("A stream has one TOKENS frame.")
    tokens = decode_tokens(frames[0])
    exchange.tokens = len(tokens)
    session, position = exchange.session(asked.session), frames[0].header.position
    await exchange.stream(await exchange.service.stream(exchange.key, session, asked, position, tokens))


async def capture(exchange: Exchange) -> None:
    """Answer a capture."""
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


FRAMED: dict[str, Handle] = {"step": step, "stream": stream, "capture": capture}
"""The verbs that are asked and answered in frames, which a WebSocket carries as well."""


# -- those of JSON and bytes ------------------------------------------------------------------------------------------


async def open_session(exchange: Exchange) -> None:
    """Begin a session."""
    await exchange.json(201, exchange.service.open(exchange.key, await exchange.record(Open)))


async def close_session(exchange: Exchange) -> None:
    """End a session."""
    exchange.service.close_session(exchange.key, exchange.line.named)
    await exchange.empty()


async def describe(exchange: Exchange) -> None:
    """Say what is served."""
    await exchange.json(200, exchange.service.describe(exchange.key))


async def contents(exchange: Exchange) -> None:
    """Give the list of the base's parts."""
    await exchange.json(200, await exchange.service.tails(exchange.key).contents())


async def file(exchange: Exchange) -> None:
    """Give a file beside the weights."""
    tails = exchange.service.tails(exchange.key)
    with tails.sending(exchange.key):
        await _send_part(exchange, await tails.file(exchange.line.named))


async def tensor(exchange: Exchange) -> None:
    """Give a tensor of the tail."""
    tails = exchange.service.tails(exchange.key)
    with tails.sending(exchange.key):
        await _send_part(exchange, await tails.tensor(exchange.line.named))


async def correct(exchange: Exchange) -> None:
    """Refuse what is reserved."""
    raise Refused(Code.NOT_OFFERED, "Streams are corrected by another stream.")


async def metrics(exchange: Exchange) -> None:
    """Say what was counted."""
    await exchange.answer(200, exchange.service.metrics.text().encode(), METRICS_TYPE.encode(), [])


async def health(exchange: Exchange) -> None:
    """Say that the server is there."""
    if exchange.service.stopping:
        raise shutting_down()
    await exchange.answer(200, b"ok\n", b"text/plain; charset=utf-8", [])


async def _send_part(exchange: Exchange, body: Body) -> None:
    """Send bytes, all or those from the range that was asked for.

    Raises:
        Refused: If there is no such range.
        ClientDisconnect: If the client went away.
    """
    line = exchange.line
    first, stop = _range(line.header(b"range"), body.size)
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", str(stop - first).encode())]
    headers += [(b"accept-ranges", b"bytes")]
    whole = (first, stop) == (0, body.size)
    if not whole:
        headers += [(b"content-range", f"bytes {first}-{stop - 1}/{body.size}".encode())]

    async def send() -> None:
        await line.begin(200 if whole else 206, headers)
        async for piece in body.pieces(first, stop):
            await line.piece(piece)
            exchange.service.metrics.sent.add(len(piece), "tail")
        await line.end()

    await line.while_there(send())


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
