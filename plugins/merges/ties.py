"""TIES on the true products: trim what is small, elect a sign for each number, and average those that agree with it.

Yadav et al. 2023, arXiv 2306.01708. Done to A and B apart, as PEFT does it, signs and sizes are those of coordinates
that mean nothing by themselves; here they are those of the weights' own changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from ...engine.slots.factoring import Weighted
    from ...engine.slots.merging import Merged, MergeStrategy, Parts
    from ...schemas.records import MergeOptions

DENSITY = 0.5
"""Share of each update that is kept where none is asked for."""


@hookimpl
def nightschool_merges() -> list[MergeStrategy]:
    """Supply TIES."""
    return [Ties()]


class Ties:
    """Trim, elect, average."""

    name = "ties"
    about = "The largest changes of each slot; where they disagree in sign, those of the stronger side."

    def merge(self, parts: Parts, options: MergeOptions) -> Merged:
        """Keep the ``density`` largest numbers of each update; cut down to ``rank`` or ``energy``."""
        from ...engine.slots.factoring import product
        from ...engine.slots.merging import merge_products, refuse_options

        refuse_options(options, self.name, "rank", "energy", "density")
        density = options.density or DENSITY

        def combine(place: str, updates: list[Weighted]) -> Tensor:
            return agreed([trimmed(product(update), density) for update in updates], [w for _, w in updates])

        return merge_products(parts, options, combine)


def trimmed(update: Tensor, density: float) -> Tensor:
    """Return an update with its ``density`` largest numbers alone, the others 0."""
    drop = update.numel() - max(1, round(density * update.numel()))
    if drop <= 0:
        return update
    limit = update.abs().flatten().kthvalue(drop).values
    return update.where(update.abs() > limit, 0)


def agreed(updates: list[Tensor], weights: list[float]) -> Tensor:
    """Return the mean of those updates, weighted already, whose sign is that of their sum, times the sum of weights.

    Weights that add up to 1 thus give what the paper has with its factor at 1; twice the weights give twice as much.
    """
    import torch

    sign = torch.stack(updates).sum(dim=0).sign()
    total, votes = torch.zeros_like(sign), torch.zeros_like(sign)
    for update, weight in zip(updates, weights, strict=True):
        agrees = (update * sign) > 0
        total += update * agrees
        votes += abs(weight) * agrees
    return sum(map(abs, weights)) * total / votes.clamp_min(1e-12)
