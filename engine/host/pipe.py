"""The engine protocol on its pipe: one JSON object a line, typed both ways (see ``schemas/messages/``)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ...schemas.errors import NightSchoolError, ProtocolError, UsageError, error_classes
from ...schemas.events import EVENTS, Event
from ...schemas.messages import Request, requests_by_method

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes of a line, its end included."""


@dataclass(frozen=True)
class Told:
    """An event; ``id`` is the request it belongs to, None for everybody."""

    id: int | None
    event: Event


@dataclass(frozen=True)
class Ended:
    """The end of a request: ``result`` as plain JSON values, or the error it ended in."""

    id: int | None
    result: Any = None
    error: NightSchoolError | None = None


class BadRequest(Exception):
    """A line that asks for nothing we know; ``id`` is the request's own number where it could be read."""

    def __init__(self, number: int | None, error: NightSchoolError) -> None:
        super().__init__(str(error))
        self.id = number
        self.error = error


async def read_line(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next line without its end, or None at the end of the stream (half a line counts as none).

    Raises:
        ProtocolError: If the line is longer than ``LONGEST_LINE``; it has been skipped.
    """
    skipped = False
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            await reader.readexactly(error.consumed)
            skipped = True
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        else:
            if skipped:
                raise ProtocolError(f"A line on the engine pipe is longer than {LONGEST_LINE} bytes; ask for less.")
            return line[:-1]


# -- what is asked ----------------------------------------------------------------------------------------------------


def dump_request(number: int, request: Request[Any]) -> bytes:
    """Return the line that asks.

    Raises:
        UsageError: If it is too long.
    """
    line = _line({"id": number, "method": request.method, "params": request.model_dump(mode="json")})
    if len(line) > LONGEST_LINE:
        raise UsageError(f"That is more than the {LONGEST_LINE >> 20} MB that can be sent at once; send it in parts.")
    return line


def parse_request(line: bytes) -> tuple[int, Request[Any]]:
    """Return the number and the request of a line.

    Raises:
        BadRequest: If it is not a request of ours.
    """
    try:
        values = _object(line)
    except ProtocolError as error:
        raise BadRequest(None, error) from error
    number = values.get("id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise BadRequest(None, ProtocolError("A request needs a whole number as its id; give one."))
    cls = requests_by_method().get(str(values.get("method")))
    if cls is None or values.keys() - {"id", "method", "params"}:
        problem = "fields that do not belong there" if cls else f"an unknown method {str(values.get('method'))[:60]!r}"
        raise BadRequest(number, ProtocolError(f"A request has {problem}; use the client of the same Night School."))
    try:
        json.dumps(values, ensure_ascii=False).encode()
        return number, cls.model_validate(values.get("params", {}))
    except UnicodeEncodeError as error:
        half = UsageError("The text holds half a character (a lone surrogate); remove it and try again.")
        raise BadRequest(number, half) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "params"
        raise BadRequest(number, UsageError(f"{cls.method} cannot have this {where}: {first['msg']}.")) from error


# -- what is told and answered ----------------------------------------------------------------------------------------


def dump_event(number: int | None, event: Event) -> bytes:
    """Return the line that tells of an event."""
    return _line({"id": number, "event": event.model_dump(mode="json")})


def dump_result(number: int, request: Request[Any], result: Any) -> bytes:
    """Return the line that answers; an answer that is too long becomes an error that says so."""
    line = _line({"id": number, "result": request.result_type().dump_python(result, mode="json")})
    if len(line) > LONGEST_LINE:
        return dump_error(number, UsageError("The answer is too long to be sent at once; ask for less, with a limit."))
    return line


def dump_error(number: int | None, error: NightSchoolError) -> bytes:
    """Return the line that refuses."""
    return _line({"id": number, "error": {"code": type(error).__name__, "message": str(error)}})


def parse_answer(line: bytes) -> Told | Ended:
    """Return what the engine said.

    Raises:
        ProtocolError: If it is not a message of ours.
    """
    values = _object(line)
    number = values.get("id")
    if "id" in values and (number is None or (isinstance(number, int) and not isinstance(number, bool))):
        match values:
            case {"event": event, **rest} if rest.keys() == {"id"}:
                try:
                    return Told(number, EVENTS.validate_python(event))
                except ValidationError as error:
                    raise _not_ours(line) from error
            case {"error": {"code": str(code), "message": str(message)}, **rest} if rest.keys() == {"id"}:
                return Ended(number, error=error_classes().get(code, NightSchoolError)(message))
            case {"result": result, **rest} if rest.keys() == {"id"}:
                return Ended(number, result=result)
    raise _not_ours(line)


def _object(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _not_ours(line) from error
    if not isinstance(values, dict):
        raise _not_ours(line)
    return values


def _not_ours(line: bytes) -> ProtocolError:
    return ProtocolError(
        f"A line on the engine pipe is not a message of ours: {line[:60]!r}; use the client of the same Night School."
    )


def _line(values: dict[str, Any]) -> bytes:
    # ASCII only: half a character (a lone surrogate) travels as an escape and is refused by name where it arrives.
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"
