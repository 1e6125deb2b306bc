"""From what happens in a chat to lessons in the database, also where the user edits a reply and says it as well.

An edit and the words about it that ask for one thing become one lesson, supported by both signals: the words give rule
and condition, the edit gives the exact form. Once one of the two is taken back, it is read again from the other. What
is said again, in this conversation or in another of the slot, supports the lesson that is there already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from ...schemas.events import NoticeEvent
from ...schemas.records import Lesson, LessonState, Message, Role, Signal, SignalKind
from ..settings import read_settings
from ..study.draft import LessonDraft, settled
from ..study.lessons import combine, find_corrections, lesson_from_edit
from ..study.promotion import explicit, promoted, said_again, same_rule, unconfirmed
from .rooms import Rooms

_log = logging.getLogger(__name__)

OPEN = frozenset({LessonState.PROPOSED, LessonState.APPROVED})
"""States in which a lesson is not part of any version yet."""
EVERY_MESSAGE = 100_000
WORDS = frozenset({SignalKind.CORRECTION, SignalKind.STYLE, SignalKind.RULE})


# -- what the user says -----------------------------------------------------------------------------------------------


async def read_words(rooms: Rooms, history: Sequence[Message], text: str) -> list[LessonDraft]:
    """Return what the user's next words teach; a plugin that fails is told of, and the chat goes on."""
    prompt, reply = last_exchange(history)
    try:
        return await asyncio.to_thread(find_corrections, rooms.plugins, prompt, reply, text)
    except Exception:  # noqa: BLE001 (a detector may be a stranger's; the message is answered all the same)
        _log.exception("detectors failed")
        rooms.broadcast(
            NoticeEvent(level="warning", text="A plugin failed to read these words for corrections; see the log.")
        )
        return []


def note_words(
    rooms: Rooms,
    slot: str,
    history: Sequence[Message],
    said: Message,
    drafts: Sequence[LessonDraft],
    *,
    imported: bool = False,
) -> list[tuple[Signal, Lesson | None]]:
    """Store what a message teaches, joined with the edit of the reply before it, or with what was said before.

    ``imported``: it was said elsewhere, so that only what is said to be for good is taught without being confirmed.
    """
    noted: list[tuple[Signal, Lesson | None]] = []
    for draft in drafts:
        lesson: Lesson | None = None
        if draft.rule:
            lesson = _join_edit(rooms, history, draft, imported) or _join_said(rooms, slot, said, draft, imported)
            lesson = lesson or add_lesson(rooms, slot, unconfirmed(draft) if imported else draft, _when(said, imported))
        if draft.kind is SignalKind.FACT and not imported and read_settings(rooms.home).memory:
            rooms.records.add_note(draft.text, message=said.id)
        number = None if lesson is None else lesson.id
        signal = rooms.records.add_signal(said.id, draft.kind, draft.text, number, draft.scope)
        noted.append((signal, lesson))
    return noted


def _join_said(rooms: Rooms, slot: str, said: Message, draft: LessonDraft, imported: bool) -> Lesson | None:
    """Let a draft support an open lesson of the slot that asks for the same, if there is one."""
    records, studied = rooms.records, rooms.studied()
    for lesson in records.lessons(slot, OPEN):
        if lesson.id in studied or not same_rule(lesson, draft):
            continue
        signals = records.signals_of_lesson(lesson.id)
        if not signals or any(signal.kind is SignalKind.EDIT for signal in signals):
            continue
        elsewhere = any(signal.conversation != said.conversation for signal in signals)
        again = said_again(_draft_of(signals[0], lesson), draft, elsewhere=elsewhere)
        return records.update_lesson(lesson.id, **_fields(_believed(lesson, draft, again, imported)))
    return None


def _join_edit(rooms: Rooms, history: Sequence[Message], said: LessonDraft, imported: bool) -> Lesson | None:
    """Merge what was said into the lesson of the edited reply just before, if there is one that fits."""
    reply = next((message for message in reversed(history) if message.role is Role.ASSISTANT), None)
    if reply is None or reply.original is None:
        return None
    for signal, lesson in _open_lessons(rooms, reply, {SignalKind.EDIT}):
        merged = combine(_draft_of(signal, lesson), said)
        if merged is not None:
            return rooms.records.update_lesson(lesson.id, **_fields(_believed(lesson, said, merged, imported)))
    return None


def _believed(lesson: Lesson, new: LessonDraft, joined: LessonDraft, imported: bool) -> LessonDraft:
    """Return a lesson with more support, as far as that lets it be studied unasked."""
    if not imported or lesson.state is LessonState.APPROVED or explicit(new):
        return joined
    return unconfirmed(joined)


# -- what the user edits ----------------------------------------------------------------------------------------------


async def read_edit(rooms: Rooms, history: Sequence[Message], message: Message, text: str) -> LessonDraft:
    """Return what the user's wording of a reply teaches, compared with the model's own."""
    prompt = _prompt_of(history, message)
    return await asyncio.to_thread(lesson_from_edit, rooms.plugins, prompt, model_text(message), text)


def note_edit(
    rooms: Rooms,
    slot: str,
    history: Sequence[Message],
    message: Message,
    draft: LessonDraft,
    *,
    imported: bool = False,
) -> tuple[Signal, Lesson]:
    """Store what an edit teaches, joined with what the user said before or after it where both ask for one thing.

    ``imported``: it was made elsewhere, and waits to be confirmed.
    """
    lesson = _join_words(rooms, history, message, draft, imported)
    if lesson is None and imported:
        lesson = _join_edits(rooms, slot, draft)
    lesson = lesson or add_lesson(rooms, slot, unconfirmed(draft) if imported else draft, _when(message, imported))
    return rooms.records.add_signal(message.id, SignalKind.EDIT, draft.text, lesson.id), lesson


def _join_words(
    rooms: Rooms, history: Sequence[Message], message: Message, edit: LessonDraft, imported: bool
) -> Lesson | None:
    place = next((place for place, other in enumerate(history) if other.id == message.id), len(history))
    following = [other for other in history[place + 1 :] if other.role is Role.USER][:1]
    before = [other for other in reversed(history[:place]) if other.role is Role.USER][:1]
    for said in (*following, *before):
        for signal, lesson in _open_lessons(rooms, said, WORDS):
            merged = combine(edit, _draft_of(signal, lesson))
            if merged is not None:
                shown = [evidence for evidence in lesson.evidence if evidence.after]
                fields = {**_fields(_believed(lesson, edit, merged, imported)), "evidence": [*shown, *merged.evidence]}
                return rooms.records.update_lesson(lesson.id, **fields)
    return None


def _join_edits(rooms: Rooms, slot: str, edit: LessonDraft) -> Lesson | None:
    """Let an edit support the lesson that another edit gave, where both show the same; its state stays."""
    studied = rooms.studied()
    for lesson in rooms.records.lessons(slot, OPEN):
        if lesson.id not in studied and same_rule(lesson, edit):
            evidence = [*lesson.evidence, *(shown for shown in edit.evidence if shown not in lesson.evidence)]
            return rooms.records.update_lesson(lesson.id, evidence=evidence)
    return None


# -- what the user takes back -----------------------------------------------------------------------------------------


def take_back(rooms: Rooms, signal: Signal) -> Signal:
    """Undo a signal; a lesson that others still support is read again from what is left.

    Raises:
        UsageError: If its lesson is learned; nothing changes then.
        StudyRunning: If its lesson is being studied.
    """
    records = rooms.records
    if signal.lesson is not None and not signal.undone:
        rooms.leave_studied(signal.lesson)
    with records.transaction():
        undone = records.undo_signal(signal.id)
        if signal.kind is SignalKind.FACT:
            records.forget_notes_of(signal.message)
        if signal.lesson is not None and not signal.undone:
            reread(rooms, signal.lesson)
    return undone


def withdraw(rooms: Rooms, said: Message) -> None:
    """Remove a message that could not be answered, with all that it taught."""
    records = rooms.records
    with records.transaction():
        taught = [s.lesson for s in records.signals(said.conversation) if s.message == said.id and s.lesson is not None]
        records.withdraw_message(said.id)
        records.forget_notes_of(said.id)
        for number in taught:
            reread(rooms, number)


def reread(rooms: Rooms, number: int) -> None:
    """Read an open lesson again from the signals that still support it."""
    records = rooms.records
    left = records.signals_of_lesson(number)
    if not left or records.lesson(number).state not in OPEN:
        return
    words = [_reread_words(rooms, signal) for signal in left if signal.kind in WORDS]
    edits = [_reread_edit(rooms, signal) for signal in left if signal.kind is SignalKind.EDIT]
    draft = _said_in_all([draft for draft in words if draft is not None], len({s.conversation for s in left}) > 1)
    if edits:
        draft = (draft and combine(edits[-1], draft)) or draft or edits[-1]
    if draft is not None:
        if all(records.conversation(signal.conversation).origin for signal in left):
            draft = unconfirmed(draft)
        shown = [evidence for edit in edits[:-1] for evidence in edit.evidence]
        records.update_lesson(number, **{**_fields(draft), "evidence": [*shown, *draft.evidence]})


def _said_in_all(drafts: Sequence[LessonDraft], in_two_conversations: bool) -> LessonDraft | None:
    """Return the one lesson of what was said several times."""
    if not drafts:
        return None
    first, *others = drafts
    for other in others:
        first = said_again(first, other, elsewhere=False)
    return promoted(first) if in_two_conversations else settled(first)


def _reread_words(rooms: Rooms, signal: Signal) -> LessonDraft | None:
    message = rooms.records.message(signal.message)
    history = rooms.records.messages(signal.conversation, limit=EVERY_MESSAGE)
    prompt, reply = last_exchange([other for other in history if other.id < message.id])
    drafts = find_corrections(rooms.plugins, prompt, reply, message.text, message.created)
    return next((draft for draft in drafts if draft.rule and draft.text == signal.text), None)


def _reread_edit(rooms: Rooms, signal: Signal) -> LessonDraft:
    message = rooms.records.message(signal.message)
    history = rooms.records.messages(signal.conversation, limit=EVERY_MESSAGE)
    return lesson_from_edit(rooms.plugins, _prompt_of(history, message), model_text(message), signal.text)


# -- parts ------------------------------------------------------------------------------------------------------------


def add_lesson(rooms: Rooms, slot: str, draft: LessonDraft, created: float | None = None) -> Lesson:
    """Store a draft as a lesson of a slot; ``created`` None: now."""
    return rooms.records.add_lesson(slot, created=created, **_fields(draft))


def _when(message: Message, imported: bool) -> float | None:
    return message.created if imported else None


def last_exchange(history: Sequence[Message]) -> tuple[str, str]:
    """Return the last prompt and the model's own reply to it; both empty at the first turn."""
    reply = next((message for message in reversed(history) if message.role is Role.ASSISTANT and message.text), None)
    return ("", "") if reply is None else (_prompt_of(history, reply), model_text(reply))


def model_text(message: Message) -> str:
    """Return what the model itself wrote."""
    return message.text if message.original is None else message.original


def _prompt_of(history: Sequence[Message], reply: Message) -> str:
    before = [message for message in history if message.role is Role.USER and message.id < reply.id]
    return before[-1].text if before else ""


def _open_lessons(
    rooms: Rooms, message: Message, kinds: frozenset[SignalKind] | set[SignalKind]
) -> list[tuple[Signal, Lesson]]:
    """Return the signals of these kinds on a message that count, with their lessons that may still change."""
    found = []
    studied = rooms.studied()
    for signal in rooms.records.signals(message.conversation):
        if signal.message == message.id and signal.kind in kinds and not signal.undone and signal.lesson is not None:
            lesson = rooms.records.lesson(signal.lesson)
            if lesson.state in OPEN and lesson.id not in studied:
                found.append((signal, lesson))
    return found


def _draft_of(signal: Signal, lesson: Lesson) -> LessonDraft:
    return LessonDraft(
        kind=signal.kind,
        text=signal.text,
        rule=lesson.rule,
        steps=lesson.steps,
        when=lesson.when,
        evidence=lesson.evidence,
        scope=lesson.scope,
        provenance=lesson.provenance,
        confidence=lesson.confidence,
        state=lesson.state,
        reason=lesson.reason,
        expires=lesson.expires,
    )


def _fields(draft: LessonDraft) -> dict[str, Any]:
    return {
        "rule": draft.rule,
        "steps": draft.steps,
        "when": draft.when,
        "evidence": draft.evidence,
        "scope": draft.scope,
        "provenance": draft.provenance,
        "confidence": draft.confidence,
        "state": draft.state,
        "reason": draft.reason,
        "expires": draft.expires,
    }
