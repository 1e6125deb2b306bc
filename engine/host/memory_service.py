"""The memory: facts that users told of themselves, as notes that they read, re-word and have forgotten."""

from __future__ import annotations

from ...schemas.messages import AddNote, ChangeNote, ForgetNote, ListNotes, TeachNote
from ...schemas.records import Lesson, LessonState, MemoryNote, Slot
from ..chat.memory import with_memory
from ..settings import read_settings
from .rooms import Rooms, Tell

_COUNTING = (LessonState.PROPOSED, LessonState.APPROVED, LessonState.LEARNED)


class MemoryService:
    """Handlers of ``memory.*``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list_all(self, request: ListNotes, tell: Tell) -> list[MemoryNote]:
        """List the notes, the oldest first."""
        hidden = self._rooms.hidden()
        return [note for note in self._rooms.records.notes(request.slot) if note.slot not in hidden]

    async def add(self, request: AddNote, tell: Tell) -> MemoryNote:
        """Keep a note, for one slot or for all."""
        slot = None if request.slot is None else self._rooms.store.slot(request.slot).name
        return self._rooms.records.add_note(request.text, slot)

    async def change(self, request: ChangeNote, tell: Tell) -> MemoryNote:
        """Put a note in other words."""
        return self._rooms.records.change_note(request.note, request.text)

    async def teach(self, request: TeachNote, tell: Tell) -> Lesson:
        """Make a lesson of a note; the user asked for it, so it need not be approved."""
        from ..study.facts import lesson_from_fact
        from .teaching import add_lesson

        slot = self._rooms.store.slot(request.slot).name
        draft = lesson_from_fact(self._rooms.records.note(request.note).text)
        for lesson in self._rooms.records.lessons(slot, _COUNTING):
            if lesson.steps == draft.steps:
                return lesson
        return add_lesson(self._rooms, slot, draft)

    async def forget(self, request: ForgetNote, tell: Tell) -> None:
        """Remove a note."""
        self._rooms.records.forget_note(request.note)


def remembering(rooms: Rooms, slot: Slot) -> Slot:
    """Return a slot whose system prompt tells what is known of the user; a study never sees that."""
    if not read_settings(rooms.home).memory:
        return slot
    notes = [note.text for note in rooms.records.notes(slot.name)]
    return slot.model_copy(update={"system_prompt": with_memory(slot.system_prompt, notes)})
