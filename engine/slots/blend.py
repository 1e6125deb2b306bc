"""A voice: one adapter, or several at once, each with a weight. Knows no tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
