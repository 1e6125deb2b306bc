"""What a registry revokes, and what its keeper has noted for the next publication."""

from __future__ import annotations

from pydantic import Field

from ...schemas.bundle import Part
from ...schemas.registry import ListedPublisher, ListedSlot
from ..trust.publisher import Withdrawn


class RevokedList(Part):
    """What a registry says must not be used any more; it only grows."""

    format: int = Field(default=1, ge=1, le=1)
    registry: str
    keys: list[Withdrawn] = Field(default_factory=list, max_length=10_000)
    bundles: list[Withdrawn] = Field(default_factory=list, max_length=10_000)


class Pending(Part):
    """What the next publication shall list."""

    format: int = Field(default=1, ge=1, le=1)
    slots: list[ListedSlot] = Field(default_factory=list)
    publishers: dict[str, ListedPublisher] = Field(default_factory=dict)
    keys: list[Withdrawn] = Field(default_factory=list)
    bundles: list[Withdrawn] = Field(default_factory=list)
