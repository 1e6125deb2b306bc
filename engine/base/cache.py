"""Truncating what a stream has seen, whichever kind of cache holds it. Imports no transformers, which takes seconds."""

from __future__ import annotations

from typing import Any

from .lean.stream import LeanCache


def crop(cache: Any, length: int) -> bool:
    """Truncate a cache, a lean one or one of transformers, to its first ``length`` tokens.

    Returns:
        False, with the cache untouched, if a sliding window has already dropped what would be needed: then begin an
        empty cache and feed the tokens again.
    """
    if isinstance(cache, LeanCache):
        cache.crop(length)
        return True
    layers: list[Any] = list(cache.layers)
    surplus = [layer.get_seq_length() - length for layer in layers]
    for layer, extra in zip(layers, surplus, strict=True):
        window = getattr(layer, "sliding_window", None)
        if extra > 0 and window is not None and layer.get_seq_length() >= window:
            return False
    for layer, extra in zip(layers, surplus, strict=True):
        if extra > 0:
            layer.crop(-extra)
    return True
