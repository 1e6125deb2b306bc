"""How much of a base becomes the tail where nobody chooses. Imports no torch."""

from __future__ import annotations


def default_cut(layers: int) -> int:
    """Return the number of blocks of the tail for a base of ``layers`` blocks: 8 of 30, and never none."""
    return max(1, round(layers * 4 / 15))
