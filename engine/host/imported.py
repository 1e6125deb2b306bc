"""What imported conversations teach: the same detectors read them that read a chat, but they are believed less.

Only what the user said to be for good, in so many words, waits for the next study; everything else is proposed until
it is confirmed, also where it was said twice or shown by an edit. What only a model wrote teaches nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...schemas.events import NoticeEvent
from ...schemas.exchange import ImportReading
from ...schemas.records import Lesson, LessonState, Message, Role, SignalKind
from ..records.origins import Unread
from ..study.contracts import Rewriter
from ..study.draft import LessonDraft
from ..study.lessons import find_corrections, lesson_from_edit
from ..study.relations import contradiction
from . import teaching
from .expiry import end_expired
from .plugins import PluginHost
from .rooms import Rooms

_log = logging.getLogger(__name__)

SAID_LATER = "Lesson {later}, which you gave later, asks otherwise: approve this one if it is to count instead."
COUNT = frozenset({LessonState.APPROVED, LessonState.LEARNED})


@dataclass(frozen=True)
class _Taught:
    """What one message says, or one edit shows."""

    message: Message
    drafts: Sequence[LessonDraft]


@dataclass
class _Tally:
    conversations: int = 0
    signals: Counter[SignalKind] = field(default_factory=Counter)
    lessons: dict[int, None] = field(default_factory=dict)
    broken: bool = False


async def read_imported(
    rooms: Rooms, tell: Callable[[float], None], stopped: Callable[[], bool], conversation: int | None = None
) -> ImportReading:
    """Read what was imported and not read yet, the earliest said first; what a stop leaves the next call reads.

    Args:
        rooms: The profile's.
        tell: Told the share that is done.
        stopped: Whether to stop after the conversation that is being read.
        conversation: Only this one; None: all.
    """
    tally = _Tally()
    waiting = rooms.records.unread(conversation)
    cancelled = False
    for place, unread in enumerate(waiting):
        tell(place / len(waiting))
        if stopped():
            cancelled = True
            break
        if unread.conversation not in rooms.answering:
            await _read(rooms, unread, tally)
    end_expired(rooms)
    _step_behind(rooms, tally.lessons)
    tell(1.0)
    if tally.broken:
        text = "A plugin failed to read some of the imported messages; see the log."
        rooms.broadcast(NoticeEvent(level="warning", text=text))
    return ImportReading(
        conversations=tally.conversations,
        signals=dict(tally.signals),
        lessons=[rooms.records.lesson(number) for number in tally.lessons],
        cancelled=cancelled,
    )


async def _read(rooms: Rooms, unread: Unread, tally: _Tally) -> None:
    """Read one conversation and note what it teaches, all of it or nothing."""
    records, number = rooms.records, unread.conversation
    rooms.begin(number)
    try:
        slot = records.conversation(number).slot
        history = records.messages(number, limit=teaching.EVERY_MESSAGE)
        known = {signal.message for signal in records.signals(number)}
        new = [message for message in history if message.id >= unread.first and message.id not in known]
        taught, broken = await asyncio.to_thread(_find, rooms.plugins, history, new)
        with records.transaction():
            for one in taught:
                _note(rooms, slot, history, one, tally)
            records.note_read(number)
    finally:
        rooms.end(number)
    tally.conversations += 1
    tally.broken = tally.broken or broken


def _find(plugins: PluginHost, history: Sequence[Message], new: Sequence[Message]) -> tuple[list[_Taught], bool]:
    """Return what messages teach, in order, and whether a plugin failed on any of them."""
    found: list[_Taught] = []
    broken = False
    for message in new:
        try:
            drafts = _drafts(plugins, history, message)
        except Exception:  # noqa: BLE001 (a detector may be a stranger's; the other messages are read all the same)
            _log.exception("message %d of an imported conversation could not be read", message.id)
            broken = True
        else:
            found += [_Taught(message, drafts)] if drafts else []
    return found, broken


def _drafts(plugins: PluginHost, history: Sequence[Message], message: Message) -> list[LessonDraft]:
    before = [other for other in history if other.id < message.id]
    if message.role is Role.USER:
        prompt, reply = teaching.last_exchange(before)
        return find_corrections(plugins, prompt, reply, message.text, message.created)
    if message.original is None or message.original == message.text:
        return []
    asked = next((other.text for other in reversed(before) if other.role is Role.USER), "")
    return [lesson_from_edit(plugins, asked, message.original, message.text)]


def _note(rooms: Rooms, slot: str, history: Sequence[Message], taught: _Taught, tally: _Tally) -> None:
    before = [other for other in history if other.id < taught.message.id]
    if taught.message.role is Role.USER:
        noted = teaching.note_words(rooms, slot, before, taught.message, taught.drafts, imported=True)
    else:
        noted = [
            teaching.note_edit(rooms, slot, history, taught.message, draft, imported=True) for draft in taught.drafts
        ]
    for signal, lesson in noted:
        tally.signals[signal.kind] += 1
        if lesson is not None:
            tally.lessons.setdefault(lesson.id)


def _step_behind(rooms: Rooms, new: dict[int, None]) -> None:
    """Propose only what was said before something that asks otherwise, for what is learned later would win."""
    rewriters: list[Rewriter] = rooms.plugins.collect("nightschool_rewriters")
    for number in new:
        lesson = rooms.records.lesson(number)
        if lesson.state is not LessonState.APPROVED:
            continue
        others = [other for other in rooms.records.lessons(lesson.slot, COUNT) if other.id not in new]
        later = next((other for other in others if _asks_otherwise(rewriters, lesson, other)), None)
        if later is not None:
            reason = SAID_LATER.format(later=later.id)
            rooms.records.update_lesson(number, state=LessonState.PROPOSED, reason=reason)


def _asks_otherwise(rewriters: Sequence[Rewriter], lesson: Lesson, other: Lesson) -> bool:
    return other.created > lesson.created and bool(contradiction(rewriters, lesson, other))
