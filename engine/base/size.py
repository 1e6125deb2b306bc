"""How much of a base becomes the tail. Imports no torch."""

from __future__ import annotations

from ...schemas.errors import UsageError


def default_cut(layers: int) -> int:
    """Return the number of blocks of the tail where nobody chooses: 8 of 30, and never none."""
    return max(1, round(layers * 4 / 15))


def check_cut(cut: int, layers: int) -> None:
    """Refuse a cut that a base of so many blocks does not have.

    Raises:
        UsageError: With those that it has.
    """
    if not 0 <= cut <= layers:
        raise UsageError(f"The cut must lie between 0 and {layers}, the number of blocks of this base, not at {cut}.")
