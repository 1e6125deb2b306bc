"""JSON of strangers, read so that every reader agrees on what it says; and JSON of ours, written in one form.

Python's own reader takes duplicate keys (the last wins), NaN, 1e999, lone surrogates and UTF-16, and ends in a
RecursionError a hundred thousand brackets deep. Here each of these is a refusal with a code of its own.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from .refusals import refuse

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_DIGITS = 18  # of whole numbers: they fit 64 bits
_OPEN_OR_CLOSE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""A string (also one that does not end: trying again behind its beginning would take quadratic time) or a bracket."""
_HALF_CHARACTER = re.compile(rb"\\u[dD]")


def loads(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Return what JSON says.

    Raises:
        Refused: ``json-size``, ``json-text``, ``json-depth``, ``json-duplicate``, ``json-number`` or ``json``.
    """
    if len(data) > max_bytes:
        raise refuse("json-size", f"{len(data)} bytes, at most {max_bytes}")
    _check_depth(data, max_depth)
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_once_each,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_short,
        )
        if _HALF_CHARACTER.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise refuse("json-text", "a byte or half a character that is none") from error
    except json.JSONDecodeError as error:
        raise refuse("json", f"{error.msg} at character {error.pos}") from error
    return value


def dumps(value: Any) -> bytes:
    """Return JSON in the one form that we write: keys in order, no spaces, UTF-8; the same value, the same bytes."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _check_depth(data: bytes, most: int) -> None:
    """Refuse deep nesting before anything recurses; inside strings brackets do not count."""
    depth = 0
    for found in _OPEN_OR_CLOSE.finditer(data):
        first = found[0][0]
        if first in b"[{":
            depth += 1
            if depth > most:
                raise refuse("json-depth", f"more than {most} levels")
        elif first in b"]}":
            depth -= 1


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        again = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise refuse("json-duplicate", repr(again)[:80])
    return found


def _no_number(text: str) -> NoReturn:
    raise refuse("json-number", text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise refuse("json-number", text[:40])
    return value


def _short(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise refuse("json-number", f"{len(text)} digits")
    return int(text)
