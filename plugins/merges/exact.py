"""The exact merge: all factors side by side, so that their product is the weighted sum itself. The ranks add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl

if TYPE_CHECKING:
    from ...engine.slots.merging import Merged, MergeStrategy, Parts
    from ...schemas.records import MergeOptions


@hookimpl
def nightschool_merges() -> list[MergeStrategy]:
    """Supply the exact merge."""
    return [Exact()]


class Exact:
    """The weighted sum, to the last bit; as large as its parents together."""

    name = "exact"
    about = "The weighted sum itself; its rank is the sum of the parents' ranks."

    def merge(self, parts: Parts, options: MergeOptions) -> Merged:
        """Put the factors side by side; there are no options."""
        from ...engine.slots.factoring import by_place, stacked, uniform
        from ...engine.slots.merging import Merged, refuse_options

        refuse_options(options, self.name)
        return Merged(uniform({place: stacked(updates) for place, updates in by_place(parts)}), 0.0)
