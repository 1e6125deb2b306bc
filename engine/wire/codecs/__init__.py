"""How states are written: one registry, each codec with its name, number, bits for a value, and the error it declares.

Wide codecs take any finite float32 row. Narrow ones turn each 64 values by a Hadamard matrix, which spreads outliers,
and keep small whole numbers and a scale; they are not for the first row of a sequence, which in many bases is thousands
of times larger than the rest, nor for values above ``LARGEST``. Plain fp16 is none of them: residuals overflow it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....schemas.errors import BadFrame
from ....schemas.hsp import CodecError, CodecInfo
from . import hadamard, wide

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = hadamard.LARGEST


@dataclass(frozen=True)
class Codec:
    """One way to write rows of float32 values.

    Attributes:
        name: What ``open`` and ``describe`` call it.
        number: What the header of a frame says.
        wide: Whether it may write any row.
        item: Bytes of one value that zstd sees split by significance; the bytes before are not split.
        bits: Bits a value at a width of which 64 is a divisor, for long rows.
        error: Measured on states of the default model (bench/codecs.py); None: nothing is lost of float32.
        side: Width -> bytes a row before the values (scales, exponents).
        values: Width -> bytes a row of the values.
        encode: Rows ``(n, d)``, float32, CPU, finite -> all sides, then all values.
        decode: The same bytes, n, d -> rows ``(n, d)``, float32.
    """

    name: str
    number: int
    wide: bool
    item: int
    bits: float
    error: CodecError | None
    side: Callable[[int], int]
    values: Callable[[int], int]
    encode: Callable[[Tensor], bytes]
    decode: Callable[[bytes, int, int], Tensor]

    def size(self, rows: int, width: int) -> int:
        """Return the bytes that rows take."""
        return rows * (self.side(width) + self.values(width))

    def info(self) -> CodecInfo:
        """Return what ``describe`` says of it."""
        return CodecInfo(name=self.name, bits=self.bits, error=self.error)


def _narrow(name: str, number: int, bits: int, error: CodecError) -> Codec:
    return Codec(
        name,
        number,
        wide=False,
        item=1,
        bits=bits + 16 / hadamard.GROUP,
        error=error,
        side=hadamard.side,
        values=lambda width: hadamard.values(width, bits),
        encode=lambda rows: hadamard.encode(rows, bits),
        decode=lambda data, rows, width: hadamard.decode(data, rows, width, bits),
    )


def _none(width: int) -> int:
    return 0


CODECS: tuple[Codec, ...] = (
    Codec("f32", 1, True, 4, 32, None, _none, lambda width: 4 * width, wide.encode_f32, wide.decode_f32),
    Codec(
        *("bf16", 2, True, 2, 16, CodecError(kl=5.4e-6, same_top=0.9993)),
        *(_none, lambda width: 2 * width, wide.encode_bf16, wide.decode_bf16),
    ),
    Codec(
        *("f16s", 3, True, 2, 16, CodecError(kl=7.4e-8, same_top=1.0)),
        *(lambda width: 2, lambda width: 2 * width, wide.encode_f16s, wide.decode_f16s),
    ),
    _narrow("i8h64", 4, 8, CodecError(kl=5.4e-5, same_top=0.9976)),
    _narrow("i6h64", 5, 6, CodecError(kl=8.7e-4, same_top=0.9852)),
    _narrow("i4h64", 6, 4, CodecError(kl=1.7e-2, same_top=0.9342)),
)
"""All of them, the widest first. Numbers are for ever: a codec that changes gets another."""

DEFAULT = "bf16"
FIRST_ROW = "f16s"
"""What writes a row that a narrow codec must not."""

_BY_NAME = {codec.name: codec for codec in CODECS}
_BY_NUMBER = {codec.number: codec for codec in CODECS}


def codec_named(name: str) -> Codec:
    """Return a codec by its name.

    Raises:
        BadFrame: If there is none.
    """
    if name not in _BY_NAME:
        raise BadFrame(f"There is no codec {name!r}; choose one of {', '.join(_BY_NAME)}.")
    return _BY_NAME[name]


def codec_numbered(number: int) -> Codec:
    """Return a codec by the number in a frame's header.

    Raises:
        BadFrame: If there is none.
    """
    if number not in _BY_NUMBER:
        raise BadFrame(f"The peer sent rows in an unknown codec, {number}; update Night School.")
    return _BY_NUMBER[number]
