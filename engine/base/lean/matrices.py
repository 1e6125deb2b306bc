"""How a frozen matrix is kept and multiplied: dense, or quantised for PyTorch's own small-batch kernels.

A quantised matrix is read from memory at a quarter or an eighth of the bytes, which is what one token costs. Many rows
at once are bound by arithmetic instead; those are for dense matrices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from ..numbers import Numbers
from ..ranked import ranked

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

    def tensors(self) -> dict[str, Tensor]:
        """Return what it is kept in, under names that tell its kind, for :func:`restored`."""
        ...

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return ``(N, out)`` from ``(N, in)``."""
        ...


def matrix(weight: Tensor, bias: Tensor | None, numbers: Numbers) -> Matrix:
    """Keep a weight ``(out, in)`` in the given numbers; one whose shape the kernels do not take stays dense in bf16."""
    rows, columns = weight.shape
    if numbers is Numbers.INT4 and columns % GROUP == 0 and rows % 16 == 0:
        return Int4.of(weight, bias)
    if numbers is Numbers.INT8 and fits8(weight):
        return Int8.of(weight, bias)
    return Dense.of(weight, bias, dense_dtype(numbers))


def dense_dtype(numbers: Numbers) -> torch.dtype:
    """Return what is computed in between matrices of these numbers, and what those are kept in if they are dense."""
    return {Numbers.FP32: torch.float32, Numbers.FP16: torch.float16}.get(numbers, torch.bfloat16)


def restored(tensors: Mapping[str, Tensor]) -> Matrix:
    """Return the matrix that gave these ``tensors``.

    Raises:
        KeyError: If they are of no kind.
    """
    bias = tensors.get("bias")
    if "packed4" in tensors:
        return Int4(tensors["packed4"], tensors["scales4"], bias)
    if "rounded8" in tensors:
        return Int8(tensors["rounded8"], tensors["scales8"], bias)
    return Dense(tensors["dense"], bias)


_SOME, _MANY, _MANY_WIDE, _WIDE = 2, 128, 64, 8192
"""Rows between which, on a CPU, a dense fp32 product is up to three times as quick with the weights first; what comes
out lies column by column. More outputs than ``_WIDE`` are slow to read so, and are put in order: that pays for fewer
rows. Measured without AVX-512."""


class Dense:
    """Plain; differentiable in its inputs."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight, self._bias = weight, bias
        self.dtype = weight.dtype
        self.nbytes = weight.nbytes
        self._wide = len(weight) > _WIDE
        self._most = _MANY_WIDE if self._wide else _MANY
        self._turns = weight.is_cpu and weight.dtype == torch.float32

    @staticmethod
    def of(weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Dense:
        """Keep a weight in a dtype."""
        return Dense(weight.detach().to(dtype), None if bias is None else bias.detach().to(dtype))

    def tensors(self) -> dict[str, Tensor]:
        """Return weight and bias."""
        return _named(self._bias, dense=self._weight)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return ``(N, out)`` from ``(N, in)``."""
        if self._turns and _SOME <= len(inputs) <= self._most:
            product = torch.mm(self._weight, inputs.t()).t()
            if self._wide:
                product = product.contiguous()
            return product if self._bias is None else product + self._bias
        return torch.nn.functional.linear(inputs, self._weight, self._bias)


class Int8:
    """One scale a row; bf16 in and out."""

    dtype = torch.bfloat16

    def __init__(self, weight: Tensor, scales: Tensor, bias: Tensor | None) -> None:
        self._weight, self._scales, self._bias = weight, scales, bias
        self.nbytes = weight.nbytes + scales.nbytes

    @staticmethod
    def of(weight: Tensor, bias: Tensor | None) -> Int8:
        """Round a weight."""
        weight = weight.detach().float()
        # The kernel multiplies by the scale in bf16, so rounding must use that very number.
        scales = (weight.abs().amax(dim=1).clamp_min(1e-12) / 127).bfloat16()
        rounded = (weight / scales.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        return Int8(rounded, scales, None if bias is None else bias.detach().bfloat16())

    def tensors(self) -> dict[str, Tensor]:
        """Return what was rounded, scales and bias."""
        return _named(self._bias, rounded8=self._weight, scales8=self._scales)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return ``(N, out)`` from ``(N, in)``."""
        product = torch._weight_int8pack_mm(inputs, self._weight, self._scales)
        return product if self._bias is None else product + self._bias


class Int4:
    """One scale and one zero point for each 32 columns of a row; bf16 in and out. Packed as this processor wants it."""

    dtype = torch.bfloat16

    def __init__(self, packed: Tensor, scales: Tensor, bias: Tensor | None) -> None:
        self._weight, self._scales, self._bias = packed, scales, bias
        self.nbytes = packed.nbytes + scales.nbytes

    @staticmethod
    def of(weight: Tensor, bias: Tensor | None) -> Int4:
        """Round a weight, on the levels of its own file where it came from one in 4 bits."""
        levels, scales = quantise4(weight.detach().float())
        ops: Any = torch.ops.aten
        packed: Tensor = ops._convert_weight_to_int4pack_for_cpu(levels, 1)
        return Int4(packed, scales, None if bias is None else bias.detach().bfloat16())

    def tensors(self) -> dict[str, Tensor]:
        """Return packed levels, scales and bias."""
        return _named(self._bias, packed4=self._weight, scales4=self._scales)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return ``(N, out)`` from ``(N, in)``."""
        ops: Any = torch.ops.aten
        product: Tensor = ops._weight_int4pack_mm_for_cpu(inputs, self._weight, GROUP, self._scales)
        return product if self._bias is None else product + self._bias


class Head:
    """The matrix of words, and its own weight beside it, from which close words are told apart."""

    def __init__(self, coarse: Matrix, weight: Tensor, bias: Tensor | None) -> None:
        """``weight`` and ``bias``: the checkpoint's own; they are not copied."""
        self._coarse = coarse
        self._weight, self._bias = weight.detach(), None if bias is None else bias.detach()
        self.nbytes = coarse.nbytes

    @staticmethod
    def of(weight: Tensor, bias: Tensor | None, numbers: Numbers) -> Head:
        """Keep a weight in the given numbers; 8 bits are its coarsest, for it decides between words."""
        if numbers in (Numbers.INT8, Numbers.INT4):
            numbers = Numbers.INT8 if fits8(weight) else Numbers.BF16
        return Head(matrix(weight, bias, numbers), weight, bias)

    def over(self, weight: Tensor, bias: Tensor | None) -> Head:
        """Return the same matrix beside another copy of its own weight."""
        return Head(self._coarse, weight, bias)

    def tensors(self) -> dict[str, Tensor]:
        """Return what the matrix is kept in, for :func:`restored`."""
        return self._coarse.tensors()

    def __call__(self, rows: Tensor) -> Tensor:
        """Return logits ``(N, V)`` of rows ``(N, d)``, in the matrix's own dtype; differentiable if it is dense."""
        return self._coarse(rows.to(self._coarse.dtype))

    def ranked(self, rows: Tensor) -> Tensor:
        """Return logits ``(N, V)`` of rows ``(N, d)`` in fp32, whose order can be relied on."""
        logits = self(rows)
        return logits if logits.dtype == torch.float32 else ranked(logits, rows, self._weight, self._bias)


def _named(bias: Tensor | None, **tensors: Tensor) -> dict[str, Tensor]:
    return tensors if bias is None else {**tensors, "bias": bias}


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
