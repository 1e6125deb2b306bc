"""The parts that the examples of a study are made of."""

from __future__ import annotations

from enum import StrEnum


class Part(StrEnum):
    """What an example is for (DESIGN 2.5)."""

    GOLD = "gold"
    SPREAD = "spread"
    CONTRAST = "contrast"
    ANCHOR = "anchor"
