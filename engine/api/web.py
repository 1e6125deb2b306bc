"""HTTP: who may ask, what is asked, and how the answer goes out. Bodies are measured before they are read."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ...schemas.errors import NightSchoolError
from ...schemas.records import Answered
from ..wire.server.journal import Journal
from ..wire.server.keys import ANYBODY, Key, KeyRing
from ..wire.server.line import Headers, Line, Receive, Scope, Send
from . import shapes
from .asking import Asked, Feedback, read_body, read_chat
from .refusal import Refusal, refusal_of
from .service import Service
from .shapes import Head

BODY_BYTES = 4 << 20
"""The largest body of a request."""
_JSON: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_EVENTS: Headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_GONE = 499  # what nginx writes down where the client went away


def make_app(service: Service, keys: KeyRing, journal: Journal, hosts: Iterable[str] | None) -> Starlette:
    """Return the ASGI application.

    Args:
        service: That answers.
        keys: Of those who may ask.
        journal: What is written down: numbers and names alone.
        hosts: Names that this server may be called by; None: any. A browser that was led astray calls it by another.
    """
    desk = _Desk(service, keys, journal, None if hosts is None else frozenset(hosts))

    def route(path: str, method: str, verb: str, handle: Handle) -> Route:
        found = Route(path, endpoint=_Endpoint(desk, verb, handle), methods=[method])
        found.methods = {method}  # a plain ASGI endpoint has none of its own
        return found

    return Starlette(
        routes=[
            route("/v1/models", "GET", "models", _models),
            route("/v1/models/{model:path}", "GET", "model", _model),
            route("/v1/chat/completions", "POST", "chat", _chat),
            route("/v1/nightschool/feedback", "POST", "feedback", _feedback),
        ],
        exception_handlers={404: _nowhere, 405: _nowhere},
    )


async def _nowhere(request: Request, error: Exception) -> Response:
    """Answer what asks for something that is not there."""
    there = "/v1/models, /v1/chat/completions and /v1/nightschool/feedback"
    refusal = Refusal(404, "unknown_url", f"There is nothing of this kind here; there is {there}.")
    return Response(json.dumps(refusal.body), refusal.status, media_type="application/json")


class _Desk:
    """What every request needs."""

    def __init__(self, service: Service, keys: KeyRing, journal: Journal, hosts: frozenset[str] | None) -> None:
        self.service, self.keys, self.journal, self.hosts = service, keys, journal, hosts

    def admit(self, line: Line) -> Key:
        """Return whose key a request has.

        Raises:
            Refusal: If it has none, or was not meant for this server.
        """
        if self.hosts is not None and _name_of(line.header(b"host")) not in self.hosts:
            message = "This server is not called so; ask it by the address that it was started at."
            raise Refusal(403, "host_not_allowed", message)
        key = self.keys.find(line.header(b"authorization"))
        if key is None:
            message = "This is no key of this server; `nightschool api keys add NAME` makes one."
            raise Refusal(401, "invalid_api_key", message)
        return key


class _Exchange:
    """One request and its answer."""

    def __init__(self, service: Service, line: Line, key: Key) -> None:
        self.service, self.line, self.key = service, line, key
        self.tokens: int | None = None

    async def body(self) -> bytes:
        """Return the body of the request."""
        return await self.line.body(BODY_BYTES)

    async def json(self, values: dict[str, Any]) -> None:
        """Send a whole answer."""
        await self.line.answer(200, _dumped(values), _JSON)


Handle = Callable[[_Exchange], Awaitable[None]]


class _Endpoint:
    """A verb as an ASGI application: who asks, what comes of it, and what is written down."""

    def __init__(self, desk: _Desk, verb: str, handle: Handle) -> None:
        self._desk, self._verb, self._handle = desk, verb, handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, line = time.perf_counter(), Line(scope, receive, send)
        exchange = _Exchange(self._desk.service, line, ANYBODY)
        try:
            exchange.key = self._desk.admit(line)
            await self._handle(exchange)
        except ClientDisconnect:
            line.status = _GONE
        except NightSchoolError as error:
            await _tell(line, refusal_of(error))
        except Exception as error:  # noqa: BLE001 (whatever it is, the next request shall find a server)
            self._desk.journal.write_failure(error)
            await _tell(line, Refusal(500, "internal", "The server failed; its log says where. Try again."))
        self._desk.journal.write(
            "request",
            verb=self._verb,
            key=exchange.key.name,
            status=line.status,
            tokens=exchange.tokens,
            ms=(time.perf_counter() - began) * 1000,
        )


async def _tell(line: Line, refusal: Refusal) -> None:
    """Say what was refused; a connection whose body was not read ends with it."""
    with suppress(ClientDisconnect):
        if line.status:
            line.status = refusal.status
            await line.end(shapes.sse(refusal.body))
            return
        headers = list(_JSON)
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if refusal.retry_after is not None:
            headers.append((b"retry-after", str(refusal.retry_after).encode()))
        if not line.is_read:
            headers.append((b"connection", b"close"))
        await line.answer(refusal.status, _dumped(refusal.body), headers)


# -- the verbs --------------------------------------------------------------------------------------------------------


async def _models(exchange: _Exchange) -> None:
    await exchange.json({"object": "list", "data": await exchange.service.models()})


async def _model(exchange: _Exchange) -> None:
    await exchange.json(await exchange.service.model(str(exchange.line.scope["path_params"]["model"])))


async def _chat(exchange: _Exchange) -> None:
    asked = read_chat(await exchange.body())
    answer = _in_pieces(exchange, asked) if asked.stream else _at_once(exchange, asked)
    await exchange.line.while_there(answer)


async def _feedback(exchange: _Exchange) -> None:
    said = read_body(await exchange.body(), Feedback)
    await exchange.json(await exchange.service.feedback(exchange.key.name, said))


async def _at_once(exchange: _Exchange, asked: Asked) -> None:
    head = Head(shapes.new_id(), int(time.time()), asked.model)
    async with aclosing(exchange.service.reply(exchange.key.name, asked, head.id)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Answered):
                exchange.tokens = piece.tokens
                await exchange.json(head.whole(piece))


async def _in_pieces(exchange: _Exchange, asked: Asked) -> None:
    line, head, counted = exchange.line, Head(shapes.new_id(), int(time.time()), asked.model), asked.usage
    async with aclosing(exchange.service.reply(exchange.key.name, asked, head.id)) as pieces:
        async for piece in pieces:
            if not line.status:
                await line.begin(200, _EVENTS)
                await line.piece(shapes.sse(head.first(counted=counted)))
            if isinstance(piece, str):
                await line.piece(shapes.sse(head.piece(piece, counted=counted)))
                continue
            exchange.tokens = piece.tokens
            await line.piece(shapes.sse(head.last(piece, counted=counted)))
            if counted:
                await line.piece(shapes.sse(head.count(piece)))
            await line.end(shapes.DONE)


def _name_of(host: str) -> str:
    """Return the name in a Host header, without its port."""
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return name.rstrip(".").lower()


def _dumped(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode()
