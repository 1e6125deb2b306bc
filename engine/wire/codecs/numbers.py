"""Tensors to little-endian bytes and back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def to_bytes(tensor: Tensor) -> bytes:
    """Return the numbers of a CPU tensor, row by row."""
    import torch

    flat = tensor.contiguous().reshape(-1).view(torch.uint8)
    return _turned(flat, tensor.element_size()).numpy().tobytes()


def from_bytes(data: bytes, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor of its own over the numbers in ``data``, which must be just as many."""
    import torch

    if not data:
        return torch.zeros(shape, dtype=dtype)
    flat = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return _turned(flat, dtype.itemsize).view(dtype).reshape(shape)


def _turned(flat: Tensor, item: int) -> Tensor:
    if sys.byteorder == "little" or item == 1:
        return flat
    return flat.reshape(-1, item).flip(1).reshape(-1)
