"""``Records``: all that the database offers, in one place and in plain records.

Every method that writes has made its change durable when it returns, or has changed nothing and raised. Every method
raises ``NotFound`` for a number that does not exist, and the storage errors of ``database.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...schemas.exchange import Transcript, TranscriptTurn
from ...schemas.records import (
    Conversation,
    Evidence,
    Finish,
    GenerationUse,
    Lesson,
    LessonState,
    MemoryNote,
    Message,
    Night,
    Provenance,
    Role,
    Scope,
    SearchHit,
    Signal,
    SignalKind,
    Step,
    Study,
    StudyReport,
    StudyState,
)
from . import conversations, lessons, nights, notes, origins, quality, search, slots, studies
from .database import Database
from .origins import Kept, Said, Unread


class Records:
    """The database of one profile. One process opens it; any thread may call, one at a time."""

    def __init__(self, path: Path) -> None:
        """Open the database; it is created, or brought to this format after a backup, where needed.

        Raises:
            Damaged: If the file does not read back; it is left as it is.
            Locked: If another process holds it.
            DiskFull: If no space is left.
            StorageError: If it cannot be opened, or comes from a newer Night School.
        """
        self._db = Database(path)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Do all calls of a ``with`` block or none of them; durable when the outermost block ends.

        Other threads wait meanwhile. Never ``await`` inside: another coroutine's calls would join the block.
        """
        return self._db.transaction()

    # -- conversations ------------------------------------------------------------------------------------------------

    def list_conversations(
        self, slot: str | None = None, limit: int = 100, offset: int = 0, *, without: Collection[str] = ()
    ) -> list[Conversation]:
        """Return conversations that are not deleted, of one slot or all but some, the latest first."""
        return conversations.list_conversations(self._db, slot, limit, offset, without)

    def conversation(self, conversation: int) -> Conversation:
        """Return one conversation that is not deleted."""
        return conversations.conversation(self._db, conversation)

    def create_conversation(self, slot: str, title: str = "") -> Conversation:
        """Begin an empty conversation; where the title is empty it follows from the first message."""
        return conversations.create_conversation(self._db, slot, title)

    def rename_conversation(self, conversation: int, title: str) -> Conversation:
        """Give a conversation another title: one line, control characters removed.

        Raises:
            UsageError: If nothing is left of the title.
        """
        return conversations.rename_conversation(self._db, conversation, title)

    def delete_conversation(self, conversation: int) -> None:
        """Put a conversation away; ``restore_conversation`` brings it back."""
        conversations.delete_conversation(self._db, conversation)

    def restore_conversation(self, conversation: int) -> Conversation:
        """Bring a deleted conversation back."""
        return conversations.restore_conversation(self._db, conversation)

    def search(
        self, query: str, limit: int = 50, slot: str | None = None, *, without: Collection[str] = ()
    ) -> list[SearchHit]:
        """Return messages in which every word of the query begins a word, of one slot or all but some, latest first."""
        return search.search(self._db, query, limit=limit, slot=slot, without=without)

    # -- slots, whose files are elsewhere -----------------------------------------------------------------------------

    def rename_slot(self, old: str, new: str) -> None:
        """Put everything that is of one slot under another name; doing it again changes nothing."""
        slots.rename_slot(self._db, old, new)

    def conversations_of(self, slot: str) -> list[int]:
        """Return the numbers of all conversations of one slot, deleted ones too."""
        return slots.conversations_of(self._db, slot)

    def remove_slot(self, name: str) -> None:
        """Remove everything that is of one slot, for good; doing it again changes nothing."""
        slots.remove_slot(self._db, name)

    # -- conversations from and for elsewhere -------------------------------------------------------------------------

    def transcript(self, conversation: int) -> Transcript:
        """Return a conversation with all that is kept of it: edits, thumbs, replaced replies, signals."""
        return origins.transcript(self._db, conversation)

    def find_imported(self, source: str, name: str, said: bytes) -> Kept | None:
        """Return the conversation that has this name there; else one in which the same was said as it was imported."""
        return origins.find(self._db, source, name, said)

    def unread(self, conversation: int | None = None) -> list[Unread]:
        """Return the imported conversations, or that one, that were not read for lessons yet, the earliest first."""
        return origins.unread(self._db, conversation)

    def note_read(self, conversation: int) -> None:
        """Note that an imported conversation was read for lessons, to its end."""
        origins.note_read(self._db, conversation)

    def words_in(self, conversation: int) -> list[Said]:
        """Return what is shown of a conversation, deleted or not, before anybody edited it."""
        return origins.words_in(self._db, conversation)

    def numbers_of_own(self) -> list[int]:
        """Return the conversations that were had here, deleted ones too."""
        return origins.numbers_of_own(self._db)

    def add_transcript(
        self, found: Transcript, *, source: str, name: str, slot: str, lessons: dict[int, int]
    ) -> Conversation:
        """Store a conversation from elsewhere; ``lessons`` are the numbers here of the lessons its signals name."""
        return origins.add_transcript(self._db, found, source=source, name=name, slot=slot, lessons=lessons)

    def append_turns(self, conversation: int, turns: list[TranscriptTurn], whole: bytes) -> Conversation:
        """Add the turns by which an imported conversation has grown; ``whole`` is the digest of all that is said."""
        return origins.append_turns(self._db, conversation, turns, whole)

    # -- messages -----------------------------------------------------------------------------------------------------

    def messages(self, conversation: int, before: int | None = None, limit: int = 1000) -> list[Message]:
        """Return the last ``limit`` messages, in order; only those before message ``before``, if given."""
        return conversations.messages(self._db, conversation, before, limit)

    def message(self, message: int) -> Message:
        """Return one message, also a reply that was replaced."""
        return conversations.message(self._db, message)

    def add_message(
        self,
        conversation: int,
        role: Role,
        text: str,
        *,
        version: int | None = None,
        finish: Finish | None = None,
        tokens: int = 0,
    ) -> Message:
        """Append a message; the first one names a conversation without a title."""
        return conversations.add_message(
            self._db, conversation, role, text, version=version, finish=finish, tokens=tokens
        )

    def replace_reply(
        self,
        conversation: int,
        text: str,
        *,
        version: int | None = None,
        finish: Finish | None = None,
        tokens: int = 0,
    ) -> Message:
        """Put a new reply in the place of the last one, which is kept but no longer shown or found.

        Raises:
            UsageError: If the conversation does not end with a reply.
        """
        return conversations.replace_reply(self._db, conversation, text, version=version, finish=finish, tokens=tokens)

    def withdraw_message(self, message: int) -> None:
        """Remove a message that could not be answered, with its signals and the lessons that these alone gave.

        Raises:
            UsageError: If it is not the last of its conversation.
        """
        conversations.withdraw_message(self._db, message)

    def edit_message(self, message: int, text: str) -> Message:
        """Replace a reply's text by the user's wording; ``original`` keeps the model's own.

        Raises:
            UsageError: If the message is not a reply, or was replaced.
        """
        return conversations.edit_message(self._db, message, text)

    def restore_message(self, message: int) -> Message:
        """Give an edited reply the model's own text back."""
        return conversations.restore_message(self._db, message)

    def set_thumb(self, message: int, value: int) -> Message:
        """Rate a reply: 1 up, -1 down, 0 takes it back.

        Raises:
            UsageError: If the value is another, the message is not a reply, or it was replaced.
        """
        return conversations.set_thumb(self._db, message, value)

    # -- signals ------------------------------------------------------------------------------------------------------

    def add_signal(
        self,
        message: int,
        kind: SignalKind,
        text: str = "",
        lesson: int | None = None,
        scope: Scope | None = None,
    ) -> Signal:
        """Note an event on or in a message, with the lesson it gave, if any, and how far the words reach."""
        return lessons.add_signal(self._db, message, kind, text, lesson_number=lesson, scope=scope)

    def signals(self, conversation: int) -> list[Signal]:
        """Return the signals of a conversation, undone ones too, in order."""
        return lessons.signals(self._db, conversation)

    def signals_of_lesson(self, lesson: int) -> list[Signal]:
        """Return the signals that support a lesson, of all conversations that are not deleted, in order."""
        return lessons.signals_of_lesson(self._db, lesson)

    def signal(self, signal: int) -> Signal:
        """Return one signal."""
        return lessons.signal(self._db, signal)

    def link_signal(self, signal: int, lesson: int | None) -> Signal:
        """Say which lesson a signal gave."""
        return lessons.link_signal(self._db, signal, lesson)

    def undo_signal(self, signal: int) -> Signal:
        """Take a signal back, and dismiss the lesson that it alone gave; undoing twice is harmless.

        The text of an edited message becomes that of the last edit that still counts, or the model's own; its thumb
        likewise.

        Raises:
            UsageError: If the lesson is already learned; nothing changes then.
        """
        return lessons.undo_signal(self._db, signal)

    # -- lessons ------------------------------------------------------------------------------------------------------

    def add_lesson(
        self,
        slot: str,
        rule: str,
        *,
        state: LessonState = LessonState.PROPOSED,
        steps: Sequence[Step] = (),
        when: str = "",
        evidence: Sequence[Evidence] = (),
        scope: Scope = Scope.SLOT,
        provenance: Provenance = Provenance.SAID,
        confidence: float = 1.0,
        reason: str = "",
        created: float | None = None,
        expires: float | None = None,
    ) -> Lesson:
        """Store a new lesson of a slot; ``created`` None: now; ``expires`` None: it counts until it is taken back.

        Raises:
            UsageError: If a value is not one that a lesson can have.
        """
        return lessons.add_lesson(
            self._db,
            slot,
            rule,
            state=state,
            steps=steps,
            when=when,
            evidence=evidence,
            scope=scope,
            provenance=provenance,
            confidence=confidence,
            reason=reason,
            created=created,
            expires=expires,
        )

    def lesson(self, lesson: int) -> Lesson:
        """Return one lesson."""
        return lessons.lesson(self._db, lesson)

    def lessons(self, slot: str | None = None, states: Collection[LessonState] = ()) -> list[Lesson]:
        """Return the lessons of a slot (or all), in the given states (or any), the latest first."""
        return lessons.lessons(self._db, slot, states)

    def number_lessons_after(self, number: int) -> None:
        """Give new lessons no number up to this one, whatever the database knows of."""
        lessons.number_lessons_after(self._db, number)

    def update_lesson(self, lesson: int, **changes: Any) -> Lesson:
        """Change fields of a lesson: any but ``id``, ``slot`` and ``created``.

        Raises:
            UsageError: If a field does not exist, is fixed, or cannot have the value.
        """
        return lessons.update_lesson(self._db, lesson, changes)

    def waiting(self) -> dict[str, int]:
        """Return how many approved lessons wait, by slot; a slot without any is absent."""
        return lessons.waiting(self._db)

    # -- studies ------------------------------------------------------------------------------------------------------

    def add_study(self, slot: str, lessons: Sequence[int], *, rebuild: bool = False) -> Study:
        """Note that a study of these lessons begins; ``rebuild``: it trains the slot anew from all of them."""
        return studies.add_study(self._db, slot, lessons, rebuild=rebuild)

    def finish_study(
        self,
        study: int,
        state: StudyState,
        *,
        version: int | None = None,
        report: StudyReport | None = None,
        reason: str = "",
    ) -> Study:
        """Note how a running study ended.

        Raises:
            UsageError: If it has already ended, or ``state`` is not an end.
        """
        return studies.finish_study(self._db, study, state, version=version, report=report, reason=reason)

    def study(self, study: int) -> Study:
        """Return one study."""
        return studies.study(self._db, study)

    def studies(self, slot: str | None = None) -> list[Study]:
        """Return the studies of a slot (or all), the latest first."""
        return studies.studies(self._db, slot)

    def running_studies(self) -> list[Study]:
        """Return the studies that have begun and not ended; after a restart these were cut off."""
        return studies.running_studies(self._db)

    # -- nights -------------------------------------------------------------------------------------------------------

    def begin_night(self) -> Night:
        """Note that a night begins."""
        return nights.begin_night(self._db)

    def note_night(self, night: int, studies: Sequence[int], notes: Sequence[str], *, ended: bool) -> Night:
        """Note what a night has done so far, and whether that was all."""
        return nights.note_night(self._db, night, studies, notes, ended=ended)

    def nights(self, limit: int = 100) -> list[Night]:
        """Return the nights, the latest first."""
        return nights.nights(self._db, limit)

    # -- notes about the user -----------------------------------------------------------------------------------------

    def notes(self, slot: str | None = None) -> list[MemoryNote]:
        """Return the notes that a slot is told (those of all slots too), or all, the oldest first."""
        return notes.notes(self._db, slot)

    def note(self, note: int) -> MemoryNote:
        """Return one note.

        Raises:
            NotFound: If there is none of that number.
        """
        return notes.note_numbered(self._db, note)

    def add_note(self, text: str, slot: str | None = None, message: int | None = None) -> MemoryNote:
        """Keep a note for a slot, or for all; the same text is kept once.

        Raises:
            UsageError: If it says nothing.
        """
        return notes.add_note(self._db, text, slot, message)

    def change_note(self, note: int, text: str) -> MemoryNote:
        """Put a note in other words.

        Raises:
            UsageError: If it says nothing.
        """
        return notes.change_note(self._db, note, text)

    def forget_note(self, note: int) -> None:
        """Remove a note."""
        notes.forget_note(self._db, note)

    def forget_notes_of(self, message: int) -> None:
        """Remove the notes that a message gave."""
        notes.forget_notes_of(self._db, message)

    # -- quality ------------------------------------------------------------------------------------------------------

    def use(self, slot: str) -> list[GenerationUse]:
        """Return for each generation that answered how many replies it gave, and how many of them were corrected."""
        return quality.use(self._db, slot)
