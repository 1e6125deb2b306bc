"""Rows out of the answers of a stranger: nothing is believed but finite numbers, as many as were asked for."""

from __future__ import annotations

import base64
import binascii
import json
from array import array
from typing import TYPE_CHECKING, Any, NoReturn

from ....schemas.errors import BadFrame
from .dialect import Asked

if TYPE_CHECKING:
    from torch import Tensor

AROUND = 65_536
"""Bytes that an answer may have beside its numbers."""

_NUMBER = 32  # bytes that one number of JSON may take, its comma and spaces included
_FLOAT32 = 4


def json_bytes(asked: Asked) -> int:
    """Return the most bytes that rows written as JSON numbers can take."""
    return len(asked.tokens) * asked.width * _NUMBER + AROUND


def base64_bytes(asked: Asked) -> int:
    """Return the most bytes that rows of float32 can take, written in base64."""
    return len(asked.tokens) * asked.width * _FLOAT32 * 4 // 3 + AROUND


def parsed(body: bytes) -> Any:
    """Return what JSON says; NaN and Infinity are not JSON.

    Raises:
        BadFrame: If it is none.
    """
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadFrame("The server's answer is not JSON; is it the engine that the settings say?") from error


def within(found: Any, *way: str | int) -> Any:
    """Return what lies within JSON at the end of a way of keys and places.

    Raises:
        BadFrame: If there is nothing.
    """
    for step in way:
        held = isinstance(found, dict) if isinstance(step, str) else isinstance(found, list)
        try:
            found = found[step] if held else _lacking(step)
        except (KeyError, IndexError):
            _lacking(step)
    return found


def rows_of_lists(found: Any, asked: Asked) -> Tensor:
    """Return rows ``(n, width)`` from lists of numbers: one for each token asked for, or for the last ones.

    Raises:
        BadFrame: If they are anything else.
    """
    import torch

    if not isinstance(found, list) or not 0 < len(found) <= len(asked.tokens):
        count = len(found) if isinstance(found, list) else "no"
        raise BadFrame(f"The server gives {count} rows for {len(asked.tokens)} tokens; do not use it.")
    flat = array("d")
    for row in found:
        if not isinstance(row, list) or len(row) != asked.width:
            width = len(row) if isinstance(row, list) else "no"
            raise BadFrame(f"The server gives rows of {width} numbers, not of {asked.width}; is it the same model?")
        if not {type(number) for number in row} <= {float, int}:
            raise BadFrame("The server gives rows that are not made of numbers; do not use it.")
        try:
            flat.extend(row)
        except OverflowError as error:
            raise _infinite() from error
    return _finite(torch.frombuffer(flat, dtype=torch.float64).to(torch.float32).view(len(found), asked.width))


def rows_of_base64(found: Any, asked: Asked) -> Tensor:
    """Return rows ``(n, width)`` from little-endian float32 in base64, as :func:`rows_of_lists`.

    Raises:
        BadFrame: If they are anything else.
    """
    import torch

    try:
        data = bytearray(base64.b64decode(found, validate=True) if isinstance(found, str) else b"")
    except (binascii.Error, ValueError) as error:
        raise BadFrame("The server gives rows that are not base64; do not use it.") from error
    row = asked.width * _FLOAT32
    if not data or len(data) % row or len(data) > row * len(asked.tokens):
        raise BadFrame(
            f"The server gives {len(data)} bytes for {len(asked.tokens)} rows of {row}; is it the same model, and are "
            "its numbers float32?"
        )
    return _finite(torch.frombuffer(data, dtype=torch.float32).view(-1, asked.width))


def _finite(rows: Tensor) -> Tensor:
    if not rows.isfinite().all():
        raise _infinite()
    return rows


def _infinite() -> BadFrame:
    return BadFrame("The server gives states that are not finite numbers; do not use it.")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _lacking(step: str | int) -> NoReturn:
    raise BadFrame(f"The server's answer lacks {step!r}; is it the engine that the settings say?")
