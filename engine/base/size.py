"""How much of a base becomes the tail. Imports no torch."""

from __future__ import annotations

from ...schemas.errors import UsageError


def default_cut(layers: int) -> int:
    """Return the number of blocks of the tail where nobody chooses: 8 of 30, and never none."""
    return max(1, round(layers * 4 / 15))


def cut_of(layers: int, upper: int | None, wanted: int | None) -> int:
    """Return the number of blocks of the tail.

    Args:
        layers: Of the base.
        upper: How many of its blocks are on this machine, counted from the top; None: all.
        wanted: As the settings say; None: the usual one, and of a base that is a tail, all of it. Never more than are
            here.
    """
    if wanted is None:
        return default_cut(layers) if upper is None else upper
    return min(wanted, layers if upper is None else upper)


def check_cut(cut: int, layers: int) -> None:
    """Refuse a cut that a base of so many blocks does not have.

    Raises:
        UsageError: With those that it has.
    """
    if not 0 <= cut <= layers:
        raise UsageError(f"The cut must lie between 0 and {layers}, the number of blocks of this base, not at {cut}.")
