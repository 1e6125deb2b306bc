"""What the user's thumbs say about the replies that lessons came from. They weigh examples and teach nothing alone.

A reply that was copied, to be used elsewhere, counts like one with a thumb up.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...schemas.records import Lesson, Message, Role, SignalKind
from ..records import Records
from ..study.prompts import normal
from .teaching import EVERY_MESSAGE


def thumbs_of(records: Records, lessons: Iterable[Lesson]) -> dict[str, int]:
    """Return the thumb, 1 or -1, on the reply to each prompt that lessons were taught on, by the plain prompt."""
    found: dict[str, int] = {}
    for lesson in lessons:
        for signal in records.signals_of_lesson(lesson.id):
            whole = records.messages(signal.conversation, limit=EVERY_MESSAGE)
            history = [message for message in whole if message.id <= signal.message]
            place = next((n for n in reversed(range(len(history))) if history[n].role is Role.ASSISTANT), None)
            if not place or history[place - 1].role is not Role.USER:
                continue
            thumb = history[place].thumb or int(_is_copied(records, history[place]))
            if thumb:
                found[normal(history[place - 1].text)] = thumb
    return found


def _is_copied(records: Records, reply: Message) -> bool:
    signals = records.signals(reply.conversation)
    return any(one.message == reply.id and one.kind is SignalKind.ACCEPT and not one.undone for one in signals)
