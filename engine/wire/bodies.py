"""JSON records in frames: REQUEST, END and ERROR, and the bodies of requests that are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ...schemas.errors import BadFrame
from .frames import Frame, Header, Type, encode
from .tokens import encode_tokens

R = TypeVar("R", bound=BaseModel)


def encode_record(kind: Type, record: BaseModel) -> bytes:
    """Return a frame with a record; fields without a value are left out."""
    return encode(Header(kind), record.model_dump_json(exclude_none=True).encode())


def encode_request(record: BaseModel, sequences: Iterable[Sequence[int]], *, position: int = 0) -> bytes:
    """Return the body of a request: the record of its verb, then the tokens; one sequence, or those of a capture.

    Raises:
        BadFrame: If a token cannot be sent.
    """
    frames = [encode_record(Type.REQUEST, record)]
    frames += [encode_tokens(tokens, position=position, sequence=number) for number, tokens in enumerate(sequences)]
    return b"".join(frames)


def decode_record(frame: Frame, kind: type[R]) -> R:
    """Return the record of a REQUEST, END or ERROR frame.

    Raises:
        BadFrame: If it is none of this kind.
    """
    return parse_record(frame.payload, kind)


def parse_record(data: bytes, kind: type[R]) -> R:
    """Return a record from JSON.

    Raises:
        BadFrame: If it is none of this kind; the message repeats nothing of what was sent.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))[:80]
        raise BadFrame(f"The peer sent no {kind.__name__} of HSP/1 ({place}: {first['type']}).") from error
