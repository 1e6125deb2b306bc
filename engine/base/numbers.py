"""What frozen matrices are kept in. Knows no torch, so that records can name it."""

from __future__ import annotations

from enum import StrEnum


class Numbers(StrEnum):
    """The kinds, the finest first. The first two are dense: quick for many rows at once, and differentiable."""

    FP32 = "fp32"
    BF16 = "bf16"
    INT8 = "int8"
    INT4 = "int4"
