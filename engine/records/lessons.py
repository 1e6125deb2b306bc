"""Signals and the lessons they give, as functions over a ``Database``; ``facade.py`` says what each promises."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Sequence
from typing import Any

from pydantic import ValidationError

from ...schemas.errors import NotFound, UsageError
from ...schemas.records import Evidence, Lesson, LessonState, Provenance, Scope, Signal, SignalKind, Step
from . import conversations
from .database import Database

_SIGNALS = "SELECT id, conversation, message, kind, text, scope, lesson, undone, created FROM signals"
_LESSONS = (
    'SELECT id, slot, state, rule, steps, "when", evidence, scope, provenance, confidence, created, version, reason, '
    "expires, merged FROM lessons"
)
_SUPPORT = (
    f"{_SIGNALS} WHERE lesson = ? AND undone = 0 "  # noqa: S608 (the columns are ours)
    "AND conversation IN (SELECT id FROM conversations WHERE deleted IS NULL)"
)
_THUMBS = {SignalKind.THUMB_UP: 1, SignalKind.THUMB_DOWN: -1}
_FIXED = frozenset({"id", "slot", "created"})


# -- signals ----------------------------------------------------------------------------------------------------------


def add_signal(
    db: Database, message: int, kind: SignalKind, text: str, *, lesson_number: int | None, scope: Scope | None
) -> Signal:
    """Note an event on or in a message."""
    with db.transaction():
        found = conversations.message(db, message)
        if lesson_number is not None:
            lesson(db, lesson_number)
        added = db.insert(
            "signals",
            conversation=found.conversation,
            message=message,
            kind=kind.value,
            text=text,
            scope=scope and scope.value,
            lesson=lesson_number,
            created=time.time(),
        )
        return signal(db, added)


def signals(db: Database, conversation: int) -> list[Signal]:
    """Return the signals of a conversation, undone ones too, in order."""
    conversations.conversation(db, conversation)
    return [_signal(db, row) for row in db.rows(f"{_SIGNALS} WHERE conversation = ? ORDER BY id", conversation)]


def signals_of_lesson(db: Database, number: int) -> list[Signal]:
    """Return the signals that support a lesson, in order: not undone, and of conversations that are not deleted."""
    return [_signal(db, row) for row in db.rows(f"{_SUPPORT} ORDER BY id", number)]


def signal(db: Database, number: int) -> Signal:
    """Return one signal."""
    row = db.row(f"{_SIGNALS} WHERE id = ?", number)
    if row is None:
        raise NotFound(f"There is no signal {number}; list those of the conversation to see which there are.")
    return _signal(db, row)


def link_signal(db: Database, number: int, lesson_number: int | None) -> Signal:
    """Say which lesson a signal gave; None: none any more."""
    with db.transaction():
        signal(db, number)
        if lesson_number is not None:
            lesson(db, lesson_number)
        db.rows("UPDATE signals SET lesson = ? WHERE id = ?", lesson_number, number)
        return signal(db, number)


def undo_signal(db: Database, number: int) -> Signal:
    """Take a signal back, with the lesson that it alone gave and what it changed on its message."""
    with db.transaction():
        found = signal(db, number)
        if found.undone:
            return found
        db.rows("UPDATE signals SET undone = 1 WHERE id = ?", number)
        if found.lesson is not None:
            _drop_lesson(db, found.lesson)
        if found.kind is SignalKind.EDIT:
            _redo_edit(db, found.message)
        elif found.kind in _THUMBS:
            _redo_thumb(db, found.message)
        return signal(db, number)


def _drop_lesson(db: Database, number: int) -> None:
    """Dismiss a lesson that no signal supports any more."""
    if db.row("SELECT 1 FROM signals WHERE lesson = ? AND undone = 0", number):
        return
    if lesson(db, number).state is LessonState.LEARNED:
        raise UsageError("What this correction taught is already learned; roll the slot back to take it out.")
    update_lesson(db, number, {"state": LessonState.DISMISSED, "reason": "The correction was taken back."})


def _redo_edit(db: Database, message: int) -> None:
    """Give a message the text of its last edit that still counts, or the model's own."""
    kept = db.row(
        "SELECT text FROM signals WHERE message = ? AND kind = ? AND undone = 0 ORDER BY id DESC LIMIT 1",
        message,
        SignalKind.EDIT.value,
    )
    conversations.restore_message(db, message)
    if kept is not None:
        conversations.edit_message(db, message, kept["text"])


def _redo_thumb(db: Database, message: int) -> None:
    """Give a message the last rating that still counts."""
    kept = db.row(
        "SELECT kind FROM signals WHERE message = ? AND kind IN (?, ?) AND undone = 0 ORDER BY id DESC LIMIT 1",
        message,
        *(kind.value for kind in _THUMBS),
    )
    value = _THUMBS[SignalKind(kept["kind"])] if kept else 0
    db.rows("UPDATE messages SET thumb = ? WHERE id = ?", value, message)


def _signal(db: Database, row: sqlite3.Row) -> Signal:
    return db.record(Signal, {**dict(row), "undone": bool(row["undone"])})


# -- lessons ----------------------------------------------------------------------------------------------------------


def add_lesson(
    db: Database,
    slot: str,
    rule: str,
    *,
    state: LessonState,
    steps: Sequence[Step],
    when: str,
    evidence: Sequence[Evidence],
    scope: Scope,
    provenance: Provenance,
    confidence: float,
    reason: str,
    created: float | None,
    expires: float | None,
) -> Lesson:
    """Store a new lesson."""
    draft = _checked(
        {
            "id": 0,
            "slot": slot,
            "state": state,
            "rule": rule,
            "steps": list(steps),
            "when": when,
            "evidence": list(evidence),
            "scope": scope,
            "provenance": provenance,
            "confidence": confidence,
            "created": time.time() if created is None else created,
            "reason": reason,
            "expires": expires,
        }
    )
    with db.transaction():
        return lesson(db, db.insert("lessons", **_columns(draft)))


def lesson(db: Database, number: int) -> Lesson:
    """Return one lesson."""
    row = db.row(f"{_LESSONS} WHERE id = ?", number)
    if row is None:
        raise NotFound(f"There is no lesson {number}; list the lessons to see which there are.")
    return _lesson(db, row)


def lessons(db: Database, slot: str | None, states: Collection[LessonState]) -> list[Lesson]:
    """Return lessons of a slot (or all), in the given states (or any), the latest first."""
    marks = ", ".join("?" * len(states))
    among = f"AND state IN ({marks})" if states else ""
    found = db.rows(
        f"{_LESSONS} WHERE (? IS NULL OR slot = ?) {among} ORDER BY id DESC",
        slot,
        slot,
        *(state.value for state in states),
    )
    return [_lesson(db, row) for row in found]


def number_lessons_after(db: Database, number: int) -> None:
    """Give new lessons no number up to this one."""
    with db.transaction():
        row = db.row("SELECT seq FROM sqlite_sequence WHERE name = 'lessons'")
        if row is None:
            db.insert("sqlite_sequence", name="lessons", seq=number)
        elif row["seq"] < number:
            db.rows("UPDATE sqlite_sequence SET seq = ? WHERE name = 'lessons'", number)


def update_lesson(db: Database, number: int, changes: dict[str, Any]) -> Lesson:
    """Change fields of a lesson."""
    unknown = sorted(name for name in changes if name in _FIXED or name not in Lesson.model_fields)
    if unknown:
        raise UsageError(f"A lesson's {unknown[0]} cannot be changed; choose another field.")
    with db.transaction():
        old = lesson(db, number)
        new = _checked({**{name: getattr(old, name) for name in Lesson.model_fields}, **changes})
        columns = _columns(new)
        settings = ", ".join(f"{name} = ?" for name in columns)
        db.rows(f"UPDATE lessons SET {settings} WHERE id = ?", *columns.values(), number)  # noqa: S608 (names are ours)
        return lesson(db, number)


def waiting(db: Database) -> dict[str, int]:
    """Return the number of approved lessons by slot; a slot without any is absent."""
    found = db.rows("SELECT slot, count(*) AS number FROM lessons WHERE state = ? GROUP BY slot", LessonState.APPROVED)
    return {row["slot"]: row["number"] for row in found}


def _checked(values: dict[str, Any]) -> Lesson:
    try:
        return Lesson.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"A lesson cannot have this {where} ({first['msg']}); correct it.") from error


def _columns(record: Lesson) -> dict[str, Any]:
    values = record.model_dump(mode="json", exclude={"id"})
    values["steps"] = json.dumps(values["steps"], ensure_ascii=False)
    values["evidence"] = json.dumps(values["evidence"], ensure_ascii=False)
    values['"when"'] = values.pop("when")  # a word of SQL, so the column's name is quoted
    return values


def _lesson(db: Database, row: sqlite3.Row) -> Lesson:
    values = dict(row)
    return db.record(Lesson, {**values, **db.json_of(Lesson, values, "steps", "evidence")})
