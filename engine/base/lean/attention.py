"""Causal attention over packed rows: whole sequences without a cache, one stream, or many streams a token each.

All three take ``qkv`` of ``N`` tokens and give ``(N, heads * head_dim)``; what differs is which keys a token sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention

_SHORT = 384
"""Keys up to which plain products beat the stock fused kernel on a CPU: a third of its time at 100 tokens."""
_POSITIONS = 2048  # whose rotations are there from the beginning
_ROOM = 256  # tokens of a first buffer; each next one is at least twice as long


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

    @property
    def turned(self) -> int:
        """Heads that carry positions: queries and keys."""
        return self.heads + self.key_heads


class Rotary:
    """Cosines and signed sines of positions, for frequencies that never change; computed as far as they are asked for.

    Attributes:
        frequencies, scaling: Of the stock rotary module.
    """

    def __init__(self, frequencies: Tensor, scaling: float) -> None:
        self.frequencies, self.scaling = frequencies, scaling
        self._reach(_POSITIONS)

    def at(self, positions: Tensor | slice) -> Turn:
        """Return the rotation to some positions, for every block of a pass."""
        last = positions.stop if isinstance(positions, slice) else int(positions.max()) + 1
        if last > len(self._cos):
            self._reach(max(last, 2 * len(self._cos)))
        return Turn(self._cos[positions], self._sin[positions])

    @torch.inference_mode(mode=False)
    def _reach(self, count: int) -> None:
        angles = torch.arange(count, dtype=torch.float32)[:, None] * self.frequencies.float()[None]
        sines = angles.sin() * self.scaling
        self._cos = torch.cat([angles.cos() * self.scaling] * 2, dim=1)[:, None]
        self._sin = torch.cat([-sines, sines], dim=1)[:, None]  # the sign of rotate_half is in here


@dataclass(frozen=True)
class Turn:
    """A rotation of ``N`` tokens to their positions."""

    cos: Tensor
    sin: Tensor

    def __call__(self, heads: Tensor, dtype: torch.dtype) -> Tensor:
        """Rotate ``(N, h, width)``, in fp32, and return them in ``dtype``."""
        return torch.addcmul(heads * self.cos, heads.roll(heads.shape[-1] // 2, -1), self.sin).to(dtype)


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


def _prepared(shape: Shape, turn: Turn, layer: Layer, qkv: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries ``(N, heads, width)``, keys and values ``(N, key_heads, width)``, at their positions."""
    rows = qkv.view(len(qkv), -1, shape.width)
    turned, values = rows[:, : shape.turned], rows[:, shape.turned :]
    if layer.query_norm is not None and layer.key_norm is not None:
        parts = (turned[:, : shape.heads], layer.query_norm), (turned[:, shape.heads :], layer.key_norm)
        normed = [rms_norm(part.float(), (shape.width,), weight, shape.eps) for part, weight in parts]
        turned = torch.cat(normed, dim=1)
    turned = turn(turned, dtype)
    return turned[:, : shape.heads], turned[:, shape.heads :], values.to(dtype)


class PackedAttention:
    """Whole sequences one after another, none seeing another. Differentiable.

    Args:
        shape: Of ``qkv``.
        rotary: Positions.
        lengths: Tokens of each sequence.
        keep: Called with layer, sequence number, keys and values ``(key_heads, T, width)``, to fill caches.
    """

    def __init__(self, shape: Shape, rotary: Rotary, lengths: Sequence[int], keep: Keep | None = None) -> None:
        self._shape, self._lengths, self._keep = shape, list(lengths), keep
        self._turn = rotary.at(torch.cat([torch.arange(length) for length in lengths]))

    def __call__(self, layer: Layer, qkv: Tensor) -> Tensor:
        """Attend within each sequence."""
        prepared = _prepared(self._shape, self._turn, layer, qkv, qkv.dtype)
        queries, keys, values = (torch.split(part.transpose(0, 1), self._lengths, dim=1) for part in prepared)
        found = []
        for number, (query, key, value) in enumerate(zip(queries, keys, values, strict=True)):
            if self._keep is not None:
                self._keep(layer.number, number, key, value)
            found.append(_attend(query, key, value, 0, layer.window))
        return torch.cat(found)


class Keep(Protocol):
    """Takes keys and values of a sequence."""

    def __call__(self, layer: int, sequence: int, keys: Tensor, values: Tensor) -> None:
        """Store ``(key_heads, T, width)`` each."""
        ...


def _attend(query: Tensor, keys: Tensor, values: Tensor, start: int, window: int | None) -> Tensor:
    """Attend from ``(heads, T, width)`` at positions ``start..`` to ``(key_heads, start + T, width)``."""
    heads, count, width = query.shape
    shared, total = keys.shape[:2]
    if total > _SHORT:
        mask = None
        if start or (window is not None and total > window):
            mask = _seen_far(start, total, window)
        out = scaled_dot_product_attention(
            query[None], keys[None], values[None], attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )[0]
        return out.transpose(0, 1).reshape(count, heads * width)
    # The heads that share keys are the rows of one product.
    grouped = (query * width**-0.5).reshape(shared, -1, width)
    scores = torch.matmul(grouped, keys.transpose(-1, -2)).float().view(shared, -1, count, total)
    hidden = ~_seen_near(start, total, window)
    weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1).to(values.dtype)
    out = torch.matmul(weights.view(shared, -1, total), values)
    return out.view(heads, count, width).transpose(0, 1).reshape(count, heads * width)


@torch.inference_mode(mode=False)  # it is kept, also for passes that are differentiated
def _seen(start: int, total: int, window: int | None) -> Tensor:
    """Return ``(total - start, total)``: whether the token at position ``start + i`` sees the key at ``j``."""
    place = torch.arange(start, total)[:, None]
    keys = torch.arange(total)[None]
    seen = keys <= place
    return seen if window is None else seen & (keys > place - window)


# Every block of a pass asks for the same; the near ones are small.
_seen_near = lru_cache(maxsize=32)(_seen)
_seen_far = lru_cache(maxsize=2)(_seen)


@dataclass
class LeanCache:
    """Keys and values of one stream, ``(key_heads, room, width)`` a block, of which ``length`` tokens are held."""

    layers: int
    length: int = 0
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def make_room(self, shape: Shape, tokens: int, dtype: torch.dtype) -> None:
        """See to it that ``tokens`` more fit."""
        needed = self.length + tokens
        room = self.keys[0].shape[1] if self.keys else 0
        if needed <= room or not self.layers:
            return
        # A tensor made in inference mode could not be written to outside of it, where the next turn may be computed.
        with torch.inference_mode(mode=False):
            larger = [
                [torch.empty(shape.key_heads, max(needed, 2 * room, _ROOM), shape.width, dtype=dtype) for _ in range(2)]
                for _ in range(self.layers)
            ]
            for number, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
                larger[number][0][:, : self.length] = keys[:, : self.length]
                larger[number][1][:, : self.length] = values[:, : self.length]
        self.keys, self.values = [pair[0] for pair in larger], [pair[1] for pair in larger]

    def held(self) -> dict[str, Tensor]:
        """Return what is held, ``(layers, key_heads, length, width)`` each, for :meth:`of`; {} if nothing is."""
        if not self.keys:
            return {}
        named = {"keys": self.keys, "values": self.values}
        return {name: torch.stack([one[:, : self.length] for one in tensors]) for name, tensors in named.items()}

    @staticmethod
    def of(layers: int, length: int, held: Mapping[str, Tensor]) -> LeanCache:
        """Return a cache that holds what another one of that length held."""
        return LeanCache(layers, length, *(list(held[name].unbind()) if held else [] for name in ("keys", "values")))

    def get_seq_length(self) -> int:
        """Return how many tokens are held, as the stock caches say it."""
        return self.length

    def crop(self, length: int) -> None:
        """Hold the first ``length`` tokens only."""
        self.length = min(self.length, length)


class StreamAttention:
    """The next tokens of one stream, appended to its cache. Call :meth:`done` after the last block."""

    def __init__(self, shape: Shape, rotary: Rotary, cache: LeanCache, tokens: int, dtype: torch.dtype) -> None:
        cache.make_room(shape, tokens, dtype)
        self._shape, self._cache, self._dtype = shape, cache, dtype
        self._start, self._stop = cache.length, cache.length + tokens
        self._turn = rotary.at(slice(self._start, self._stop))

    def __call__(self, layer: Layer, qkv: Tensor) -> Tensor:
        """Append keys and values, and attend to all that are held."""
        query, key, value = _prepared(self._shape, self._turn, layer, qkv, self._dtype)
        keys, values = self._cache.keys[layer.number], self._cache.values[layer.number]
        keys[:, self._start : self._stop] = key.transpose(0, 1)
        values[:, self._start : self._stop] = value.transpose(0, 1)
        first = 0 if layer.window is None else max(0, self._start + 1 - layer.window)
        seen_keys, seen_values = keys[:, first : self._stop], values[:, first : self._stop]
        if len(qkv) > 1:
            return _attend(query.transpose(0, 1), seen_keys, seen_values, self._start - first, layer.window)
        # One token: the heads that share keys are the rows of one product, and the stock kernel repeats nothing.
        grouped = query.view(1, self._shape.key_heads, -1, self._shape.width)
        out = scaled_dot_product_attention(grouped, seen_keys[None], seen_values[None])
        return out.reshape(1, -1)

    def done(self) -> None:
        """Count the tokens as held, once all blocks have appended theirs."""
        self._cache.length = self._stop


@dataclass
class Rows:
    """Keys and values of many streams of different lengths, ``(rows, key_heads, room, width)`` a block."""

    keys: list[Tensor]
    values: list[Tensor]
    lengths: Tensor

    @staticmethod
    def make(shape: Shape, layers: int, rows: int, room: int, dtype: torch.dtype) -> Rows:
        """Return empty streams with room for ``room`` tokens each."""
        size = (rows, shape.key_heads, room, shape.width)
        keys, values = ([torch.zeros(size, dtype=dtype) for _ in range(layers)] for _ in range(2))
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
        self._places = rows.lengths[:count]
        self._turn = rotary.at(self._places)
        self._index = torch.arange(count)
        self._total = int(self._places.max()) + 1
        ahead = self._places[:, None] - torch.arange(self._total)[None]  # how far back a key lies
        self._ahead = ahead[:, None, None]

    def __call__(self, layer: Layer, qkv: Tensor) -> Tensor:
        """Append keys and values, and attend, each row to its own."""
        dtype, count = self._rows.keys[layer.number].dtype, len(qkv)
        query, key, value = _prepared(self._shape, self._turn, layer, qkv, dtype)
        keys, values = self._rows.keys[layer.number], self._rows.values[layer.number]
        keys[self._index, :, self._places] = key
        values[self._index, :, self._places] = value
        grouped = query.reshape(count, self._shape.key_heads, -1, self._shape.width) * self._shape.width**-0.5
        scores = torch.matmul(grouped, keys[:count, :, : self._total].transpose(-1, -2)).float()
        hidden = self._ahead < 0
        if layer.window is not None:
            hidden = hidden | (self._ahead >= layer.window)
        weights = scores.masked_fill_(hidden, float("-inf")).softmax(dim=-1).to(dtype)
        return torch.matmul(weights, values[:count, :, : self._total]).view(count, -1)
