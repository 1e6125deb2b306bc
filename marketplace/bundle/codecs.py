"""How the files of a bundle are stored: ``raw``, ``zstd``, or weights as planes of bytes (``stp1``).

In the numbers of a LoRA the top byte (sign and exponent) says little and the others are noise. So ``stp1`` stores the
other bytes as they are, each in a plane of its own, and the top bytes as one zstd frame:

    u32 length of the header | header | plane 0 | ... | plane w-2 | zstd frame of plane w-1

The file is ``u64 length | header | numbers``, little endian, of one dtype of ``w`` bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..refusals import refuse
from . import limits, zstd
from .numbers import np
from .span import Span
from .tensors import Header, parse_header

Codec = Literal["raw", "zstd", "stp1"]
TOP_LEVEL, BEST_LEVEL = 1, 19
"""Of zstd, for the top plane: 1 beats 3 to 12 there, and only 19 is better, at less than 1 MB/s."""


@dataclass(frozen=True)
class Stored:
    """How a file is stored: what the manifest says of it, and the bytes."""

    codec: Codec
    raw_size: int
    raw_sha256: str
    blob_size: int
    blob: str
    pieces: list[bytes]


def store(raw: bytes, *, weights: bool, best: bool = False) -> Stored:
    """Store a file in the codec for its kind, or as it is where that is smaller. The same bytes give the same."""
    if weights:
        codec: Codec = "stp1"
        pieces = _planes(raw, BEST_LEVEL if best else TOP_LEVEL)
    else:
        codec, pieces = "zstd", [zstd.pack(raw, BEST_LEVEL)]
    if sum(map(len, pieces)) >= len(raw):
        codec, pieces = "raw", [raw]
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return Stored(
        codec=codec,
        raw_size=len(raw),
        raw_sha256=hashlib.sha256(raw).hexdigest(),
        blob_size=sum(map(len, pieces)),
        blob=digest.hexdigest(),
        pieces=pieces,
    )


def restore(blob: Span, codec: Codec, raw_size: int) -> Iterator[bytes]:
    """Give the ``raw_size`` bytes of a file, a piece at a time, in bounded memory.

    Raises:
        Refused: If the blob is not what the codec makes of a file of that size.
    """
    if codec == "raw":
        if blob.size != raw_size:
            raise refuse("raw-digest", "another size")
        return blob.chunks()
    return zstd.unpack(blob, raw_size) if codec == "zstd" else _joined(blob, raw_size)


def _planes(raw: bytes, level: int) -> list[bytes]:
    length = int.from_bytes(raw[:8], "little")
    header = parse_header(raw[8 : 8 + length], len(raw))
    numbers = np.frombuffer(raw, np.uint8, offset=header.data).reshape(-1, header.width)
    planes = [np.ascontiguousarray(numbers[:, place]).tobytes() for place in range(header.width)]
    return [length.to_bytes(4, "little"), raw[8 : header.data], *planes[:-1], zstd.pack(planes[-1], level)]


def _joined(blob: Span, raw_size: int) -> Iterator[bytes]:
    header = _header(blob, raw_size)
    start, count = header.data - 4, header.numbers
    if start + count * (header.width - 1) > blob.size:
        raise refuse("planes")
    low = [blob.part(start + count * place, count) for place in range(header.width - 1)]
    begin = start + count * (header.width - 1)
    tops = zstd.unpack(blob.part(begin, blob.size - begin), count)
    yield (header.data - 8).to_bytes(8, "little") + blob.whole(4, header.data - 8)
    for top in tops:
        # Shifts of whole numbers take a third of the time that writing every second byte does.
        numbers = np.frombuffer(top, np.uint8).astype(f"<u{header.width}")
        for plane in reversed(low):
            numbers <<= 8
            numbers |= np.frombuffer(plane.read(len(top)), np.uint8)
        yield numbers.tobytes()


def _header(blob: Span, raw_size: int) -> Header:
    """Return the header of weights in planes, checked as that of weights as they are."""
    length = int.from_bytes(blob.at(0, 4).ljust(4, b"\xff"), "little")
    if length > limits.HEADER or 4 + length > blob.size:
        raise refuse("weights-header")
    return parse_header(blob.whole(4, length), raw_size)
