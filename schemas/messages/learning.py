"""Signals, lessons, notes, studies and nights."""

from __future__ import annotations

from pydantic import Field

from ..records import (
    Lesson,
    LessonRelation,
    LessonState,
    MemoryNote,
    Night,
    Signal,
    Study,
)
from .request import Request


class ListSignals(Request[list[Signal]]):
    """The signals of a conversation, in order."""

    method = "signals.list"
    conversation: int


class UndoSignal(Request[Signal]):
    """Take a signal back, and with it the lesson it alone gave (an edit's text is restored)."""

    method = "signals.undo"
    signal: int


class ListLessons(Request[list[Lesson]]):
    """The lessons of a slot (or of all), in the given states (or in any), the latest first."""

    method = "lessons.list"
    slot: str | None = None
    states: list[LessonState] = Field(default_factory=list)


class UpdateLesson(Request[Lesson]):
    """Approve, dismiss or re-word a lesson; a new ``rule`` text is read again for what it asks."""

    method = "lessons.update"
    lesson: int
    state: LessonState | None = None
    rule: str | None = None


class MergeLessons(Request[Lesson]):
    """Let one lesson count for others of its slot that say the same; returns it. Approving one of them parts it again.

    The first that is learned stays, else the first that is named.
    """

    method = "lessons.merge"
    lessons: list[int] = Field(min_length=2)


class ExpireLesson(Request[Lesson]):
    """Say when a lesson ends to count: "30d", "2026-12-24", "until Friday", or "never"."""

    method = "lessons.expire"
    lesson: int
    end: str


class ListRelations(Request[list[LessonRelation]]):
    """Which lessons of a slot (or of all) say the same, and which contradict each other."""

    method = "lessons.relations"
    slot: str | None = None


class ForgetLesson(Request[Study]):
    """Train a slot anew without a learned lesson, and prove that it shows no more. Told and returned as a study.

    The older generations keep it; what was learned beside it stays.
    """

    method = "lessons.forget"
    lesson: int


class ListNotes(Request[list[MemoryNote]]):
    """What is known of the user, the oldest first: what a slot is told, or all."""

    method = "memory.list"
    slot: str | None = None


class AddNote(Request[MemoryNote]):
    """Remember something of the user; for one slot, or for all."""

    method = "memory.add"
    text: str
    slot: str | None = None


class ChangeNote(Request[MemoryNote]):
    """Put a note in other words."""

    method = "memory.change"
    note: int
    text: str


class ForgetNote(Request[None]):
    """Remove a note."""

    method = "memory.forget"
    note: int


class TeachNote(Request[Lesson]):
    """Make a lesson of a note, approved, for the next study of a slot; the one that is there if it was made before."""

    method = "memory.teach"
    note: int
    slot: str


class StartStudy(Request[Study]):
    """Study the approved lessons of a slot. Told: ``study.progress``. Returns when it has ended, however it did.

    ``rebuild``: train the slot anew on all that it has learned instead; the better of the two versions counts.
    """

    method = "study.start"
    slot: str
    trainer: str = Field(default="", description="What makes the adapter; empty: as the settings say.")
    rebuild: bool = False


class CancelStudy(Request[bool]):
    """Stop the running study; the slot stays as it is. False: none was running."""

    method = "study.cancel"


class ListStudies(Request[list[Study]]):
    """The studies of a slot (or of all), the latest first."""

    method = "study.list"
    slot: str | None = None


class RunNight(Request[Night]):
    """Study every slot that has something to learn, one after the other. Told: ``study.progress``, ``study.ended``.

    ``least`` lessons must wait in a slot. ``on_battery`` False waits for mains power, where the system tells.
    """

    method = "night.run"
    least: int = Field(default=1, ge=1)
    on_battery: bool = False


class ListNights(Request[list[Night]]):
    """The nights, the latest first."""

    method = "night.list"
    limit: int = Field(default=30, ge=1, le=1000)
