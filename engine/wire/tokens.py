"""Token ids in frames: every id in as few bytes as the largest needs (2, 3 or 4), which the header's width says."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence

from ...schemas.errors import BadFrame
from .frames import Frame, Header, Type, encode

_WIDTHS = (2, 3, 4)
GUESS_BYTES = 4
"""Bytes of each id before guessed states."""


def encode_tokens(tokens: Sequence[int], *, position: int = 0, sequence: int = 0) -> bytes:
    """Return the TOKENS frame of ids, the first of which stands at ``position``.

    Raises:
        BadFrame: If an id is negative or needs more than four bytes.
    """
    width = _width(max(tokens, default=0))
    header = Header(Type.TOKENS, position=position, rows=len(tokens), width=width, sequence=sequence)
    return encode(header, pack(tokens, width))


def check_tokens(header: Header, most: int) -> None:
    """Refuse a TOKENS frame that cannot be right, or has more than ``most`` ids, before its payload comes.

    Raises:
        BadFrame: Saying what does not fit.
    """
    if header.width not in _WIDTHS or header.codec or header.flags or header.length != header.rows * header.width:
        raise BadFrame(f"A frame of {header.rows} tokens of {header.width} bytes cannot have {header.length} bytes.")
    if header.rows > most:
        raise BadFrame(f"{header.rows} tokens at once are more than the {most} that are allowed; send fewer.")


def decode_tokens(frame: Frame) -> list[int]:
    """Return the ids of a TOKENS frame whose header was checked."""
    return unpack(frame.payload, frame.header.width)


def pack(tokens: Sequence[int], width: int) -> bytes:
    """Return ids, little-endian, ``width`` bytes each.

    Raises:
        BadFrame: If one does not fit.
    """
    if not tokens:
        return b""
    if min(tokens) < 0 or max(tokens) >> (8 * width):
        raise BadFrame(f"A token id of {min(tokens)} or {max(tokens)} cannot be sent in {width} bytes.")
    whole = _little(array("I", tokens)).tobytes()
    if width == 4:
        return whole
    kept = bytearray(len(tokens) * width)
    for byte in range(width):
        kept[byte::width] = whole[byte::4]
    return bytes(kept)


def unpack(data: bytes, width: int) -> list[int]:
    """Return the ids that ``pack`` wrote."""
    whole = bytearray(len(data) // width * 4)
    for byte in range(width):
        whole[byte::4] = data[byte::width]
    ids = array("I")
    ids.frombytes(whole)
    return _little(ids).tolist()


def _width(largest: int) -> int:
    return next((width for width in _WIDTHS if largest >> (8 * width) == 0), _WIDTHS[-1])


def _little(ids: array[int]) -> array[int]:
    if sys.byteorder == "big":
        ids.byteswap()
    return ids
