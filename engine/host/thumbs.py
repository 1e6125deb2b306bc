"""What the user's thumbs say about the replies that lessons came from. They weigh examples and teach nothing alone."""

from __future__ import annotations

from collections.abc import Iterable

from ...schemas.records import Lesson, Role
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
            if place and history[place].thumb and history[place - 1].role is Role.USER:
                found[normal(history[place - 1].text)] = history[place].thumb
    return found
