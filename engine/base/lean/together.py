"""The same blocks with several sets of updates: the frozen matrices are read once, each row has an update of its own.

A token costs the reading of the weights; that of a second voice costs hardly more than its own low-rank products.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import silu

from .attention import Attention
from .blocks import Block, Blocks, Fused


def together(several: Sequence[Blocks], rows: Tensor, attentions: Sequence[Attention]) -> Tensor:
    """Return ``(n, d)`` fp32 from ``(n, d)`` fp32, row ``i`` by the blocks and the attention ``i``; not differentiable.

    Args:
        several: Blocks of one base, alike but for what they carry.
        rows: One of each.
        attentions: Each for one row.
    """
    for blocks in zip(*(one.blocks for one in several), strict=True):
        rows = _block(blocks, rows, attentions)
    return rows


def _block(blocks: Sequence[Block], rows: Tensor, attentions: Sequence[Attention]) -> Tensor:
    first = blocks[0]
    qkv = _product([block.qkv for block in blocks], first.before_attention(rows))
    parts = zip(blocks, attentions, torch.split(qkv, 1), strict=True)
    attended = torch.cat([attention(block.layer, part) for block, attention, part in parts])
    rows = rows + _product([block.o for block in blocks], attended)
    gate, up = _product([block.gate_up for block in blocks], first.before_mlp(rows)).chunk(2, dim=-1)
    return rows + _product([block.down for block in blocks], silu(gate) * up)


def _product(several: Sequence[Fused], inputs: Tensor) -> Tensor:
    matrix = several[0].matrix
    plain = matrix(inputs.to(matrix.dtype)).float()
    for fused, out, given in zip(several, torch.split(plain, 1), torch.split(inputs.float(), 1), strict=True):
        fused.add_updates(out, given)
    return plain
