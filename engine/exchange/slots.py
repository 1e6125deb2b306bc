"""Where imported conversations go: into the slot that was chosen, or the one that each names."""

from __future__ import annotations

from collections.abc import Iterable

from ...schemas.errors import NotFound, UsageError
from ...schemas.records import Slot
from ..slots.store import SlotStore


class Slots:
    """Finds the slot for each name in a file; makes one that is not here, as the file describes it."""

    def __init__(self, store: SlotStore, chosen: str | None) -> None:
        """Take all for the slot ``chosen``; None: each for its own.

        Raises:
            NotFound: If it is chosen and does not exist.
        """
        self._store = store
        self._chosen = None if chosen is None else store.slot(chosen).name
        self._here = [slot.name for slot in store.list()]
        self._described: dict[str, Slot] = {}

    def remember(self, slot: Slot) -> None:
        """Note how a slot was in the profile that the file comes from."""
        self._described[slot.name] = slot

    def missing(self, named: Iterable[str]) -> list[str]:
        """Return those of the names that no slot here has."""
        return sorted(name for name in named if name and name not in self._here)

    def place(self, named: str) -> str:
        """Return the slot here for a name in the file; the first one for none, and for what cannot name one."""
        if self._chosen is not None:
            return self._chosen
        if named and named not in self._here:
            self._make(named)
        return named if named in self._here else self._here[0]

    def _make(self, name: str) -> None:
        like = self._described.get(name) or Slot(name=name, title=name.replace("-", " ").capitalize())
        try:
            made = self._store.create(like.title, name, like.description, like.system_prompt)
            self._store.update(made.name, temperature=like.temperature)
        except (UsageError, NotFound):
            return  # not a name that a slot can have: the first slot takes it
        self._here.append(name)
