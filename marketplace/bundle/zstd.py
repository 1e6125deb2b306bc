"""Zstandard, bounded: what a frame will cost is read from it before any of it is unpacked.

The library's one-shot calls allocate what a frame claims, whatever cap is given; its streams end early on truncated
input without an error, and join frames silently. So the frame is walked block by block first (RFC 8878, 3.1.1), must
end where its file ends, and is then unpacked as a stream whose length was known before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, cast

import zstandard

from ..refusals import refuse
from . import limits
from .span import Span

_MAGIC = b"\x28\xb5\x2f\xfd"
_CHECKSUM = 4
_RAW, _RLE, _RESERVED = 0, 1, 3
_LARGEST_BLOCK = 128 * limits.KIB
_SMALLEST_BLOCK = 512  # on average, so that a frame of countless empty blocks is not walked for minutes


def pack(data: bytes, level: int) -> bytes:
    """Return one frame with the size of its content and a checksum, and without a dictionary."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        source_size=len(data),
        window_log=min(23, zstandard.ZstdCompressionParameters.from_level(level, source_size=len(data)).window_log),
        write_checksum=True,
        write_content_size=True,
        write_dict_id=False,
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def unpack(frame: Span, size: int) -> Iterator[bytes]:
    """Give the ``size`` bytes of a file that is exactly one frame, a piece at a time.

    Raises:
        Refused: ``zstd-size``, ``zstd-window``, ``zstd-dictionary`` or ``zstd-frame``.
    """
    check(frame, size)
    left = size
    try:
        with zstandard.ZstdDecompressor(max_window_size=limits.WINDOW).stream_reader(
            cast("IO[bytes]", frame.part(0, frame.size)), read_size=limits.CHUNK // 8
        ) as stream:
            while left:
                piece = stream.read(min(left, limits.CHUNK))
                if not piece:
                    raise refuse("zstd-frame", "it ends too early")
                left -= len(piece)
                yield piece
            if stream.read(1):
                raise refuse("zstd-size", "it holds more")
    except zstandard.ZstdError as error:
        raise refuse("zstd-frame", "it does not unpack") from error


def check(frame: Span, size: int) -> None:
    """Refuse what is not exactly one frame of ``size`` bytes that unpacks in bounded memory.

    Raises:
        Refused: As :func:`unpack`.
    """
    head = frame.at(0, 18)
    if head[:4] != _MAGIC:
        raise refuse("zstd-frame", "it does not begin as one")
    try:
        facts = zstandard.get_frame_parameters(head)
    except zstandard.ZstdError as error:
        raise refuse("zstd-frame", "its header does not read") from error
    if facts.content_size != size:
        raise refuse("zstd-size")
    if facts.window_size > limits.WINDOW:
        raise refuse("zstd-window")
    if facts.dict_id:
        raise refuse("zstd-dictionary")
    if not facts.has_checksum:
        raise refuse("zstd-frame", "it has no checksum")
    if _end(frame, zstandard.frame_header_size(head), size) != frame.size:
        raise refuse("zstd-frame", "it does not end where its file ends")


def _end(frame: Span, start: int, size: int) -> int:
    """Return where the frame ends; beyond the file if it is cut."""
    for _ in range(size // _SMALLEST_BLOCK + 64):
        word = int.from_bytes(frame.at(start, 3).ljust(3, b"\0"), "little")
        last, kind, length = word & 1, word >> 1 & 3, word >> 3
        if kind == _RESERVED or length > _LARGEST_BLOCK or start >= frame.size:
            break
        start += 3 + (1 if kind == _RLE else length)
        if last:
            return start + _CHECKSUM
    raise refuse("zstd-frame", "its blocks do not follow each other")
