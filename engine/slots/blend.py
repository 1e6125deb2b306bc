"""A voice: one adapter, or several at once, each with a weight. Knows no tensors."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import UsageError

LARGEST_WEIGHT = 10.0


@dataclass(frozen=True)
class Blend:
    """The weighted sum of several adapters, made as it speaks: exact, and its weights may change at any time.

    Attributes:
        parts: Folders of adapters of one base, and how much of each.
    """

    parts: tuple[tuple[Path, float], ...]

    def __str__(self) -> str:
        return " + ".join(f"{weight!r} {folder}" for folder, weight in self.parts)


Voice = Path | Blend | None
"""The folder of an adapter, a blend of several, or the plain base."""


def voice_name(voice: Voice) -> str:
    """Return what tells a voice from any other; empty for the plain base."""
    return "" if voice is None else str(voice)


def check_weights(weights: Mapping[str, float], *, least: int = 1) -> None:
    """Refuse weights, by slot, that no blend can have.

    Raises:
        UsageError: If there are fewer than ``least``, or one is not a number within reach, or all are 0.
    """
    if len(weights) < least:
        raise UsageError("A blend needs at least two slots; name another one.")
    for slot, weight in weights.items():
        if not math.isfinite(weight) or abs(weight) > LARGEST_WEIGHT:
            reach = f"-{LARGEST_WEIGHT:g} and {LARGEST_WEIGHT:g}"
            raise UsageError(f"The weight of {slot} must lie within {reach}, not at {weight}.")
    if not any(weights.values()):
        raise UsageError("With every weight at 0 nothing is blended; give at least one that is not.")


def folders_of(voice: Voice) -> list[Path]:
    """Return the folders of the adapters that a voice is made of."""
    if isinstance(voice, Blend):
        return [folder for folder, _ in voice.parts]
    return [] if voice is None else [voice]


def without(voice: Voice, folders: Collection[Path]) -> Voice:
    """Return a voice without the adapters of some folders; the plain base where none is left."""
    if isinstance(voice, Blend):
        parts = tuple((folder, weight) for folder, weight in voice.parts if folder not in folders)
        return Blend(parts) if parts else None
    return None if voice in folders else voice
