"""Narrow codecs: groups of 64 values, turned by a Hadamard matrix, as whole numbers of 8, 6 or 4 bits and a scale.

A row is padded with zeros to whole groups. Each group is multiplied by H / 8, where H is the 64 x 64 matrix of
Sylvester's order (+1 where the number of common one-bits of row and column is even, else -1): its own inverse. The
scale, bfloat16, is the largest magnitude over the largest whole number (127, 31, 7), rounded up, so that no quotient
needs clipping. Bytes: the scales of all rows, then the whole numbers of all rows. 8 bits: two's complement. 6 bits:
plus 32, four in three bytes, the first lowest. 4 bits: plus 8, two in a byte, the first lowest.

That a rotation makes low bits enough is known of QuaRot (Ashkboos et al., arXiv 2404.00456) and others.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ....schemas.errors import BadFrame
from .numbers import from_bytes, to_bytes

if TYPE_CHECKING:
    from torch import Tensor

GROUP = 64
LARGEST = 2.0**100
"""Larger values could overflow while they are turned; their rows are written in a wide codec."""

_LEAST_SCALE = 2.0**-120  # below it a bfloat16 would lose digits; such values are zero beside any other state


def side(width: int) -> int:
    """Return the bytes of the scales of a row."""
    return 2 * _groups(width)


def values(width: int, bits: int) -> int:
    """Return the bytes of the whole numbers of a row."""
    return _groups(width) * GROUP * bits // 8


def encode(rows: Tensor, bits: int) -> bytes:
    """Return rows ``(n, d)``, float32, of values not above ``LARGEST``."""
    import torch
    from torch.nn.functional import pad

    top = _top(bits)
    groups = _groups(rows.shape[1])
    turned = _turn(pad(rows, (0, groups * GROUP - rows.shape[1])).reshape(-1, groups, GROUP))
    wanted = (turned.abs().amax(dim=-1, keepdim=True) / top).clamp_min(_LEAST_SCALE)
    scales = _rounded_up(wanted)
    whole = torch.round(turned / scales.float()).clamp(-top, top).to(torch.int8)
    return to_bytes(scales) + to_bytes(_packed(whole.reshape(-1), bits))


def decode(data: bytes, rows: int, width: int, bits: int) -> Tensor:
    """Return rows ``(n, d)``, float32.

    Raises:
        BadFrame: If a whole number is one that is never written.
    """
    import torch

    groups, top = _groups(width), _top(bits)
    split = rows * side(width)
    scales = from_bytes(data[:split], torch.bfloat16, (rows, groups, 1)).float()
    whole = _unpacked(from_bytes(data[split:], torch.uint8, (len(data) - split,)), bits)
    if rows and int(whole.abs().amax()) > top:
        raise BadFrame("The peer sent values that its codec does not have; do not use it.")
    return _turn(whole.reshape(rows, groups, GROUP) * scales).reshape(rows, -1)[:, :width]


def _groups(width: int) -> int:
    return -(-width // GROUP)


def _top(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def _turn(groups: Tensor) -> Tensor:
    return groups @ _matrix()


@cache
def _matrix() -> Tensor:
    import torch

    matrix = torch.ones(1, 1)
    while len(matrix) < GROUP:
        matrix = torch.cat((torch.cat((matrix, matrix), 1), torch.cat((matrix, -matrix), 1)))
    return matrix / 8


def _rounded_up(scales: Tensor) -> Tensor:
    """Return the next bfloat16 that is not smaller; positive float32 keep their order as whole numbers."""
    import torch

    bits = scales.view(torch.int32)
    return ((bits + 0xFFFF) >> 16).to(torch.int16).view(torch.bfloat16)


def _packed(whole: Tensor, bits: int) -> Tensor:
    import torch

    if bits == 8:
        return whole.view(torch.uint8)
    parts = (whole.to(torch.int32) + (1 << (bits - 1))).reshape(-1, 4 if bits == 6 else 2)
    if bits == 4:
        return (parts[:, 0] | parts[:, 1] << 4).to(torch.uint8)
    joined = parts[:, 0] | parts[:, 1] << 6 | parts[:, 2] << 12 | parts[:, 3] << 18
    return torch.stack((joined & 255, joined >> 8 & 255, joined >> 16), dim=1).to(torch.uint8)


def _unpacked(data: Tensor, bits: int) -> Tensor:
    """Return signed whole numbers as int16, in which -128 has a magnitude."""
    import torch

    if bits == 8:
        return data.view(torch.int8).to(torch.int16)
    if bits == 4:
        parts = torch.stack((data & 15, data >> 4), dim=1)
    else:
        three = data.reshape(-1, 3).to(torch.int32)
        joined = three[:, 0] | three[:, 1] << 8 | three[:, 2] << 16
        parts = torch.stack([joined >> shift & 63 for shift in (0, 6, 12, 18)], dim=1)
    return parts.reshape(-1).to(torch.int16) - (1 << (bits - 1))
