"""Like Model Breadcrumbs, on the true products: an update without its smallest numbers, and without its few largest.

Davari and Belilovsky 2023, arXiv 2312.06795. The largest ones are outliers that speak loudest after a merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from .ties import trimmed

if TYPE_CHECKING:
    from torch import Tensor

    from ...engine.slots.factoring import Weighted
    from ...engine.slots.merging import Merged, MergeStrategy, Parts
    from ...schemas.records import MergeOptions

DENSITY = 0.85
"""Share of each update that is kept where none is asked for."""
OUTLIERS = 0.01
"""Share of each update, the largest numbers, that is left out."""


@hookimpl
def nightschool_merges() -> list[MergeStrategy]:
    """Supply the breadcrumbs."""
    return [Breadcrumbs()]


class Breadcrumbs:
    """Neither the smallest nor the very largest changes."""

    name = "breadcrumbs"
    about = "The weighted sum of the slots without their smallest changes and their few largest."

    def merge(self, parts: Parts, options: MergeOptions) -> Merged:
        """Keep the ``density`` numbers of each update below its largest ones; cut down to ``rank`` or ``energy``."""
        from ...engine.slots.factoring import product
        from ...engine.slots.merging import merge_products, refuse_options

        refuse_options(options, self.name, "rank", "energy", "density")
        density = min(options.density or DENSITY, 1.0 - OUTLIERS)

        def combine(place: str, updates: list[Weighted]) -> Tensor:
            found = [_middle(product(update), density) for update in updates]
            return sum(found[1:], start=found[0])

        return merge_products(parts, options, combine)


def _middle(update: Tensor, density: float) -> Tensor:
    return trimmed(update, density + OUTLIERS) - trimmed(update, OUTLIERS)
