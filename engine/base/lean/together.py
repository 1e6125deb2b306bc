"""The same blocks with several sets of updates: the frozen matrices are read once, each row has an update of its own.

A token costs the reading of the weights; that of a second voice costs hardly more than its own low-rank products.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from .attention import Attention, Layer
from .blocks import Blocks, Fused


def together(several: Sequence[Blocks], rows: Tensor, attentions: Sequence[Attention]) -> Tensor:
    """Return ``(n, d)`` fp32 from ``(n, d)`` fp32, row ``i`` by the blocks and the attention ``i``; not differentiable.

    Args:
        several: Blocks of one base, alike but for what they carry.
        rows: One of each.
        attentions: Each for one row.
    """

    def attend(layer: Layer, qkv: Tensor) -> Tensor:
        parts = zip(attentions, torch.split(qkv, 1), strict=True)
        return torch.cat([attention(layer, part) for attention, part in parts])

    for blocks in zip(*(one.blocks for one in several), strict=True):
        fused = zip(*(block.fused() for block in blocks), strict=True)
        rows = blocks[0].with_products([partial(_product, parts) for parts in fused], rows, attend)
    return rows


def _product(several: Sequence[Fused], inputs: Tensor) -> Tensor:
    matrix = several[0].matrix
    plain = matrix(inputs.to(matrix.dtype)).float()
    for fused, out, given in zip(several, torch.split(plain, 1), torch.split(inputs.float(), 1), strict=True):
        fused.add_updates(out, given)
    return plain
