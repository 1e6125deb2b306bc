"""KnOTS: slots are aligned in one common basis, and merged there.

Stoica et al., "Model merging with SVD to tie the Knots" (arXiv 2410.19735): the updates of all slots side by side have one
singular value decomposition, ``[D1 ... Dn] = U S [V1' ... Vn']``. In the basis ``U S`` the same direction is the same number
for every slot, so that what TIES trims and elects there are changes that mean the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightschool.engine.host.hooks import hookimpl

if TYPE_CHECKING:
    from nightschool.engine.slots.factoring import Weighted
    from nightschool.engine.slots.merging import Merged, MergeStrategy, Parts
    from nightschool.schemas.records import MergeOptions
    from torch import Tensor

NIGHTSCHOOL_HOOK_API = 1

DENSITY = 0.5
"""Share of each slot's numbers that is kept where none is asked for."""


class Knots:
    """Align, trim, elect, average."""

    name = "knots"
    about = "The slots in one common basis; there the largest changes, in the sign of the stronger side."

    def merge(self, parts: Parts, options: MergeOptions) -> Merged:
        """Keep the ``density`` largest numbers of each slot; cut down to ``rank`` or ``energy``."""
        from nightschool.engine.slots.merging import merge_products, refuse_options

        refuse_options(options, self.name, "rank", "energy", "density")
        density = options.density or DENSITY
        return merge_products(parts, options, lambda place, updates: aligned(updates, density))


def aligned(updates: list[Weighted], density: float) -> Tensor:
    """Return what updates of one projection, ``(out, in)`` each, come to together."""
    import torch

    products = [factors.up.double() @ factors.down.double() for factors, _ in updates]
    basis, values, rows = torch.linalg.svd(torch.cat(products, dim=1), full_matrices=False)
    spoken = (values[:, None] * rows).split(products[0].shape[1], dim=1)  # (n, in) each
    weights = [weight for _, weight in updates]
    kept = [weight * trimmed(part, density) for part, weight in zip(spoken, weights, strict=True)]
    merged: Tensor = (basis @ elected(kept, weights)).float()
    return merged


def trimmed(part: Tensor, density: float) -> Tensor:
    """Return the ``density`` largest numbers alone, the others 0."""
    drop = part.numel() - max(1, round(density * part.numel()))
    if drop <= 0:
        return part
    limit = part.abs().flatten().kthvalue(drop).values
    return part.where(part.abs() > limit, 0)


def elected(parts: list[Tensor], weights: list[float]) -> Tensor:
    """Return the mean of those, weighted already, whose sign is that of their sum, times the sum of weights."""
    import torch

    sign = torch.stack(parts).sum(dim=0).sign()
    total, votes = torch.zeros_like(sign), torch.zeros_like(sign)
    for part, weight in zip(parts, weights, strict=True):
        agrees = (part * sign) > 0
        total += part * agrees
        votes += abs(weight) * agrees
    return sum(map(abs, weights)) * total / votes.clamp_min(1e-12)


@hookimpl
def nightschool_merges() -> list[MergeStrategy]:
    """Supply the strategy."""
    return [Knots()]
