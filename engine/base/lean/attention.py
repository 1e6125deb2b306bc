"""Causal attention over packed rows, and whole sequences without a cache; ``stream`` and ``rows`` have caches.

All take ``qkv`` of ``N`` tokens and give ``(N, heads * head_dim)``; what differs is which keys a token sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention

from .packing import Packing

_SHORT = 384
"""Keys up to which, on a CPU, plain products beat the stock fused kernel: a third of its time at 100 tokens."""
_POSITIONS = 2048  # whose rotations are there from the beginning


@dataclass(frozen=True)
class Shape:
    """How the rows of ``qkv`` are laid out.

    Attributes:
        heads, key_heads, width: Query heads, key and value heads, and numbers in one.
        eps: Of the norms on heads, where a family has them.
    """

    heads: int
    key_heads: int
    width: int
    eps: float


class Rotary:
    """Cosines and signed sines of positions, for frequencies that never change; computed as far as they are asked for.

    Attributes:
        frequencies, scaling: Of the stock rotary module.
    """

    def __init__(self, frequencies: Tensor, scaling: float) -> None:
        self.frequencies, self.scaling = frequencies, scaling
        self._reach(_POSITIONS)

    @property
    def device(self) -> torch.device:
        """Where it turns."""
        return self.frequencies.device

    def at(self, positions: Tensor | slice, shape: Shape) -> Turn:
        """Return the rotation to some positions, for every block of a pass; positions are given on the CPU."""
        last = positions.stop if isinstance(positions, slice) else int(positions.max()) + 1
        if last > len(self._cos):
            self._reach(max(last, 2 * len(self._cos)))
        if not isinstance(positions, slice):
            positions = positions.to(self.device)
        cos, sin = self._cos[positions], self._sin[positions]
        turned, still = shape.heads + shape.key_heads, (len(cos), shape.key_heads, shape.width)
        # Values are turned by nothing, so that all that a token gives is one product.
        return Turn(
            torch.cat([cos.expand(-1, turned, -1), cos.new_ones(still)], dim=1),
            torch.cat([sin.expand(-1, turned, -1), sin.new_zeros(still)], dim=1),
        )

    @torch.inference_mode(mode=False)
    def _reach(self, count: int) -> None:
        angles = torch.arange(count, dtype=torch.float32, device=self.device)[:, None] * self.frequencies.float()[None]
        sines = angles.sin() * self.scaling
        self._cos = torch.cat([angles.cos() * self.scaling] * 2, dim=1)[:, None]
        self._sin = torch.cat([-sines, sines], dim=1)[:, None]  # the sign of rotate_half is in here


@dataclass(frozen=True)
class Turn:
    """A rotation of ``N`` tokens to their positions: ``(N, heads + 2 * key_heads, width)``, the values' last."""

    cos: Tensor
    sin: Tensor

    def __call__(self, heads: Tensor) -> Tensor:
        """Rotate queries and keys; all in fp32."""
        return torch.addcmul(heads * self.cos, heads.roll(heads.shape[-1] // 2, -1), self.sin)


@dataclass(frozen=True)
class Layer:
    """What attention needs to know of a block.

    Attributes:
        number: Its place among the blocks here; names its keys in a cache.
        window: How many keys a token sees, itself included; None: all before it.
        query_norm, key_norm: Weights of norms on the heads; None: the family has none.
    """

    number: int
    window: int | None
    query_norm: Tensor | None
    key_norm: Tensor | None


class Attention(Protocol):
    """Who sees whom, for some tokens of one forward pass."""

    def __call__(self, layer: Layer, qkv: Tensor) -> Tensor:
        """Return ``(N, heads * width)`` from ``(N, (heads + 2 * key_heads) * width)``."""
        ...


def prepared(shape: Shape, turn: Turn, layer: Layer, qkv: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return queries ``(N, heads, width)``, and keys and values ``(N, 2 * key_heads, width)``, at their positions."""
    rows = qkv.float().view(len(qkv), -1, shape.width)
    if layer.query_norm is not None and layer.key_norm is not None:
        parts = torch.split(rows, [shape.heads, shape.key_heads, shape.key_heads], dim=1)
        norms = layer.query_norm, layer.key_norm
        normed = [rms_norm(part, (shape.width,), norm, shape.eps) for part, norm in zip(parts[:2], norms, strict=True)]
        rows = torch.cat([*normed, parts[2]], dim=1)
    rows = turn(rows).to(dtype)
    return rows[:, : shape.heads], rows[:, shape.heads :]


class PackedAttention:
    """Whole sequences one after another, each seeing itself alone. Differentiable.

    Args:
        shape: Of ``qkv``.
        rotary: Positions.
        packing: Which rows are whose.
        keep: Called with layer, sequence number, keys and values ``(key_heads, T, width)``, to fill caches.
    """

    def __init__(self, shape: Shape, rotary: Rotary, packing: Packing, keep: Keep | None = None) -> None:
        self._shape, self._packing, self._keep = shape, packing, keep
        self._turn = rotary.at(packing.positions, shape)

    def __call__(self, layer: Layer, qkv: Tensor) -> Tensor:
        """Attend within each sequence."""
        packing = self._packing
        query, pair = prepared(self._shape, self._turn, layer, qkv, qkv.dtype)
        found = []
        own = zip(packing.split(query), packing.split(pair), strict=True)
        for number, (queries, seen) in zip(packing.order, own, strict=True):
            start = packing.starts[number]
            if start:
                seen = pair.index_select(0, packing.paths[number])
            keys, values = torch.split(seen.transpose(0, 1), self._shape.key_heads)
            if self._keep is not None:
                self._keep(layer.number, number, keys, values)
            found.append(attend(queries.transpose(0, 1), keys, values, start, layer.window))
        return torch.cat([*found, qkv.new_zeros(packing.filler, found[0].shape[1])])


class Keep(Protocol):
    """Takes keys and values of a sequence."""

    def __call__(self, layer: int, sequence: int, keys: Tensor, values: Tensor) -> None:
        """Store ``(key_heads, T, width)`` each."""
        ...


def attend(query: Tensor, keys: Tensor, values: Tensor, start: int, window: int | None) -> Tensor:
    """Attend from ``(heads, T, width)`` at positions ``start..`` to ``(key_heads, start + T, width)``."""
    heads, count, width = query.shape
    shared, total = keys.shape[:2]
    if total > _SHORT or not query.is_cpu:
        mask = None
        if start or (window is not None and total > window):
            mask = seen_far(start, total, window, query.device)
            if not query.is_cpu:  # not every kernel there takes a mask and heads that share keys
                keys, values = (held.repeat_interleave(heads // shared, dim=0) for held in (keys, values))
        out = scaled_dot_product_attention(
            query[None], keys[None], values[None], attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )[0]
        return out.transpose(0, 1).reshape(count, heads * width)
    # The heads that share keys are the rows of one product.
    grouped = (query * width**-0.5).reshape(shared, -1, width)
    scores = torch.matmul(grouped, keys.transpose(-1, -2)).float().view(shared, -1, count, total)
    hidden = ~seen_near(start, total, window, query.device)
    weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1).to(values.dtype)
    out = torch.matmul(weights.view(shared, -1, total), values)
    return out.view(heads, count, width).transpose(0, 1).reshape(count, heads * width)


@torch.inference_mode(mode=False)  # it is kept, also for passes that are differentiated
def _seen(start: int, total: int, window: int | None, device: torch.device) -> Tensor:
    """Return ``(total - start, total)``: whether the token at position ``start + i`` sees the key at ``j``."""
    place = torch.arange(start, total, device=device)[:, None]
    keys = torch.arange(total, device=device)[None]
    seen = keys <= place
    return seen if window is None else seen & (keys > place - window)


# Every block of a pass asks for the same; the near ones are small.
seen_near = lru_cache(maxsize=32)(_seen)
seen_far = lru_cache(maxsize=2)(_seen)
