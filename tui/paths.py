"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path

from ..schemas.errors import UsageError


def expanded(text: str | Path) -> Path:
    """Return a path with a home in the place of ``~``.

    Raises:
        UsageError: If it begins with the home of a user that is not there.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"There is no user whose home {str(text)!r} could be in; write ~/ for your own, or the path in full."
        ) from error
