"""The signals, lessons and notes of the scripted engine."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..engine.study.facts import lesson_from_fact
from ..engine.study.until import read_end
from ..schemas import messages as ask
from ..schemas import records as rec
from ..schemas.errors import NotFound
from ..schemas.events import Event, SignalEvent

Tell = Callable[[Event], None]


class ScriptedLessons:
    """Handlers of signals, lessons and notes."""

    lessons: dict[int, rec.Lesson]
    messages: dict[int, rec.Message]
    notes: dict[int, rec.MemoryNote]
    signals: dict[int, rec.Signal]
    relations: list[rec.LessonRelation]
    _next: Callable[[], int]

    async def _chat_copied(self, request: ask.Copied, tell: Tell) -> rec.Message:
        on = self.messages[request.message]
        signal = rec.Signal(id=self._next(), conversation=on.conversation, message=on.id, kind=rec.SignalKind.ACCEPT)
        self.signals[signal.id] = signal
        tell(SignalEvent(signal=signal))
        return on

    async def _signals_list(self, request: ask.ListSignals, tell: Tell) -> list[rec.Signal]:
        return [row for row in self.signals.values() if row.conversation == request.conversation]

    async def _signals_undo(self, request: ask.UndoSignal, tell: Tell) -> rec.Signal:
        row = self.signals[request.signal].model_copy(update={"undone": True})
        self.signals[row.id] = row
        if row.lesson is not None:
            self.lessons.pop(row.lesson, None)
        message = self.messages[row.message]
        if row.kind is rec.SignalKind.EDIT and message.original is not None:
            self.messages[message.id] = message.model_copy(update={"text": message.original, "original": None})
        return row

    async def _lessons_list(self, request: ask.ListLessons, tell: Tell) -> list[rec.Lesson]:
        rows = [
            row
            for row in self.lessons.values()
            if request.slot in (None, row.slot) and (not request.states or row.state in request.states)
        ]
        return sorted(rows, key=lambda row: -row.id)

    async def _lessons_update(self, request: ask.UpdateLesson, tell: Tell) -> rec.Lesson:
        changed = request.model_dump(exclude_none=True, exclude={"lesson"})
        self.lessons[request.lesson] = self.lessons[request.lesson].model_copy(update=changed)
        return self.lessons[request.lesson]

    async def _lessons_relations(self, request: ask.ListRelations, tell: Tell) -> list[rec.LessonRelation]:
        return [row for row in self.relations if request.slot in (None, row.slot)]

    async def _lessons_merge(self, request: ask.MergeLessons, tell: Tell) -> rec.Lesson:
        kept, *others = request.lessons
        self.relations = [row for row in self.relations if row.kind is not rec.RelationKind.SAME]
        for number in others:
            dismissed = {"state": rec.LessonState.DISMISSED, "merged": kept}
            self.lessons[number] = self.lessons[number].model_copy(update=dismissed)
        return self.lessons[kept]

    async def _lessons_expire(self, request: ask.ExpireLesson, tell: Tell) -> rec.Lesson:
        expires = None if request.end == "never" else read_end(request.end, time.time())
        self.lessons[request.lesson] = self.lessons[request.lesson].model_copy(update={"expires": expires})
        return self.lessons[request.lesson]

    async def _memory_list(self, request: ask.ListNotes, tell: Tell) -> list[rec.MemoryNote]:
        return [note for note in self.notes.values() if request.slot is None or note.slot in (None, request.slot)]

    async def _memory_add(self, request: ask.AddNote, tell: Tell) -> rec.MemoryNote:
        note = rec.MemoryNote(id=self._next(), text=request.text, slot=request.slot, created=time.time())
        self.notes[note.id] = note
        return note

    async def _memory_change(self, request: ask.ChangeNote, tell: Tell) -> rec.MemoryNote:
        self.notes[request.note] = self.notes[request.note].model_copy(update={"text": request.text})
        return self.notes[request.note]

    async def _memory_forget(self, request: ask.ForgetNote, tell: Tell) -> None:
        if self.notes.pop(request.note, None) is None:
            raise NotFound(f"There is no note {request.note}; list them to see which there are.")

    async def _memory_teach(self, request: ask.TeachNote, tell: Tell) -> rec.Lesson:
        draft = lesson_from_fact(self.notes[request.note].text)
        given = {"slot": request.slot, "state": draft.state, "rule": draft.rule, "steps": draft.steps}
        lesson = rec.Lesson(id=self._next(), **given)
        self.lessons[lesson.id] = lesson
        return lesson
