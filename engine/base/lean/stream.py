"""One stream of tokens: a conversation, read and written in turns of any length."""

from __future__ import annotations

from collections.abc import Mapping
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

    def make_room(self, shape: Shape, tokens: int, dtype: torch.dtype, device: torch.device) -> None:
        """See to it that ``tokens`` more fit."""
        needed = self.length + tokens
        room = self.pairs[0].shape[2] if self.pairs else 0
        if needed <= room or not self.layers:
            return
        size = (2, shape.key_heads, max(needed, 2 * room, _ROOM), shape.width)
        # A tensor made in inference mode could not be written to outside of it, where the next turn may be computed.
        with torch.inference_mode(mode=False):
            larger = [torch.empty(size, dtype=dtype, device=device) for _ in range(self.layers)]
            for new, old in zip(larger, self.pairs, strict=False):
                new[:, :, : self.length] = old[:, :, : self.length]
        self.pairs = larger

    def held(self) -> dict[str, Tensor]:
        """Return what is held, ``(layers, 2, key_heads, length, width)``, for :meth:`of`; {} if nothing is."""
        return {"pairs": torch.stack([pair[:, :, : self.length] for pair in self.pairs])} if self.pairs else {}

    @staticmethod
    def of(layers: int, length: int, held: Mapping[str, Tensor], device: torch.device) -> LeanCache:
        """Return a cache that holds on a device what another one of that length held, on whichever."""
        return LeanCache(layers, length, list(held["pairs"].to(device).unbind()) if held else [])

    def get_seq_length(self) -> int:
        """Return how many tokens are held, as the stock caches say it."""
        return self.length

    def crop(self, length: int) -> None:
        """Hold the first ``length`` tokens only."""
        self.length = min(self.length, length)


class StreamAttention:
    """The next tokens of one stream, appended to its cache. Call :meth:`done` after the last block."""

    def __init__(self, shape: Shape, rotary: Rotary, cache: LeanCache, tokens: int, dtype: torch.dtype) -> None:
        cache.make_room(shape, tokens, dtype, rotary.device)
        self._shape, self._cache, self._dtype, self._tokens = shape, cache, dtype, tokens
        self._start, self._stop = cache.length, cache.length + tokens
        self._turn = rotary.at(slice(self._start, self._stop), shape)
        self._masks: dict[int | None, Tensor | None] = {}

    def __call__(self, layer: Layer, qkv: Tensor) -> Tensor:
        """Append keys and values, and attend to all that are held."""
        shape = self._shape
        query, pair = prepared(shape, self._turn, layer, qkv, self._dtype)
        held = self._cache.pairs[layer.number]
        held[:, :, self._start : self._stop] = pair.view(-1, 2, shape.key_heads, shape.width).permute(1, 2, 0, 3)
        first = 0 if layer.window is None else max(0, self._start + 1 - layer.window)
        keys, values = held[:, None, :, first : self._stop].unbind()
        if self._tokens > _FEW:
            return attend(query.transpose(0, 1), keys[0], values[0], self._start - first, layer.window)
        # The stock kernel repeats nothing if the heads that share keys are the rows of one product.
        grouped = query.view(self._tokens, shape.key_heads, -1, shape.width).permute(1, 2, 0, 3)
        grouped = grouped.reshape(1, shape.key_heads, -1, shape.width)
        out = scaled_dot_product_attention(grouped, keys, values, attn_mask=self._mask(layer.window, first))
        if self._tokens == 1:
            return out.view(1, -1)
        parted = out.view(shape.heads, self._tokens, shape.width)
        return parted.transpose(0, 1).reshape(self._tokens, -1)

    def done(self) -> None:
        """Count the tokens as held, once all blocks have appended theirs."""
        self._cache.length = self._stop

    def _mask(self, window: int | None, first: int) -> Tensor | None:
        """Return which keys the rows of a grouped product see; one token sees all that it is given."""
        if self._tokens == 1:
            return None
        if window not in self._masks:
            seen = seen_near(self._start - first, self._stop - first, window, self._turn.cos.device)
            self._masks[window] = seen.repeat(self._shape.heads // self._shape.key_heads, 1)
        return self._masks[window]
