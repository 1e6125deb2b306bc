"""The low-rank update of one projection, and the stock linear layer that carries it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

Place = tuple[int, str]
"""A projection: number of its block in the whole model, path in the block, as ``(22, "self_attn.q_proj")``."""

HEAD = "head"
"""The path of an update of the final state, between final norm and head; its block is the number of all blocks.

It is no projection of the base, so that an adapter of it is no PEFT adapter; what it does is exactly what LoRA on the
head does whose B is the head's weight times ``up``.
"""


class Lora(nn.Module):
    """``up @ down``, kept in fp32 whatever the base computes in.

    Attributes:
        down: ``(r, in)`` parameter, LoRA's A.
        up: ``(out, r)`` parameter, LoRA's B.
        scale: Factor on the update; the line search of a study turns it.
    """

    def __init__(self, down: Tensor, up: Tensor) -> None:
        super().__init__()
        self.down = nn.Parameter(down.detach().to(torch.float32, copy=True), requires_grad=False)
        self.up = nn.Parameter(up.detach().to(torch.float32, copy=True), requires_grad=False)
        self.scale = 1.0

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the update ``(..., out)`` for inputs ``(..., in)``, in their dtype."""
        down, up = self.down.to(inputs.dtype), self.up.to(inputs.dtype)
        update = nn.functional.linear(nn.functional.linear(inputs, down), up)
        return update if self.scale == 1.0 else update * self.scale


class LoraLinear(nn.Module):
    """A frozen stock projection plus its update."""

    def __init__(self, linear: nn.Linear, lora: Lora) -> None:
        super().__init__()
        self.linear = linear
        self.lora = lora

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(..., out)`` from ``(..., in)``."""
        plain = cast("Tensor", self.linear(inputs))
        return plain if self.lora.scale == 0.0 else plain + self.lora(inputs)
