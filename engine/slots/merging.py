"""What a merge strategy is: from several adapters and their weights to one (``plugins/merges``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ...schemas.errors import UsageError
from ...schemas.records import MergeOptions
from .adapter import Adapter
from .factoring import MOST, Spectrum, Weighted, by_place, cut_down, rank_for, spectrum_of_product

Parts = Sequence[tuple[Adapter, float]]
"""Adapters of one base and how much of each."""


@dataclass(frozen=True)
class Merged:
    """What came of a merge.

    Attributes:
        adapter: Of the portable profile.
        error: How far its update is from what the strategy wanted, relative, in the Frobenius norm; 0: exact.
    """

    adapter: Adapter
    error: float


class MergeStrategy(Protocol):
    """One way to make one adapter of several. Deterministic; on the true products, never on their factors apart."""

    @property
    def name(self) -> str:
        """Unique among strategies; recorded with the version."""
        ...

    @property
    def about(self) -> str:
        """What it does, in one sentence for people."""
        ...

    def merge(self, parts: Parts, options: MergeOptions) -> Merged:
        """Merge adapters whose places may differ; what one of them lacks it leaves as it is.

        Raises:
            UsageError: If it cannot take so many parts, such weights or such options.
            BaseMismatch: If the adapters are not of one base.
        """
        ...


def refuse_options(options: MergeOptions, name: str, *taken: str) -> None:
    """Refuse options that a strategy would leave out in silence.

    Raises:
        UsageError: If one is given that is not among those ``taken``.
    """
    given = [key for key, value in options.model_dump(exclude_defaults=True).items() if value is not None]
    odd = [key for key in given if key not in taken]
    if odd:
        takes = f"it takes {', '.join(taken)}" if taken else "it takes none"
        raise UsageError(f"The strategy {name} has no option {odd[0]}; {takes}.")


def merge_products(parts: Parts, options: MergeOptions, combine: Callable[[str, list[Weighted]], Tensor]) -> Merged:
    """Merge the true products, one projection at a time in memory, and factor what came out.

    Args:
        parts: To merge.
        options: Of which rank and energy say how far it is cut down; neither: to the sum of the parts' ranks.
        combine: Given a name of the projection and the updates there, returns the ``(out, in)`` that is wanted.
    """
    most = options.rank or (MOST if options.energy else sum(adapter.rank for adapter, _ in parts))
    spectra = {
        place: spectrum_of_product(combine(f"{place[0]}.{place[1]}", updates), most)
        for place, updates in by_place(parts)
    }
    return reduced(spectra, options, most)


def reduced(spectra: Mapping[tuple[int, str], Spectrum], options: MergeOptions, otherwise: int) -> Merged:
    """Cut spectra down to the rank or the share of energy that the options ask for, or to the rank ``otherwise``."""
    rank = rank_for(list(spectra.values()), options.energy) if options.energy else options.rank or otherwise
    return Merged(*cut_down(spectra, rank))
