"""What frozen matrices are kept in. Knows no torch, so that records can name it."""

from __future__ import annotations

from enum import StrEnum


class Numbers(StrEnum):
    """The kinds, the finest first. All but the integers are dense: quick for many rows at once, and differentiable.

    The integers are for CPUs alone. ``FP16`` is for devices without bf16, and for chats alone: in a study its short
    range would lose gradients.
    """

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"
    INT4 = "int4"


QUANTISED = (Numbers.INT8, Numbers.INT4)
