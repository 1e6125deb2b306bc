"""The row that is highlighted on a screen with one list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from textual.screen import Screen
from textual.widgets import OptionList

T = TypeVar("T")


def highlighted(screen: Screen[Any], rows: Sequence[T]) -> T | None:
    """Return the row; None: there is none, or no list on the screen.

    Which keys a screen has is asked before it is filled and after it was emptied, too.
    """
    lists = screen.query(OptionList)
    place = lists.first().highlighted if lists else None
    return rows[place] if place is not None and place < len(rows) else None
