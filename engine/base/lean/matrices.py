"""How a frozen matrix is kept and multiplied: dense, or quantised for PyTorch's own small-batch kernels.

A quantised matrix is read from memory at a quarter or an eighth of the bytes, which is what one token costs. Many rows
at once are bound by arithmetic instead; those are for dense matrices.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from ..numbers import Numbers

GROUP = 32
"""Columns that share a scale and a zero point in 4 bits; those of the default model's Q4_1 file."""


class Matrix(Protocol):
    """A frozen linear map."""

    @property
    def dtype(self) -> torch.dtype:
        """What it takes and gives."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes it is kept in."""
        ...

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return ``(N, out)`` from ``(N, in)``."""
        ...


def matrix(weight: Tensor, bias: Tensor | None, numbers: Numbers) -> Matrix:
    """Keep a weight ``(out, in)`` in the given numbers; one whose shape the kernels do not take stays dense in bf16."""
    rows, columns = weight.shape
    if numbers is Numbers.INT4 and columns % GROUP == 0 and rows % 16 == 0:
        return Int4(weight, bias)
    if numbers is Numbers.INT8 and fits8(weight):
        return Int8(weight, bias)
    return Dense(weight, bias, torch.float32 if numbers is Numbers.FP32 else torch.bfloat16)


class Dense:
    """Plain; differentiable in its inputs."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        self._weight = weight.detach().to(dtype)
        self._bias = None if bias is None else bias.detach().to(dtype)
        self.dtype = dtype
        self.nbytes = self._weight.nbytes

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return ``(N, out)`` from ``(N, in)``."""
        return torch.nn.functional.linear(inputs, self._weight, self._bias)


class Int8:
    """One scale a row; bf16 in and out."""

    dtype = torch.bfloat16

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        weight = weight.detach().float()
        # The kernel multiplies by the scale in bf16, so rounding must use that very number.
        scale = (weight.abs().amax(dim=1).clamp_min(1e-12) / 127).bfloat16()
        self._weight = (weight / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        self._scale = scale
        self._bias = None if bias is None else bias.detach().bfloat16()
        self.nbytes = self._weight.nbytes + scale.nbytes

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return ``(N, out)`` from ``(N, in)``."""
        product = torch._weight_int8pack_mm(inputs, self._weight, self._scale)
        return product if self._bias is None else product + self._bias


class Int4:
    """One scale and one zero point for each 32 columns of a row; bf16 in and out."""

    dtype = torch.bfloat16

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        levels, self._scales = quantise4(weight.detach().float())
        ops: Any = torch.ops.aten
        self._weight: Tensor = ops._convert_weight_to_int4pack_for_cpu(levels, 1)
        self._bias = None if bias is None else bias.detach().bfloat16()
        self.nbytes = self._weight.nbytes + self._scales.nbytes

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return ``(N, out)`` from ``(N, in)``."""
        ops: Any = torch.ops.aten
        product: Tensor = ops._weight_int4pack_mm_for_cpu(inputs, self._weight, GROUP, self._scales)
        return product if self._bias is None else product + self._bias


class Refined:
    """A quantised head whose likeliest words are computed again in fp32.

    Rounded to 8 bits and given in bf16, two words that lie close come out the same, and greedy decoding takes the wrong
    one. The ranking below the first few does not matter so much; those few rows cost next to nothing.
    """

    dtype = torch.float32

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._coarse = Int8(weight, bias)
        self._weight = weight.detach()  # not a copy: the table of embeddings, or a head that is there anyway
        self._bias = None if bias is None else bias.detach()
        self.nbytes = self._coarse.nbytes

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return ``(N, out)`` from ``(N, in)``, fp32."""
        found = self._coarse(inputs.bfloat16()).float()
        best = found.topk(min(_REFINED, found.shape[1]), dim=1).indices
        exact = torch.bmm(self._weight[best].float(), inputs[:, :, None])[:, :, 0]
        if self._bias is not None:
            exact += self._bias[best]
        return found.scatter_(1, best, exact)


_REFINED = 24


def head_matrix(weight: Tensor, bias: Tensor | None, numbers: Numbers) -> Matrix:
    """Keep the weight of a head: 8 bits are its coarsest, for it decides between words."""
    if numbers in (Numbers.INT8, Numbers.INT4):
        return Refined(weight, bias) if fits8(weight) else Dense(weight, bias, torch.bfloat16)
    return matrix(weight, bias, numbers)


def fits8(weight: Tensor) -> bool:
    """Whether the kernel for 8 bits takes a matrix of this shape."""
    return weight.shape[0] % 16 == 0 and weight.shape[1] % 16 == 0


def quantise4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return levels ``(out, in)`` int32 in 0..15, and ``(in / 32, out, 2)`` bf16 scales and zero points.

    The kernel's number is ``(level - 8) * scale + zero``. A group that came from a 4-bit file (Q4_0, Q4_1) falls on its
    old levels, whose step is found again as the smallest distance of two of its values; any other spans its own range.
    """
    rows, columns = weight.shape
    groups = weight.view(rows, columns // GROUP, GROUP)
    low, high = groups.amin(dim=2), groups.amax(dim=2)
    span = (high - low).clamp_min(1e-9)
    gaps = groups.sort(dim=2).values.diff(dim=2)
    gaps = gaps.masked_fill_(gaps < span[..., None] / 64, float("inf"))
    levels = span / gaps.amin(dim=2)  # how many steps the range has, if the smallest distance is one
    steps = levels.round().clamp_(1, 15)
    step = span / steps
    off = ((groups - low[..., None]) / step[..., None] + 0.5).remainder_(1.0).sub_(0.5).abs_().amax(dim=2)
    step = torch.where((levels < 15.5) & (off < _ON_LEVEL), step, span / 15)
    scale = step.bfloat16()
    zero = (low + 8 * step).bfloat16()
    found = ((groups - zero.float()[..., None]) / scale.float()[..., None]).round().add_(8).clamp_(0, 15)
    packed = torch.stack([scale, zero], dim=2).transpose(0, 1).contiguous()
    return found.to(torch.int32).view(rows, columns), packed


_ON_LEVEL = 0.05  # steps that a value may lie off, to count as one of a file's own levels
