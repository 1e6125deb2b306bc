"""A slot's life beside its learning: renamed, out of sight, deleted, brought back, removed when its time is over."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator

from ...schemas.errors import Busy, NightSchoolError, StudyRunning
from ...schemas.events import NoticeEvent
from ...schemas.messages import ArchiveSlot, DeleteSlot, RenameSlot, UndeleteSlot
from ...schemas.records import Slot
from ..files import storage_errors
from ..slots import lifecycle
from .rooms import Rooms, Tell


class SlotLifeService:
    """Handlers of ``slots.rename``, ``slots.archive``, ``slots.delete`` and ``slots.undelete``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def rename(self, request: RenameSlot, tell: Tell) -> Slot:
        """Give a slot another title, another name, or both.

        Raises:
            NotFound: If there is no such slot.
            UsageError: If the title or the name cannot be a slot's.
            StudyRunning: If the name shall change while a study runs.
        """
        store = self._rooms.store
        name = store.slot(request.slot).name
        if request.name is not None and request.name != name:
            if self._rooms.records.running_studies():
                raise StudyRunning(
                    "A study is under way; wait for its end, or cancel it, before a slot gets a new name."
                )
            store.check_free(request.name)
        if request.title is not None:
            store.update(name, title=request.title)
        if request.name is not None and request.name != name:
            _move(self._rooms, name, request.name)
            name = request.name
        return self._rooms.slot(name)

    async def archive(self, request: ArchiveSlot, tell: Tell) -> Slot:
        """Put a slot out of sight, or back.

        Raises:
            NotFound: If there is no such slot.
            UsageError: If no other would be left to use.
        """
        lifecycle.set_archived(self._rooms.store, request.slot, archived=request.archived)
        return self._rooms.slot(request.slot)

    async def delete(self, request: DeleteSlot, tell: Tell) -> Slot:
        """Delete a slot; for 30 days it can be brought back.

        Raises:
            NotFound: If there is no such slot.
            UsageError: If no other would be left to use, or another one speaks with it.
            StudyRunning: If it is being studied.
            Busy: If it is answering.
        """
        rooms = self._rooms
        if any(study.slot == request.slot for study in rooms.records.running_studies()):
            raise StudyRunning(
                f"Slot {request.slot} is being studied; wait for the end of the study or cancel it first."
            )
        if any(rooms.records.conversation(number).slot == request.slot for number in rooms.answering):
            raise Busy(f"Slot {request.slot} is answering; wait for the reply or cancel it first.")
        return lifecycle.delete(rooms.store, request.slot)

    async def undelete(self, request: UndeleteSlot, tell: Tell) -> Slot:
        """Bring a deleted slot back, with its conversations and lessons.

        Raises:
            NotFound: If there is no such slot, or its time is over.
        """
        lifecycle.undelete(self._rooms.store, request.slot)
        return self._rooms.slot(request.slot)


def removable_slots(rooms: Rooms) -> list[tuple[str, int]]:
    """Return what ``tidy_slots`` would remove."""
    folders = {name: rooms.store.folder / name for name in lifecycle.expired(rooms.store, time.time())}
    folders |= {name: lifecycle.gone_folder(rooms.store, name) for name in lifecycle.gone(rooms.store)}
    return [(name, lifecycle.size(folder)) for name, folder in folders.items()]


def tidy_slots(rooms: Rooms) -> list[tuple[str, int]]:
    """End what was begun and cut off, and remove the deleted slots whose time is over; return them and their bytes.

    What cannot be done is told of and left for the next time.
    """
    for old, new in lifecycle.unfinished_moves(rooms.store).items():
        with _told(rooms):
            if old != new:
                rooms.records.rename_slot(old, new)
            lifecycle.finish_move(rooms.store, new)
    for name in lifecycle.expired(rooms.store, time.time()):
        with _told(rooms):
            lifecycle.begin_removal(rooms.store, name)
    removed = []
    for name in lifecycle.gone(rooms.store):
        with _told(rooms):
            for study in rooms.records.studies(name):  # their folders hold what it was to learn
                shutil.rmtree(rooms.home.studies / str(study.id), ignore_errors=True)
            for number in rooms.records.conversations_of(name):  # what was read of them has their words
                with storage_errors(rooms.home.readings):
                    rooms.home.reading(number).unlink(missing_ok=True)
            rooms.records.remove_slot(name)
            removed.append((name, lifecycle.finish_removal(rooms.store, name)))
    return removed


def _move(rooms: Rooms, old: str, new: str) -> None:
    """Rename a slot in the store and in the database; where the second fails the first is taken back."""
    try:
        lifecycle.begin_move(rooms.store, old, new)
        rooms.records.rename_slot(old, new)
    except NightSchoolError:
        with contextlib.suppress(NightSchoolError):  # the mark stays then, and the next start ends the move
            lifecycle.undo_move(rooms.store, old if (rooms.store.folder / old).exists() else new)
        raise
    lifecycle.finish_move(rooms.store, new)


@contextlib.contextmanager
def _told(rooms: Rooms) -> Iterator[None]:
    try:
        yield
    except NightSchoolError as error:
        rooms.broadcast(NoticeEvent(level="error", text=str(error)))
