"""Codecs that take any finite float32 row: f32, bf16, and f16 with an exponent for each row. All little-endian."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .numbers import from_bytes, to_bytes

if TYPE_CHECKING:
    from torch import Tensor

_TOP = 14  # the power of 2 to which the largest of a row is scaled; fp16 holds one more
_LARGEST = 32752  # the fp16 before 2^15: what rounds beyond it could overflow float32 when it is scaled back
_EXPONENTS = 1000  # beyond what float32 has, within what doubles have


def encode_f32(rows: Tensor) -> bytes:
    """Return the values as they are."""
    return to_bytes(rows)


def decode_f32(data: bytes, rows: int, width: int) -> Tensor:
    """Return what :func:`encode_f32` was given."""
    import torch

    return from_bytes(data, torch.float32, (rows, width))


def encode_bf16(rows: Tensor) -> bytes:
    """Return the values rounded to the nearest bfloat16; those that would round to infinity, to the largest."""
    import torch

    largest = torch.finfo(torch.bfloat16).max
    return to_bytes(rows.clamp(-largest, largest).to(torch.bfloat16))


def decode_bf16(data: bytes, rows: int, width: int) -> Tensor:
    """Return the values, exactly as they were written."""
    import torch

    return from_bytes(data, torch.bfloat16, (rows, width)).float()


def encode_f16s(rows: Tensor) -> bytes:
    """Return an exponent e a row, i16, and the values divided by 2 to the e, as float16.

    e puts the largest of the row between 2^14 and 2^15, so that nothing overflows and as little as can be is lost.
    """
    import torch

    largest = rows.abs().amax(dim=1)
    exponents = torch.where(largest > 0, torch.frexp(largest).exponent - 1 - _TOP, 0)
    scaled = (rows.double() * _power(-exponents[:, None])).clamp(-_LARGEST, _LARGEST)
    return to_bytes(exponents.to(torch.int16)) + to_bytes(scaled.to(torch.float16))


def decode_f16s(data: bytes, rows: int, width: int) -> Tensor:
    """Return the values, in double precision until they are scaled; what float32 cannot hold becomes infinite."""
    import torch

    exponents = from_bytes(data[: 2 * rows], torch.int16, (rows, 1)).clamp(-_EXPONENTS, _EXPONENTS)
    values = from_bytes(data[2 * rows :], torch.float16, (rows, width))
    return (values.double() * _power(exponents)).float()


def _power(exponents: Tensor) -> Tensor:
    """Return 2 to whole numbers between -1022 and 1023, exactly: as the exponents of doubles."""
    import torch

    return ((exponents.to(torch.int64) + 1023) << 52).view(torch.float64)
