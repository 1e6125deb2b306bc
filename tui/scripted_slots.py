"""The life of slots in the scripted engine: renamed, out of sight, deleted and brought back."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..schemas import messages as ask
from ..schemas import records as rec
from ..schemas.errors import NotFound, UsageError
from ..schemas.events import Event

Tell = Callable[[Event], None]


class ScriptedSlots:
    """The part of the scripted engine that lists slots and takes them out of use."""

    conversations: dict[int, rec.Conversation]
    lessons: dict[int, rec.Lesson]
    slots: dict[str, rec.Slot]
    versions: dict[str, list[rec.Version]]
    _slot: Callable[[str], rec.Slot]

    def __init__(self) -> None:
        self.garbage: list[rec.Garbage] = []
        """What nothing needs."""

    async def _slots_list(self, request: ask.ListSlots, tell: Tell) -> list[rec.Slot]:
        return [
            self._slot(name)
            for name, slot in self.slots.items()
            if (request.deleted or slot.deleted is None)
            and (request.archived or slot.archived is None or slot.deleted is not None)
        ]

    async def _slots_rename(self, request: ask.RenameSlot, tell: Tell) -> rec.Slot:
        name = request.name or request.slot
        if name != request.slot and name in self.slots:
            raise UsageError(f"There is already a slot named {name}; choose another name.")
        changed = {"name": name, "title": request.title or self._slot(request.slot).title}
        self.slots = {
            name if key == request.slot else key: row.model_copy(update=changed) if key == request.slot else row
            for key, row in self.slots.items()
        }
        self.versions[name] = self.versions.pop(request.slot)
        for rows in (self.conversations, self.lessons):
            for key, row in rows.items():
                if row.slot == request.slot:
                    rows[key] = row.model_copy(update={"slot": name})  # type: ignore[assignment]
        return self._slot(name)

    async def _slots_archive(self, request: ask.ArchiveSlot, tell: Tell) -> rec.Slot:
        if request.archived:
            self._leave_one(request.slot)
        return self._mark(request.slot, archived=time.time() if request.archived else None)

    async def _slots_delete(self, request: ask.DeleteSlot, tell: Tell) -> rec.Slot:
        self._leave_one(request.slot)
        return self._mark(request.slot, deleted=time.time())

    async def _slots_undelete(self, request: ask.UndeleteSlot, tell: Tell) -> rec.Slot:
        return self._mark(request.slot, deleted=None)

    async def _versions_pin(self, request: ask.PinVersion, tell: Tell) -> rec.Version:
        rows = self.versions[request.slot]
        if request.number >= len(rows):
            raise NotFound(f"Slot {request.slot} has no generation {request.number}.")
        rows[request.number] = rows[request.number].model_copy(update={"pinned": request.pinned})
        return rows[request.number]

    async def _slots_gc(self, request: ask.CollectGarbage, tell: Tell) -> rec.Collected:
        found = self.garbage
        if not request.dry_run:
            self.garbage = []
        return rec.Collected(bytes=sum(row.bytes for row in found), dry_run=request.dry_run, removed=found)

    def _mark(self, name: str, **fields: float | None) -> rec.Slot:
        self.slots[name] = self._slot(name).model_copy(update=fields)
        return self._slot(name)

    def _leave_one(self, name: str) -> None:
        if name not in self.slots:
            raise NotFound(f"There is no slot “{name}”.")
        others = [row for row in self.slots.values() if row.archived is None and row.deleted is None]
        if all(row.name == name for row in others):
            raise UsageError(f"{name} is the last slot in use; make or unarchive another one first.")
