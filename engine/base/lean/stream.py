"""Streams of tokens: a conversation, read and written in turns of any length, alone or with others in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .attention import Layer, Rotary, Shape, attend, prepared, seen_near

_ROOM = 256  # tokens of a first buffer; each next one is at least twice as long
_FEW = 8  # tokens up to which the heads that share keys are the rows of one product


@dataclass
class LeanCache:
    """Keys and values of one stream, ``(2, key_heads, room, width)`` a block, of which ``length`` tokens are held."""

    layers: int
    length: int = 0
    pairs: list[Tensor] = field(default_factory=list)
    expected: int = 0
    """Tokens that are known to come, for which room is made at once."""

    def make_room(self, shape: Shape, tokens: int, dtype: torch.dtype, device: torch.device) -> None:
        """See to it that ``tokens`` more fit."""
        needed = self.length + tokens
        room = self.pairs[0].shape[2] if self.pairs else 0
        if needed <= room or not self.layers:
            return
        size = (2, shape.key_heads, room_for(max(needed, self.expected), room), shape.width)
        begun = bool(self.pairs)
        # A tensor made in inference mode could not be written to outside of it, where the next turn may be computed.
        with torch.inference_mode(mode=False):
            for number in range(self.layers):  # a block at a time: all of the old and all of the new are never there
                larger = torch.empty(size, dtype=dtype, device=device)
                if begun:
                    larger[:, :, : self.length] = self.pairs[number][:, :, : self.length]
                    self.pairs[number] = larger
                else:
                    self.pairs.append(larger)

    def held(self) -> dict[str, Tensor]:
        """Return what is held, ``(layers, 2, key_heads, length, width)``, for :meth:`of`; {} if nothing is."""
        return {"pairs": torch.stack([pair[:, :, : self.length] for pair in self.pairs])} if self.pairs else {}

    @staticmethod
    def of(layers: int, length: int, held: Mapping[str, Tensor], device: torch.device) -> LeanCache:
        """Return a cache that holds on a device what another one of that length held, on whichever."""
        return LeanCache(layers, length, list(held["pairs"].to(device).unbind()) if held else [])

    def fork(self, length: int, expected: int = 0) -> LeanCache:
        """Return a cache of its own that holds the first ``length`` tokens, with room for those that are expected."""
        room = room_for(max(length, expected), 0)
        with torch.inference_mode(mode=False):
            pairs = [pair.new_empty((*pair.shape[:2], room, pair.shape[3])) for pair in self.pairs]
        for new, old in zip(pairs, self.pairs, strict=True):
            new[:, :, :length] = old[:, :, :length]
        return LeanCache(self.layers, length, pairs)

    @property
    def token_bytes(self) -> int:
        """Bytes that a token takes, once there is one."""
        return sum(pair[:, :, :1].nbytes for pair in self.pairs)

    @property
    def nbytes(self) -> int:
        """Bytes of its buffers."""
        return sum(pair.nbytes for pair in self.pairs)

    def get_seq_length(self) -> int:
        """Return how many tokens are held, as the stock caches say it."""
        return self.length

    def crop(self, length: int) -> None:
        """Hold the first ``length`` tokens only."""
        self.length = min(self.length, length)


def room_for(needed: int, room: int) -> int:
    """Return the tokens of the buffers in which ``needed`` tokens are held, where there were ``room``."""
    return room if needed <= room else max(needed, 2 * room, _ROOM)


class StreamAttention:
    """The next tokens of one stream, appended to its cache. Call :meth:`done` after the last block."""

    def __init__(self, shape: Shape, rotary: Rotary, cache: LeanCache, tokens: int, dtype: torch.dtype) -> None:
        self._shape, self._dtype = shape, dtype
        self._stream = _Stream(shape, cache, tokens, dtype, rotary.device)
        self._turn = rotary.at(slice(self._stream.start, self._stream.stop), shape)

    def __call__(self, layer: Layer, qkv: Tensor) -> Tensor:
        """Append keys and values, and attend to all that are held."""
        return self._stream(layer, *prepared(self._shape, self._turn, layer, qkv, self._dtype))

    def done(self) -> None:
        """Count the tokens as held, once all blocks have appended theirs."""
        self._stream.done()


class StreamsAttention:
    """The next tokens of several streams, one stream's after another's: each appends to its cache and sees it alone.

    All that is not attention is then one product for all streams, whose weights are read once. Call :meth:`done` after
    the last block.
    """

    def __init__(
        self, shape: Shape, rotary: Rotary, caches: Sequence[LeanCache], counts: Sequence[int], dtype: torch.dtype
    ) -> None:
        self._shape, self._dtype, self._counts = shape, dtype, list(counts)
        held = zip(caches, counts, strict=True)
        self._streams = [_Stream(shape, cache, tokens, dtype, rotary.device) for cache, tokens in held]
        self._turn = rotary.at(torch.cat([torch.arange(own.start, own.stop) for own in self._streams]), shape)

    def __call__(self, layer: Layer, qkv: Tensor) -> Tensor:
        """Append keys and values, and attend, each stream to its own."""
        query, pair = prepared(self._shape, self._turn, layer, qkv, self._dtype)
        parts = zip(self._streams, torch.split(query, self._counts), torch.split(pair, self._counts), strict=True)
        return torch.cat([stream(layer, *part) for stream, *part in parts])

    def done(self) -> None:
        """Count the tokens as held, once all blocks have appended theirs."""
        for stream in self._streams:
            stream.done()


class _Stream:
    """Where the next tokens of a stream lie in its cache, and what they see."""

    def __init__(self, shape: Shape, cache: LeanCache, tokens: int, dtype: torch.dtype, device: torch.device) -> None:
        cache.make_room(shape, tokens, dtype, device)
        self._shape, self._cache, self._tokens, self._device = shape, cache, tokens, device
        self.start, self.stop = cache.length, cache.length + tokens
        self._masks: dict[int | None, Tensor] = {}

    def __call__(self, layer: Layer, query: Tensor, pair: Tensor) -> Tensor:
        """Append keys and values ``(T, 2 * key_heads, width)``, and attend from ``(T, heads, width)`` to all held."""
        shape = self._shape
        held = self._cache.pairs[layer.number]
        first = 0 if layer.window is None else max(0, self.start + 1 - layer.window)
        if self._tokens == 1:  # in as few operations as can be: many streams may be doing this
            held[:, :, self.start] = pair.view(2, shape.key_heads, shape.width)
            keys, values = held[:, None, :, first : self.stop].unbind()
            grouped = query.view(1, shape.key_heads, -1, shape.width)
            return scaled_dot_product_attention(grouped, keys, values).reshape(1, -1)
        held[:, :, self.start : self.stop] = pair.view(-1, 2, shape.key_heads, shape.width).permute(1, 2, 0, 3)
        keys, values = held[:, None, :, first : self.stop].unbind()
        if self._tokens > _FEW:
            return attend(query.transpose(0, 1), keys[0], values[0], self.start - first, layer.window)
        # The stock kernel repeats nothing if the heads that share keys are the rows of one product.
        grouped = query.view(self._tokens, shape.key_heads, -1, shape.width).permute(1, 2, 0, 3)
        grouped = grouped.reshape(1, shape.key_heads, -1, shape.width)
        out = scaled_dot_product_attention(grouped, keys, values, attn_mask=self._mask(layer.window, first))
        parted = out.reshape(shape.heads, self._tokens, shape.width)
        return parted.transpose(0, 1).reshape(self._tokens, -1)

    def done(self) -> None:
        self._cache.length = self.stop

    def _mask(self, window: int | None, first: int) -> Tensor:
        """Return which keys the rows of a grouped product see."""
        if window not in self._masks:
            seen = seen_near(self.start - first, self.stop - first, window, self._device)
            self._masks[window] = seen.repeat(self._shape.heads // self._shape.key_heads, 1)
        return self._masks[window]
