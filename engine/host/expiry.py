"""Lessons whose time has come: one that waits is dismissed, one that is learned is taken out by the next night."""

from __future__ import annotations

import time
from datetime import datetime

from ...schemas.records import Lesson, LessonState
from .rooms import Rooms

WAIT = frozenset({LessonState.PROPOSED, LessonState.APPROVED})


def end_expired(rooms: Rooms) -> list[Lesson]:
    """Dismiss the lessons that wait and whose time has come; return them."""
    studied = rooms.studied()
    ended = []
    with rooms.records.transaction():
        for lesson in rooms.records.lessons(None, WAIT):
            if has_ended(lesson) and lesson.id not in studied:
                reason = f"It was meant {until(lesson)}."
                ended.append(rooms.records.update_lesson(lesson.id, state=LessonState.DISMISSED, reason=reason))
    return ended


def has_ended(lesson: Lesson) -> bool:
    """Whether a lesson's time has come."""
    return lesson.expires is not None and lesson.expires <= time.time()


def until(lesson: Lesson) -> str:
    """Return "until 2026-12-24": its last day, in the machine's own time; empty where it has no end."""
    if lesson.expires is None:
        return ""
    return f"until {datetime.fromtimestamp(lesson.expires - 1):%Y-%m-%d}"
