"""HTTP: which address is which verb. What is asked all the time, steps, goes straight through ASGI."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from ....schemas.hsp import Code, Problem
from .. import routes
from . import verbs
from .exchange import Desk, Verbs
from .journal import Journal
from .keys import ANYBODY, KeyRing
from .line import Line, Receive, Scope, Send
from .sockets import Sockets
from .verbs import Handle


def make_app(service: Verbs, keys: KeyRing, journal: Journal) -> Starlette:
    """Return the ASGI application."""
    desk = Desk(service, keys, journal)

    def route(path: str, method: str, verb: str, handle: Handle, *, is_open: bool = False) -> Route:
        found = Route(path, endpoint=_Endpoint(desk, verb, handle, is_open=is_open), methods=[method])
        found.methods = {method}  # a plain ASGI endpoint has none of its own
        return found

    return Starlette(
        routes=[
            route(routes.STEP, "POST", "step", verbs.step),
            route(routes.CAPTURE, "POST", "capture", verbs.capture),
            route(routes.SESSIONS, "POST", "open", verbs.open_session),
            route(routes.SESSION, "DELETE", "close", verbs.close_session),
            route(routes.DESCRIBE, "GET", "describe", verbs.describe),
            route(routes.STREAM, "POST", "stream", verbs.stream),
            route(routes.CORRECT, "POST", "correct", verbs.correct),
            route(routes.CONTENTS, "GET", "contents", verbs.contents),
            route(routes.FILE, "GET", "file", verbs.file),
            route(routes.TENSOR, "GET", "tensor", verbs.tensor),
            route(routes.METRICS, "GET", "metrics", verbs.metrics),
            route(routes.HEALTH, "GET", "health", verbs.health, is_open=True),
            WebSocketRoute(routes.SOCKET, endpoint=Sockets(desk)),
        ],
        exception_handlers={404: _nowhere, 405: _nowhere},
    )


async def _nowhere(request: Request, error: Exception) -> Response:
    """Answer what asks for something that is not there."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    problem = Problem(code=Code.BAD_REQUEST, message="HSP/1 has nothing of this kind here; check the address.")
    return Response(problem.model_dump_json(exclude_none=True), status, media_type="application/json")


class _Endpoint:
    """A verb as an ASGI application."""

    def __init__(self, desk: Desk, verb: str, handle: Handle, *, is_open: bool) -> None:
        self._desk, self._verb, self._handle, self._is_open = desk, verb, handle, is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = Line(scope, receive, send)
        key = ANYBODY if self._is_open else self._desk.keys.find(line.header(b"authorization"))
        await verbs.do(self._desk, self._verb, self._handle, key, line)
