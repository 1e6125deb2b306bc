"""Which of what was read a caller without a conversation goes on from: one that brings its whole history each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .reading import Reading

NOBODYS = (-1, -2, -3)
"""Numbers of readings that belong to no conversation."""


def nearest(readings: Mapping[int, Reading], tokens: Sequence[int]) -> int:
    """Return the number of the reading to go on from when ``tokens`` are to be read.

    It is the one that begins most like them, as long as they take up at least half of it. Else another chat is still in
    it: then one that is free, or else the one that was not used for longest.

    Args:
        readings: By number, the one used last at the end.
        tokens: All that is to be read.
    """
    ours = [number for number in readings if number in NOBODYS]
    alike = {number: common(readings[number].tokens, tokens) for number in ours}
    best = max(alike, key=lambda number: alike[number], default=0)
    if best and alike[best] and 2 * alike[best] >= len(readings[best].tokens):
        return best
    return next((number for number in NOBODYS if number not in readings), ours[0] if ours else NOBODYS[0])


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the common beginning."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
