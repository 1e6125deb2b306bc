"""The entries of a JSON file of any size, one at a time: elements of an array, lines, or values one after another.

The file is cut at brackets and quotes alone, and each entry parsed by itself. So one that is damaged costs no other,
and memory holds one entry however large the file is. (Parsers that stream whole documents end at the first fault.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from ...schemas.exchange import Skipped

LARGEST_ENTRY = 32 * 2**20
"""Bytes of the largest entry that is parsed; parsed it takes several times as much."""

CHUNK = 2**18
_BLANK = b" \t\r\n"
_MARK = b"\xef\xbb\xbf"  # what some editors put before UTF-8

# A whole string, or a sign that opens, closes or begins one; possessive, so that nothing is tried twice.
_SIGN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{}]', re.DOTALL)
_NO_SIGN = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)

TOO_LARGE = f"larger than {LARGEST_ENTRY >> 20} MB"
CUT_OFF = "cut off: the file ends in the middle"
DAMAGED = "damaged: not valid JSON"
TOO_DEEP = "nested too deeply"
NO_ENTRY = "not a conversation"


def entries(stream: BinaryIO) -> Iterator[dict[str, Any] | Skipped]:
    """Give the JSON objects of a file in order, and in the place of each that is none, why.

    Bytes that are no UTF-8 become ``�`` and NaN becomes None; of a key that occurs twice the last counts.
    """
    for piece in _pieces(stream):
        yield piece if isinstance(piece, Skipped) else _parsed(piece)


def first_keys(head: bytes) -> frozenset[str]:
    """Return those keys of a file's first entry that occur in its beginning."""
    text = _begun(head)
    top = 2 if text.startswith(b"[") else 1
    depth = 0
    found: set[str] = set()
    for sign in _SIGN.finditer(text):
        token = sign[0]
        if token in b"[{":
            depth += 1
        elif token in b"]}":
            depth -= 1
            if found and depth < top:
                break
        elif depth == top and len(token) > 1 and text[sign.end() : sign.end() + 16].lstrip(_BLANK).startswith(b":"):
            found.add(token[1:-1].decode(errors="replace"))
    return frozenset(found)


def _begun(head: bytes) -> bytes:
    return head.removeprefix(_MARK).lstrip(_BLANK)


def _parsed(piece: bytes) -> dict[str, Any] | Skipped:
    try:
        value = json.loads(piece.decode(errors="replace"), strict=False, parse_constant=lambda _: None)
    except RecursionError:
        return Skipped(reason=TOO_DEEP)
    except ValueError:
        return Skipped(reason=DAMAGED)
    return value if isinstance(value, dict) else Skipped(reason=NO_ENTRY)


def _pieces(stream: BinaryIO) -> Iterator[bytes | Skipped]:
    """Give the bytes of each entry."""
    begun = _begun(stream.read(CHUNK))
    while not begun and (more := stream.read(CHUNK)):
        begun = more.lstrip(_BLANK)
    if begun.startswith(b"["):
        yield from _Cutter(array=True).cut(begun[1:], stream)
        return
    begun += stream.readline(LARGEST_ENTRY)
    line = begun.partition(b"\n")[0].rstrip(_BLANK)
    if line.startswith(b"{") and line.endswith(b"}"):
        yield from _lines(begun, stream)
    elif begun:
        yield from _Cutter(array=False).cut(begun, stream)


def _skipped(chunk: bytes, place: int) -> int:
    """Return where the next bracket is, or the quote of a string that does not end in the chunk."""
    passed = _NO_SIGN.match(chunk, place)
    assert passed is not None
    return passed.end()


def _lines(begun: bytes, stream: BinaryIO) -> Iterator[bytes | Skipped]:
    """Give lines: those of the beginning, which ends with one, and those that follow."""
    *lines, last = begun.splitlines(keepends=True)
    yield from (line for line in lines if line.strip(_BLANK))
    while last:
        if last.endswith(b"\n") or len(last) < LARGEST_ENTRY:
            if last.strip(_BLANK):
                yield last
        else:
            yield Skipped(reason=TOO_LARGE)
            while last and not last.endswith(b"\n"):
                last = stream.readline(CHUNK)
        last = stream.readline(LARGEST_ENTRY)


class _Cutter:
    """Where in an array, or in values one after another, the reading stands."""

    def __init__(self, *, array: bool) -> None:
        self._array = array
        self._depth = 0  # of brackets within an entry
        self._in_string = False
        self._escaped = False  # the last byte was a backslash in a string
        self._kept = bytearray()
        self._too_large = False
        self._ended = False

    def cut(self, chunk: bytes, stream: BinaryIO) -> Iterator[bytes | Skipped]:
        """Give the entries of a chunk and of what follows it."""
        yield from self._cut(chunk)
        while not self._ended and (chunk := stream.read(CHUNK)):
            yield from self._cut(chunk)
        if self._ended:
            return
        if self._depth or self._array:
            yield Skipped(reason=CUT_OFF)
        else:
            yield from self._between()

    def _cut(self, chunk: bytes) -> Iterator[bytes | Skipped]:
        place = start = 0
        while place < len(chunk) and not self._ended:
            if self._in_string:
                place = self._after_string(chunk, place)
                continue
            place = _skipped(chunk, place)
            sign = chunk[place : place + 1]
            if not sign:
                break
            if sign == b'"':
                self._in_string = True
            elif not self._depth:  # what stood before this bracket stood between entries
                self._keep(chunk[start:place])
                yield from self._between()
                start = place + (sign in b"]}")
                self._depth += sign in b"[{"
                self._ended = self._array and sign == b"]"
            else:
                self._depth += 1 if sign in b"[{" else -1
                if not self._depth:
                    self._keep(chunk[start : place + 1])
                    yield self._taken()
                    start = place + 1
            place += 1
        self._keep(chunk[start:])

    def _after_string(self, chunk: bytes, place: int) -> int:
        """Return where the string ends that the place is in, or the end of the chunk."""
        if self._escaped:
            self._escaped = False
            return place + 1
        within = _IN_STRING.match(chunk, place)
        assert within is not None
        end = within.end()
        if end < len(chunk):
            self._escaped = chunk[end : end + 1] == b"\\"
            self._in_string = self._escaped
            return end + 1
        return end

    def _keep(self, part: bytes) -> None:
        """Keep what may be part of an entry; of one that is too large nothing."""
        if len(self._kept) + len(part) > LARGEST_ENTRY:
            self._too_large = True
            self._kept.clear()
        if not self._too_large:
            self._kept += part

    def _taken(self) -> bytes | Skipped:
        piece, too_large = bytes(self._kept), self._too_large
        self._kept.clear()
        self._too_large = False
        return Skipped(reason=TOO_LARGE) if too_large else piece

    def _between(self) -> Iterator[Skipped]:
        """Give what stands between two entries: nothing but a comma, unless there are values that are no entries."""
        between = self._taken()
        if isinstance(between, Skipped):
            yield between
        else:
            yield from (Skipped(reason=NO_ENTRY) for part in between.split(b",") if part.strip(_BLANK))
