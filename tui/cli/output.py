"""How the command line writes: documents, tables, times, errors, and one line of progress."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TextIO

from pydantic_core import to_jsonable_python

from ...schemas.errors import MarketError, NightSchoolError
from ...schemas.events import StudyEvent
from ...schemas.records import Comparison, Lesson, Study, StudyReport, StudyState
from ..report_words import proofs
from ..safe_text import one_line

LONGEST_CELL = 400
_ESCAPED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def document(data: object, *, pretty: bool) -> str:
    """Return records as one JSON document; what a terminal would obey is escaped, so nothing of it is lost."""
    text = json.dumps(to_jsonable_python(data), ensure_ascii=False, indent=2 if pretty else None)
    # json escapes the controls below U+0020 itself; these can occur only inside strings, where an escape may stand.
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def error_line(error: NightSchoolError, as_json: bool) -> str:
    """Return an error as one line, for stderr."""
    if as_json:
        fields = {"code": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
        if isinstance(error, MarketError) and error.code:
            fields["refusal"] = error.code
        return document({"error": fields}, pretty=False)
    return f"Error: {one_line(str(error), 1000)}"


def table(rows: Iterable[Sequence[object]]) -> list[str]:
    """Return rows as lines with columns below each other; every cell is made harmless and stays on its line."""
    cells = [[one_line(str(cell), LONGEST_CELL) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def when(seconds: float) -> str:
    """Return a moment in local time; "-" where there is none, or none that a calendar has."""
    try:
        return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}" if seconds else "-"
    except (ValueError, OverflowError, OSError):
        return "-"


def lesson_line(lesson: Lesson) -> str:
    """Return what a lesson says and how it stands."""
    return f"lesson {lesson.id} ({lesson.state.value}): {one_line(lesson.rule or 'not in words yet', LONGEST_CELL)}"


def lesson_table(rows: Sequence[Lesson]) -> list[str]:
    """Return lessons as lines, with their last day where they have one."""
    heads = ("LESSON", "SLOT", "STATE", "MADE", "UNTIL", "RULE")
    cells = [(row.id, row.slot, row.state.value, when(row.created), last_day(row.expires), _rule(row)) for row in rows]
    return table([heads, *cells])


def last_day(expires: float | None) -> str:
    """Return the last day on which a lesson counts, in local time; "-" where it has no end."""
    return "-" if expires is None else f"{datetime.fromtimestamp(expires - 1):%Y-%m-%d}"


def _rule(row: Lesson) -> str:
    rule = row.rule or "(not in words yet; reword it)"
    return f"{rule} [{row.reason}]" if row.reason else rule


# -- studies ----------------------------------------------------------------------------------------------------------


def progress_words(event: StudyEvent) -> str:
    """Return where a study is, in one line."""
    parts = [f"{event.fraction:4.0%}", one_line(event.stage, 40)]
    if event.steps:
        parts.append(f"step {event.step}/{event.steps}")
    if event.loss is not None:
        parts.append(f"loss {event.loss:.3f}")
    if event.kl is not None:
        parts.append(f"kl {event.kl:.3f}")
    if event.seconds_left is not None:
        minutes, seconds = divmod(max(0, round(event.seconds_left)), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return "  ".join(parts)


def study_lines(study: Study) -> list[str]:
    """Return how a study ended and what it measured."""
    endings = {
        StudyState.ACCEPTED: f"Accepted: generation {study.version} of {study.slot} answers from now on.",
        StudyState.REJECTED: f"Rejected: {study.slot} stays as it was.",
        StudyState.CANCELLED: f"Cancelled: {study.slot} stays as it was.",
        StudyState.FAILED: f"Failed: {study.slot} stays as it was.",
        StudyState.RUNNING: "Still running.",
    }
    reason = study.reason or (study.report.reason if study.report else "")
    if study.report is not None and study.report.base:
        name = one_line(study.report.base, 60)
        endings[StudyState.ACCEPTED] = f"Accepted: generation {study.version} of {study.slot} answers with {name}."
    lines = [endings[study.state], *([one_line(reason, 1000)] if reason else [])]
    return lines + (report_lines(study.report) if study.report else [])


def report_lines(report: StudyReport) -> list[str]:
    """Return a study's report in words and numbers."""
    learned = [(f"  {row.before:.0%} -> {row.after:.0%}", row.rule) for row in report.outcomes]
    gates: list[tuple[Any, ...]] = [
        (f"  {'passed' if row.passed else 'FAILED'}", row.name, f"{row.value:.3g} (limit {row.limit:.3g})", row.text)
        for row in report.gates
    ]
    forgotten = [(f"  {row.before:.0%} -> {row.after:.0%}", row.rule) for row in report.forgotten]
    lines = ["", "What it learned (held-out prompts that follow, before -> after)", *table(learned)] if learned else []
    lines += ["", "What it forgot", *table(forgotten)] if forgotten else []
    lines += (
        ["", "Trained anew, beside what was there", *table(compared(report.comparison))] if report.comparison else []
    )
    lines += ["", "Gates", *table(gates)] if gates else []
    notes = proofs(report)
    lines += ["", *notes] if notes else []
    facts = f"{report.examples} examples, {report.steps} steps, {report.seconds:.0f} s, scale {report.scale:.2f}"
    return [*lines, "", f"{facts}, adapter {report.adapter_bytes / 1e6:.1f} MB"]


def compared(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return a version that was trained anew and the one that was there as rows of figures."""
    rows = (("  trained anew", comparison.rebuilt), ("  as it grew", comparison.continued))
    return [
        (name, f"followed {one.stick:.0%}", f"replies moved {one.kept_kl:.3f} nats", f"prose {one.neutral_kl:.3f} nats")
        for name, one in rows
    ]


class StatusLine:
    """One line on stderr that says what is going on: redrawn in a terminal, else a line where the words change."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._shown = ""
        self._written = ""

    def show(self, words: str, plain: str = "") -> None:
        """Show ``words`` in a terminal; elsewhere write ``plain`` as a line, unless it is empty or was the last."""
        if self._terminal:
            self._shown = words
            self._stream.write(f"\r\x1b[K{one_line(words, 78)}")
            self._stream.flush()
        elif plain and plain != self._written:
            self._written = plain
            self._stream.write(f"{plain}\n")
            self._stream.flush()

    def clear(self) -> None:
        """Take the line away, before anything else is written."""
        if self._shown:
            self._shown = ""
            self._stream.write("\r\x1b[K")
            self._stream.flush()
