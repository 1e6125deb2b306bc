"""Low-rank algebra on updates: added up, taken apart into singular values, cut down to a rank, all of one rank.

What LoRA adds to a weight is the product ``up @ down``, and everything here works on that. To add the factors of
several adapters each by themselves is something else: ``(B1 + B2) @ (A1 + A2)`` has the cross terms ``B1 A2 + B2 A1``,
which nobody learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...schemas.errors import BaseMismatch
from ..base.lora import Place
from .adapter import Adapter, Factors

Weighted = tuple[Factors, float]
"""One adapter's update of one projection, and how much of it."""

MOST = 256
"""Singular values that are kept where a share of the energy is asked for and no rank."""


@dataclass(frozen=True)
class Spectrum:
    """An update of one projection as its largest singular values, fp64.

    Attributes:
        left: ``(out, n)``, columns of length 1.
        values: ``(n,)``, descending.
        right: ``(n, in)``, rows of length 1.
        energy: Sum of squares of the whole update, also of what is beyond the ``n`` values.
    """

    left: Tensor
    values: Tensor
    right: Tensor
    energy: float


def by_place(parts: Sequence[tuple[Adapter, float]]) -> Iterator[tuple[Place, list[Weighted]]]:
    """Give each projection that any of the adapters changes, with the updates of those that do.

    Raises:
        BaseMismatch: If two have different shapes there: they are not of one base.
    """
    for place in sorted({place for adapter, _ in parts for place in adapter.factors}):
        found = [(adapter.factors[place], weight) for adapter, weight in parts if place in adapter.factors]
        if len({(f.up.shape[0], f.down.shape[1]) for f, _ in found}) != 1:
            raise BaseMismatch(
                f"The adapters have different shapes at {place[1]} of block {place[0]}; only those of one base blend."
            )
        yield place, found


def stacked(updates: Sequence[Weighted]) -> Factors:
    """Return ``sum weight * up @ down`` exactly, as one update whose rank is the sum of theirs."""
    return Factors(
        down=torch.cat([f.down for f, _ in updates]), up=torch.cat([f.up * weight for f, weight in updates], dim=1)
    )


def product(update: Weighted) -> Tensor:
    """Return ``weight * up @ down``, ``(out, in)`` fp32."""
    factors, weight = update
    return (factors.up * weight) @ factors.down


def inner(one: Factors, other: Factors) -> float:
    """Return the inner product of two updates, as of two long vectors, without forming either."""
    return float(((one.up.double().T @ other.up.double()) * (one.down.double() @ other.down.double().T)).sum())


def spectrum(update: Factors) -> Spectrum:
    """Take an update apart through its factors: two thin QRs and one SVD of a small square."""
    left, left_core = torch.linalg.qr(update.up.double())
    right, right_core = torch.linalg.qr(update.down.double().T)
    u, values, v = torch.linalg.svd(left_core @ right_core.T)
    rank = len(values)
    return Spectrum(left @ u[:, :rank], values, v[:rank] @ right.T, float(values.square().sum()))


def spectrum_of_product(update: Tensor, most: int = MOST) -> Spectrum:
    """Take an update ``(out, in)`` apart that has no factors; the ``most`` largest values are kept."""
    whole = update.double()
    wide = whole.shape[0] < whole.shape[1]
    # The smaller of the two Gram matrices; in fp64 what squaring loses is far below what fp32 holds.
    squares, vectors = torch.linalg.eigh(whole @ whole.T if wide else whole.T @ whole)
    values = squares.flip(0)[:most].clamp_min(0).sqrt()
    basis = vectors.flip(1)[:, :most]
    other = (whole.T @ basis if wide else whole @ basis) / values.clamp_min(1e-300)
    left, right = (basis, other.T) if wide else (other, basis.T)
    return Spectrum(left, values, right, float(whole.square().sum()))


def rank_for(spectra: Sequence[Spectrum], energy: float) -> int:
    """Return the smallest common rank that keeps a share of the energy of all updates together."""
    total = sum(one.energy for one in spectra)
    longest = max(len(one.values) for one in spectra)
    kept = torch.zeros(longest, dtype=torch.float64)
    for one in spectra:
        kept[: len(one.values)] += one.values.square()
    reached = kept.cumsum(0) >= energy * total * (1 - 1e-12)
    return int(reached.nonzero()[0]) + 1 if bool(reached.any()) else longest


def cut_down(spectra: Mapping[Place, Spectrum], rank: int) -> tuple[Adapter, float]:
    """Return the best adapter of a rank, and its relative error: of all updates together, in the Frobenius norm."""
    factors: dict[Place, Factors] = {}
    total = lost = 0.0
    for place, one in spectra.items():
        values = one.values[:rank]
        root = values.sqrt()
        factors[place] = Factors((root[:, None] * one.right[:rank]).float(), (one.left[:, :rank] * root).float())
        total += one.energy
        lost += max(0.0, one.energy - float(values.square().sum()))
    error = (lost / total) ** 0.5 if total else 0.0
    return uniform(factors), error


def uniform(factors: Mapping[Place, Factors]) -> Adapter:
    """Return an adapter of the portable profile: all of the largest rank, and every projection in every block.

    PEFT names blocks and projections apart and means each of the one in each of the other; what is missing changes
    nothing.
    """
    rank = max(f.down.shape[0] for f in factors.values())
    shapes = {path: (f.up.shape[0], f.down.shape[1]) for (_, path), f in factors.items()}
    found: dict[Place, Factors] = {}
    for layer in sorted({layer for layer, _ in factors}):
        for path, (rows, columns) in shapes.items():
            given = factors.get((layer, path))
            down, up = torch.zeros(rank, columns), torch.zeros(rows, rank)
            if given is not None:
                down[: given.down.shape[0]], up[:, : given.up.shape[1]] = given.down, given.up
            found[(layer, path)] = Factors(down, up)
    return Adapter(dict(sorted(found.items())))
