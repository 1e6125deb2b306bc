"""DARE on the true products: drop numbers by chance, make the rest larger in turn, add up; or vote as TIES does.

Yu et al. 2023, arXiv 2311.03099. The chances follow from the seed, the projection and the place among the parts alone.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from .ties import agreed

if TYPE_CHECKING:
    from torch import Tensor

    from ...engine.slots.factoring import Weighted
    from ...engine.slots.merging import Merged, MergeStrategy, Parts
    from ...schemas.records import MergeOptions

DENSITY = 0.7
"""Share of each update that stays where none is asked for."""


@hookimpl
def nightschool_merges() -> list[MergeStrategy]:
    """Supply DARE, with a plain sum and with an election of signs."""
    return [Dare(), Dare(elect=True)]


class Dare:
    """Drop and rescale."""

    def __init__(self, *, elect: bool = False) -> None:
        self._elect = elect
        self.name = "dare-ties" if elect else "dare"
        ending = "then the vote of ties." if elect else "then the weighted sum."
        self.about = f"Changes dropped by chance and the others made larger in turn, {ending}"

    def merge(self, parts: Parts, options: MergeOptions) -> Merged:
        """Keep each number with the chance ``density``; cut down to ``rank`` or ``energy``."""
        from ...engine.slots.factoring import product
        from ...engine.slots.merging import merge_products, refuse_options

        refuse_options(options, self.name, "rank", "energy", "density", "seed")
        density = options.density or DENSITY

        def combine(place: str, updates: list[Weighted]) -> Tensor:
            found = [
                _thinned(product(update), density, f"{options.seed} {place} {number}")
                for number, update in enumerate(updates)
            ]
            return agreed(found, [w for _, w in updates]) if self._elect else sum(found[1:], start=found[0])

        return merge_products(parts, options, combine)


def _thinned(update: Tensor, density: float, name: str) -> Tensor:
    """Return an update of which each number stays, ``1 / density`` times as large, with the chance ``density``."""
    import torch

    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    stays = torch.rand(update.shape, generator=generator) < density
    return update * stays / density
