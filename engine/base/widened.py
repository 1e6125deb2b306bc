"""A model computed in float32 whose weights stay as they are stored, a half of that, mapped from its files.

Every module's own weights are widened while it runs and let go after it, so that the reference values of a card can be
taken of a base that is larger than the memory. Widening 16 bits to 32 is exact: the values are those of a float32 load.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .weights import Tensors


def stored_dtype(folder: Path) -> torch.dtype:
    """Return what a base can be read in without a copy and widened without a loss: its own dtype, if it has one."""
    tensors = Tensors(folder)
    kinds = {tensors[name].dtype for name in tensors}
    return kinds.pop() if len(kinds) == 1 and kinds <= {torch.bfloat16, torch.float16} else torch.float32


@contextmanager
def widened(model: nn.Module) -> Iterator[None]:
    """Let a model compute in float32 within the block."""
    hooks = []
    for module in model.modules():
        own = [parameter for parameter in module.parameters(recurse=False) if parameter.dtype != torch.float32]
        if isinstance(module, nn.Embedding) and own:
            hooks.append(module.register_forward_hook(_wide_output))
        elif own:
            narrow = _Widener(own)
            hooks.append(module.register_forward_pre_hook(narrow.widen))
            hooks.append(module.register_forward_hook(narrow.restore, always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Widener:
    """The weights of one module, and what they are outside of its forward pass."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._parameters = parameters
        self._stored = [parameter.data for parameter in parameters]

    def widen(self, *_: Any) -> None:
        for parameter in self._parameters:
            parameter.data = parameter.data.float()

    def restore(self, *_: Any) -> None:
        for parameter, stored in zip(self._parameters, self._stored, strict=True):
            parameter.data = stored


def _wide_output(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return output.float()
