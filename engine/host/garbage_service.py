"""Pins, and the removal of what nothing needs: in the store, and of studies that have ended."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ...schemas.errors import NightSchoolError, StudyRunning
from ...schemas.messages import CollectGarbage, PinVersion
from ...schemas.records import Collected, Garbage, StudyState, Version
from ..files import storage_errors
from ..settings import read_settings
from ..slots import gc
from .rooms import Rooms, Tell
from .slot_life_service import removable_slots, tidy_slots
from .slot_service import UNNOTED, settle_studies

_DONE = frozenset({StudyState.ACCEPTED, StudyState.REJECTED, StudyState.CANCELLED})
"""Studies of which the database knows all; the folder of one that failed says why."""


class GarbageService:
    """Handlers of ``versions.pin`` and ``slots.gc``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def pin(self, request: PinVersion, tell: Tell) -> Version:
        """Keep the files of a generation, or no longer.

        Raises:
            NotFound: If the slot or the generation does not exist, or its files are gone.
            UsageError: If it has no files of its own.
        """
        return gc.pin(self._rooms.store, request.slot, request.number, pinned=request.pinned)

    async def collect(self, request: CollectGarbage, tell: Tell) -> Collected:
        """Remove what nothing needs; say what, and how much came free.

        Raises:
            StudyRunning: If a study is under way, which may need any of it.
            StorageError: If something cannot be removed.
        """
        rooms = self._rooms
        if rooms.studying:
            raise StudyRunning("A study is under way and may need what would go; wait for its end or cancel it first.")
        keep = read_settings(rooms.home).keep_generations if request.keep is None else request.keep
        rows = removable_slots(rooms) if request.dry_run else tidy_slots(rooms)
        found = [Garbage(slot=name, bytes=size, text=f"Slot {name}, whose 30 days are over") for name, size in rows]
        found += gc.collect(rooms.store, keep, dry_run=request.dry_run)
        for row, folder in list(self._studies()):
            if not request.dry_run:
                with storage_errors(folder):
                    shutil.rmtree(folder)
            found.append(row)
        if not request.dry_run:
            with contextlib.suppress(NightSchoolError):  # of a study that a full disk let nobody note; else next time
                settle_studies(rooms, UNNOTED)
        return Collected(bytes=sum(row.bytes for row in found), dry_run=request.dry_run, removed=found)

    def _studies(self) -> Iterator[tuple[Garbage, Path]]:
        """Give the folders of studies that have ended, or that the database knows no more."""
        home = self._rooms.home.studies
        states = {study.id: study.state for study in self._rooms.records.studies()}
        with storage_errors(home):
            for folder in sorted(home.iterdir()) if home.is_dir() else ():
                if folder.name.isdecimal() and states.get(int(folder.name), StudyState.ACCEPTED) in _DONE:
                    size = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
                    yield Garbage(bytes=size, text=f"What study {folder.name} left"), folder
