"""SLERP: along the arc between two updates rather than the chord, so that what they share keeps its size.

The result lies in the plane of the two products, so it is their sum with other weights: no full matrix is formed. The
angle is that of the products (inner products of low-rank matrices need their factors only), projection by projection.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from ...schemas.errors import UsageError

if TYPE_CHECKING:
    from ...engine.slots.factoring import Weighted
    from ...engine.slots.merging import Merged, MergeStrategy, Parts
    from ...schemas.records import MergeOptions

_NEARLY_ALIKE = 1e-4  # radians; the arc is as good as the chord there


@hookimpl
def nightschool_merges() -> list[MergeStrategy]:
    """Supply SLERP."""
    return [Slerp()]


class Slerp:
    """Spherical linear interpolation of two updates, times the sum of the weights."""

    name = "slerp"
    about = "Two slots along the arc between them, so that what both changed is not weakened."

    def merge(self, parts: Parts, options: MergeOptions) -> Merged:
        """Interpolate at the second one's share of the weights; cut down only where ``rank`` or ``energy`` ask for it.

        Raises:
            UsageError: If there are not two, both with a weight above 0.
        """
        from ...engine.slots.factoring import by_place, spectrum, stacked, uniform
        from ...engine.slots.merging import Merged, reduced, refuse_options

        refuse_options(options, self.name, "rank", "energy")
        if len(parts) != 2 or not all(weight > 0 for _, weight in parts):
            raise UsageError("slerp takes two slots, both with a weight above 0; take ties or exact for others.")
        merged = {place: stacked(_turned(updates)) for place, updates in by_place(parts)}
        if options.rank is None and options.energy is None:
            return Merged(uniform(merged), 0.0)
        whole = sum(adapter.rank for adapter, _ in parts)
        return reduced({place: spectrum(update) for place, update in merged.items()}, options, whole)


def _turned(updates: list[Weighted]) -> list[Weighted]:
    """Return the updates of a projection with the weights of the arc; one alone keeps its own."""
    from ...engine.slots.factoring import inner

    if len(updates) < 2:
        return updates
    (one, first), (other, second) = updates
    total = first + second
    share = second / total
    lengths = math.sqrt(inner(one, one) * inner(other, other))
    angle = math.acos(max(-1.0, min(1.0, inner(one, other) / lengths))) if lengths else 0.0
    if angle < _NEARLY_ALIKE or math.pi - angle < _NEARLY_ALIKE:  # opposite ones have no arc of their own
        return updates
    scale = total / math.sin(angle)
    return [(one, scale * math.sin((1 - share) * angle)), (other, scale * math.sin(share * angle))]
