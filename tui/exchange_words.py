"""Imports and exports in words. The command line and the app say the same."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ..schemas.events import ImportEvent
from ..schemas.exchange import Found, ImportPreview, ImportReading, ImportResult
from ..schemas.records import Lesson, LessonState
from .safe_text import one_line

LONGEST_TITLE = 60


def preview_lines(preview: ImportPreview) -> list[str]:
    """Return what importing a file would bring, the most important first."""
    found = preview.found
    lines = [f"{Path(preview.file).name}: {', '.join(preview.importers)}"]
    if found.new:
        span = _span(preview.first, preview.last)
        lines.append(f"{counted(found.new, 'new conversation')} with {_turns(found)}{span}")
    elif found.grown:
        lines.append(f"No new conversation; {_turns(found)} in those that have grown")
    lines += _rest(found)
    if found.lessons:
        lines.append(f"{counted(found.lessons, 'new lesson')}; the next study takes those that are approved")
    if preview.new_slots:
        lines.append(f"Slots to be made: {', '.join(preview.new_slots)}")
    if preview.titles:
        lines.append(f"The first: {' · '.join(one_line(title, LONGEST_TITLE) for title in preview.titles)}")
    if not brings(found):
        lines.append("It brings nothing that is not here.")
    return [one_line(line, 1000) for line in lines]


def result_line(result: ImportResult) -> str:
    """Return what an import did."""
    found = result.found
    parts = [counted(found.new, "conversation")]
    parts += [f"{counted(found.grown, 'conversation')} that had grown"] if found.grown else []
    parts += [counted(found.lessons, "lesson")] if found.lessons else []
    if result.cancelled:
        return f"Stopped after {', '.join(parts)}; importing the file again brings the rest."
    return f"Imported {', '.join(parts)}."


def reading_line(reading: ImportReading) -> str:
    """Return what imported conversations teach; empty if nothing."""
    count = {state: sum(lesson.state is state for lesson in reading.lessons) for state in LessonState}
    parts = [
        (LessonState.APPROVED, "said to be for good, which the next study takes"),
        (LessonState.PROPOSED, "to be confirmed"),
        (LessonState.REJECTED, "not taught"),
        (LessonState.DISMISSED, "ended since"),
    ]
    said = "; ".join(f"{count[state]:,} {words}" for state, words in parts if count[state])
    return f"They teach {counted(len(reading.lessons), 'lesson')}: {said}." if said else ""


def to_confirm(reading: ImportReading) -> list[Lesson]:
    """Return the lessons that are taught only if the user confirms them."""
    return [lesson for lesson in reading.lessons if lesson.state is LessonState.PROPOSED and lesson.steps]


def left_lines(found: Found) -> list[str]:
    """Return what was left out, a line for every reason."""
    return [f"Left out {count:,}: {one_line(reason)}" for reason, count in found.skipped.items()]


def progress_words(event: ImportEvent) -> str:
    """Return how far an import is."""
    new = f", {counted(event.conversations, 'new conversation')}" if event.conversations else ""
    return f"{event.stage} {one_line(Path(event.file).name, 40)}".rstrip() + new


def brings(found: Found) -> bool:
    """Whether anything would be stored."""
    return bool(found.new or found.grown or found.lessons)


def counted(count: int, noun: str) -> str:
    """Return a number of things."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _rest(found: Found) -> list[str]:
    grown = [f"{counted(found.grown, 'conversation')} grown since"] if found.grown and found.new else []
    known = [f"{found.known:,} here already"] if found.known else []
    return [", ".join(grown + known)] * bool(grown + known) + left_lines(found)


def _turns(found: Found) -> str:
    return counted(found.turns, "turn")


def _span(first: float | None, last: float | None) -> str:
    if first is None or last is None:
        return ""
    days = [f"{datetime.fromtimestamp(moment):%Y-%m-%d}" for moment in (first, last)]
    return f", {days[0]}" if days[0] == days[1] else f", {days[0]} to {days[1]}"
