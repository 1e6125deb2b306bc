"""Frames: a header of 32 bytes, little-endian, and a payload whose length is refused before it is waited for.

    offset  0  magic     4 bytes, "HSP/"            offset 12  rows      u32, states or tokens in the payload
            4  version   u8, 1                             16  width     u32, numbers a row, or bytes a token
            5  type      u8, see ``Type``                  20  sequence  u32, which sequence of the exchange
            6  codec     u8, see ``codecs``; else 0        24  length    u32, bytes of the payload
            7  flags     u8, see ``Flag``                  28  crc32     u32, of bytes 0 to 27 and the payload
            8  position  u32, of the first row or token

Knows no tensors and no network.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from ...schemas.errors import BadFrame

MAGIC = b"HSP/"
VERSION = 1
HEADER_BYTES = 32
MAX_PAYLOAD = 64 << 20
MAX_JSON = 1 << 20
"""Bytes of the JSON in a REQUEST, END or ERROR frame, or of a whole JSON body."""

CONTENT_TYPE = "application/vnd.nightschool.hsp"

_HEADER = struct.Struct("<4sBBBBIIIIII")
_COVERED = HEADER_BYTES - 4  # what of the header the checksum covers
_U32 = 0xFFFFFFFF


class Type(IntEnum):
    """What a frame carries."""

    REQUEST = 1
    """Asked: the JSON record of a verb."""
    TOKENS = 2
    """Asked: token ids."""
    ROWS = 3
    """Answered: states."""
    END = 4
    """Answered: all there is; the JSON record of what the server holds now."""
    ERROR = 5
    """Answered: no more comes; the JSON record of an error."""


class Flag(IntFlag):
    """How a payload is written."""

    NONE = 0
    ZSTD = 1
    """ROWS: split by the bytes' significance and compressed."""
    GUESSED = 2
    """ROWS: the tokens at these positions, which the server guessed, stand before the states (streaming)."""


@dataclass(frozen=True)
class Header:
    """What a frame says of itself; nothing of it is believed until it fits what was asked."""

    type: Type
    codec: int = 0
    flags: Flag = Flag.NONE
    position: int = 0
    rows: int = 0
    width: int = 0
    sequence: int = 0
    length: int = 0


@dataclass(frozen=True)
class Frame:
    """A whole frame, its checksum found right."""

    header: Header
    payload: bytes


def encode(header: Header, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame; ``header.length`` is taken from the payload.

    Raises:
        BadFrame: If a number does not fit its field.
    """
    numbers = (header.position, header.rows, header.width, header.sequence, len(payload))
    if len(payload) > MAX_PAYLOAD or not all(0 <= number <= _U32 for number in numbers):
        raise BadFrame(f"A frame cannot hold {header.rows} rows in {len(payload)} bytes; send fewer at a time.")
    head = _HEADER.pack(MAGIC, VERSION, header.type, header.codec, header.flags, *numbers, 0)[:_COVERED]
    return b"".join((head, _checksum(head, payload).to_bytes(4, "little"), payload))


def decode_header(data: bytes | bytearray | memoryview) -> tuple[Header, int]:
    """Return the header at the start of ``data`` and its checksum.

    Raises:
        BadFrame: If it is not one of HSP/1.
    """
    magic, version, kind, codec, flags, position, rows, width, sequence, length, crc = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise BadFrame(f"The peer does not speak HSP/{VERSION}; check its address and its version.")
    if kind not in _TYPES or flags not in _FLAGS:
        raise BadFrame(f"The peer sent a frame of unknown type {kind} or flags {flags}; update Night School.")
    if length > MAX_PAYLOAD or (kind in _JSON and length > MAX_JSON):
        raise BadFrame(f"The peer announces a frame of {length} bytes, more than is allowed; do not use it.")
    if (kind != Type.ROWS and (codec or flags)) or (kind in _JSON and (position or rows or width or sequence)):
        raise BadFrame(f"The peer sent a frame of type {kind} with numbers that it does not have; do not use it.")
    return Header(_TYPES[kind], codec, _FLAGS[flags], position, rows, width, sequence, length), crc


_TYPES = {int(kind): kind for kind in Type}
_FLAGS = {bits: Flag(bits) for bits in range(1 << len(Flag))}
_JSON = {Type.REQUEST, Type.END, Type.ERROR}


class Reader:
    """Cuts a stream of bytes, which may come in any pieces, into frames. It holds less than a frame and a piece."""

    def __init__(self, expect: Callable[[Header], None]) -> None:
        """Prepare; ``expect`` sees each header before its payload is waited for and raises ``BadFrame`` to refuse."""
        self._expect = expect
        self._held = bytearray()
        self._header: tuple[Header, int] | None = None

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Give the frames that ``data`` completes.

        Raises:
            BadFrame: If the stream is no HSP/1, a frame is refused, or its bytes are damaged.
        """
        self._held += data
        while True:
            if self._header is None:
                if len(self._held) < HEADER_BYTES:
                    return
                self._header = decode_header(self._held)
                self._expect(self._header[0])
            header, crc = self._header
            end = HEADER_BYTES + header.length
            if len(self._held) < end:
                return
            head, payload = bytes(self._held[:_COVERED]), bytes(self._held[HEADER_BYTES:end])
            del self._held[:end]
            self._header = None
            if _checksum(head, payload) != crc:
                raise BadFrame("A frame arrived damaged (its checksum is wrong); ask again.")
            yield Frame(header, payload)

    def close(self) -> None:
        """Say that no more bytes come.

        Raises:
            BadFrame: If they end inside a frame.
        """
        if self._held:
            raise BadFrame("The peer stopped in the middle of a frame; ask again.")


def _checksum(head: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(head))
