"""Many streams of different lengths, a token each at a time: replies written together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .attention import Keep, Layer, Rotary, Shape, prepared


@dataclass
class Rows:
    """Keys and values of many streams of different lengths, ``(rows, key_heads, room, width)`` a block.

    ``lengths`` are on the CPU, which plans by them.
    """

    keys: list[Tensor]
    values: list[Tensor]
    lengths: Tensor

    @staticmethod
    def make(shape: Shape, layers: int, rows: int, room: int, *, dtype: torch.dtype, device: torch.device) -> Rows:
        """Return empty streams with room for ``room`` tokens each."""
        size = (rows, shape.key_heads, room, shape.width)
        keys, values = ([torch.zeros(size, dtype=dtype, device=device) for _ in range(layers)] for _ in range(2))
        return Rows(keys, values, torch.zeros(rows, dtype=torch.int64))

    def move(self, source: int, target: int) -> None:
        """Let one row take the place of another."""
        length = int(self.lengths[source])
        for held in (*self.keys, *self.values):
            held[target, :, :length] = held[source, :, :length]
        self.lengths[target] = length

    def fill(self, rows: Sequence[int]) -> Keep:
        """Return what stores the keys of a packed pass: its sequence ``i`` becomes the whole of row ``rows[i]``."""

        def keep(layer: int, sequence: int, keys: Tensor, values: Tensor) -> None:
            row, length = rows[sequence], keys.shape[1]
            self.keys[layer][row, :, :length] = keys
            self.values[layer][row, :, :length] = values

        return keep


class RowsAttention:
    """One more token for each of the first ``count`` rows."""

    def __init__(self, shape: Shape, rotary: Rotary, rows: Rows, count: int) -> None:
        self._shape, self._rows = shape, rows
        lengths, device = rows.lengths[:count], rotary.device
        self._turn = rotary.at(lengths, shape)
        self._total = int(lengths.max()) + 1
        self._places = lengths.to(device)
        self._index = torch.arange(count, device=device)
        # How far back a key lies.
        ahead = self._places[:, None] - torch.arange(self._total, device=device)[None]
        self._ahead = ahead[:, None, None]

    def __call__(self, layer: Layer, qkv: Tensor) -> Tensor:
        """Append keys and values, and attend, each row to its own."""
        dtype, count = self._rows.keys[layer.number].dtype, len(qkv)
        query, pair = prepared(self._shape, self._turn, layer, qkv, dtype)
        key, value = torch.split(pair, self._shape.key_heads, dim=1)
        keys, values = self._rows.keys[layer.number], self._rows.values[layer.number]
        keys[self._index, :, self._places] = key
        values[self._index, :, self._places] = value
        hidden = self._ahead < 0
        if layer.window is not None:
            hidden = hidden | (self._ahead >= layer.window)
        grouped = query.reshape(count, self._shape.key_heads, -1, self._shape.width)
        if not grouped.is_cpu:
            held = keys[:count, :, : self._total], values[:count, :, : self._total]
            return scaled_dot_product_attention(grouped, *held, attn_mask=~hidden).reshape(count, -1)
        grouped = grouped * self._shape.width**-0.5
        scores = torch.matmul(grouped, keys[:count, :, : self._total].transpose(-1, -2)).float()
        weights = scores.masked_fill_(hidden, float("-inf")).softmax(dim=-1).to(dtype)
        return torch.matmul(weights, values[:count, :, : self._total]).view(count, -1)
