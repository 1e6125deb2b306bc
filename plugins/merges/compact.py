"""The compact merge: the weighted sum, cut down to its largest singular values. No full matrix is ever formed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl

if TYPE_CHECKING:
    from ...engine.slots.merging import Merged, MergeStrategy, Parts
    from ...schemas.records import MergeOptions


@hookimpl
def nightschool_merges() -> list[MergeStrategy]:
    """Supply the compact merge."""
    return [Compact()]


class Compact:
    """The nearest adapter of a rank to the weighted sum (Eckart and Young); without a rank, of the larger parent's."""

    name = "compact"
    about = "The nearest adapter to the weighted sum that has a given rank, or keeps a given share of its energy."

    def merge(self, parts: Parts, options: MergeOptions) -> Merged:
        """Cut the sum down to ``rank``, or to ``energy`` of its sum of squares."""
        from ...engine.slots.factoring import by_place, spectrum, stacked
        from ...engine.slots.merging import reduced, refuse_options

        refuse_options(options, self.name, "rank", "energy")
        spectra = {place: spectrum(stacked(updates)) for place, updates in by_place(parts)}
        return reduced(spectra, options, otherwise=max(adapter.rank for adapter, _ in parts))
