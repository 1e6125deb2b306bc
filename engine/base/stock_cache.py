"""Key-value caches that grow in place: the stock cache copies everything it holds for every token it appends."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_ROOM = 256  # tokens of the first buffer; each next one is twice as long


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # transformers leaves its constructors untyped
    """One block's keys and values, ``(B, H, T, d)``, as views of buffers with room to spare.

    Appending writes into the buffer, so this is for decoding under ``no_grad``, not for a pass that is differentiated.
    """

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make empty buffers of the right shape and type."""
        super().lazy_initialization(key_states, value_states)
        self._buffers = tuple(_empty(states, _ROOM) for states in (key_states, value_states))
        self.keys, self.values = (buffer[:, :, :0] for buffer in self._buffers)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values and return all that are held."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        stop = start + key_states.shape[-2]
        if stop > self._buffers[0].shape[-2]:
            self._buffers = tuple(_grown(buffer, start, stop) for buffer in self._buffers)
        keys, values = self._buffers
        keys[:, :, start:stop] = key_states
        values[:, :, start:stop] = value_states
        self.keys, self.values = keys[:, :, :stop], values[:, :, :stop]
        return self.keys, self.values


def growing_cache(config: Any) -> DynamicCache:
    """Return an empty cache for a decoder; blocks with a sliding window keep the stock layer, which drops the past."""
    cache = DynamicCache(config=config)
    grown: Any = GrowingLayer
    cache.layers = [grown() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def _empty(states: Tensor, room: int) -> Tensor:
    # A tensor made in inference mode could not be written to outside of it, where the next turn may be computed.
    with torch.inference_mode(mode=False):
        return torch.empty(*states.shape[:2], room, states.shape[-1], dtype=states.dtype, device=states.device)


def _grown(buffer: Tensor, held: int, needed: int) -> Tensor:
    larger = _empty(buffer, max(needed, 2 * buffer.shape[-2]))
    larger[:, :, :held] = buffer[:, :, :held]
    return larger
