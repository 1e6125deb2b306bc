"""Truncating, copying and weighing what a stream has seen, whichever kind of cache holds it.

Imports no transformers, which takes seconds.
"""

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
    if any(extra > 0 and _has_dropped(layer) for layer, extra in zip(layers, surplus, strict=True)):
        return False
    for layer, extra in zip(layers, surplus, strict=True):
        if extra > 0:
            layer.crop(-extra)
    return True


def expect(cache: Any, tokens: int) -> None:
    """Let a cache know how many tokens it will hold, where that spares it growing by and by."""
    if isinstance(cache, LeanCache):
        cache.expected = tokens


def fork(cache: Any, length: int, empty: Any, expected: int = 0) -> Any | None:
    """Return a cache of its own with the first ``length`` tokens of another one, which stays as it is.

    Args:
        cache: The other one.
        length: At most as many as it holds.
        empty: A new cache of the same kind, filled and returned where the kind has no way of its own.
        expected: Tokens that it will hold, as of :func:`expect`.

    Returns:
        None if a sliding window has already dropped what would be needed.
    """
    if isinstance(cache, LeanCache):
        return cache.fork(length, expected)
    if any(layer.get_seq_length() > length and _has_dropped(layer) for layer in cache.layers):
        return None
    for layer, twin in zip(cache.layers, empty.layers, strict=True):
        if layer.is_initialized and length:
            kept = layer.keys.shape[-2] - (layer.get_seq_length() - length)
            twin.update(layer.keys[..., :kept, :].clone(), layer.values[..., :kept, :].clone())
            if _window(layer) is not None:
                twin.cumulative_length = length
    return empty


def bytes_of(cache: Any) -> int:
    """Return the bytes that a cache takes."""
    if isinstance(cache, LeanCache):
        return cache.nbytes
    # A growing layer shows what it holds as views of larger buffers.
    tensors = [tensor for layer in cache.layers if layer.is_initialized for tensor in (layer.keys, layer.values)]
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def token_bytes(cache: Any) -> int:
    """Return the bytes that a token takes in a cache that holds one; where a window drops some, at most that."""
    if isinstance(cache, LeanCache):
        return cache.token_bytes
    held = [tensor for layer in cache.layers if layer.is_initialized for tensor in (layer.keys, layer.values)]
    return sum(tensor[..., :1, :].nbytes for tensor in held)


def _has_dropped(layer: Any) -> bool:
    window = _window(layer)
    return window is not None and layer.get_seq_length() >= window


def _window(layer: Any) -> int | None:
    window: int | None = getattr(layer, "sliding_window", None)
    return window
