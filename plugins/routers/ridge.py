"""A ridge classifier over what the trunk makes of a prompt, in closed form.

Of each prompt left out in turn its score is known without fitting again (the diagonal of the hat matrix), so strength
and threshold are chosen on prompts as unseen as those of a chat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Router

if TYPE_CHECKING:
    from torch import Tensor

_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_MISSED = 0.02  # share of the prompts in scope that the threshold may miss
_LEAST = 1e-6  # deviation of a feature that tells nothing


@hookimpl
def nightschool_routers() -> list[Router]:
    """Supply the router."""
    return [Ridge()]


class Ridge:
    """Regression of +1 (in scope) and -1 on standardised features; above a threshold a lesson applies."""

    name = "ridge"

    def fit(self, inside: Tensor, outside: Tensor) -> dict[str, Tensor]:
        """Return what :meth:`applies` reads, for features ``(n, f)`` of prompts in scope and ``(m, f)`` out of it."""
        import torch

        features = torch.cat([inside, outside]).double()
        wanted = torch.cat([torch.ones(len(inside)), -torch.ones(len(outside))]).double()
        # Both kinds count alike, however many there are of each.
        weights = torch.where(wanted > 0, 0.5 / len(inside), 0.5 / len(outside)).double()
        mean = weights @ features
        spread = (weights @ (features - mean) ** 2).sqrt().clamp(min=_LEAST)
        rows = (features - mean) / spread / features.shape[1] ** 0.5
        root = weights.sqrt()
        left, right = root[:, None] * rows, root * wanted
        products = left @ left.T
        best: tuple[float, float, Tensor, Tensor] | None = None
        for strength in _STRENGTHS:
            inverse = torch.linalg.inv(products + strength / len(rows) * torch.eye(len(rows), dtype=torch.float64))
            hat = products @ inverse + root[:, None] * root[None, :]
            unseen = (right - (right - hat @ right) / (1 - hat.diagonal()).clamp(min=_LEAST)) / root
            error = float(weights @ (unseen - wanted) ** 2)
            if best is None or error < best[0]:
                best = error, strength, unseen, left.T @ (inverse @ right)
        assert best is not None, "some strength was tried"
        _, _, unseen, direction = best
        threshold = float(torch.quantile(unseen[: len(inside)], _MISSED).clamp(max=0.0))
        weight = direction / spread / features.shape[1] ** 0.5
        return {"weight": weight.float(), "bias": (-(mean @ weight) - threshold).float().reshape(1)}

    def applies(self, fitted: Mapping[str, Tensor], features: Tensor) -> bool:
        """Whether a prompt with features ``(f,)`` is in scope."""
        return bool(features @ fitted["weight"] + fitted["bias"][0] >= 0)
