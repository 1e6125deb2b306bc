"""Studies, as functions over a ``Database``; ``facade.py`` says what each promises."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence

from ...schemas.errors import NotFound, UsageError
from ...schemas.records import Study, StudyReport, StudyState
from .database import Database

_STUDIES = "SELECT id, slot, state, lessons, started, finished, version, report, reason, rebuild FROM studies"


def add_study(db: Database, slot: str, lessons: Sequence[int], *, rebuild: bool) -> Study:
    """Note that a study of these lessons begins."""
    with db.transaction():
        added = db.insert(
            "studies",
            slot=slot,
            state=StudyState.RUNNING.value,
            lessons=json.dumps(list(lessons)),
            started=time.time(),
            reason="",
            rebuild=int(rebuild),
        )
        return study(db, added)


def finish_study(
    db: Database,
    number: int,
    state: StudyState,
    *,
    version: int | None,
    report: StudyReport | None,
    reason: str,
) -> Study:
    """Note how a running study ended."""
    if state is StudyState.RUNNING:
        raise UsageError("A study ends as accepted, rejected, cancelled or failed; give one of these.")
    with db.transaction():
        found = study(db, number)
        if found.state is not StudyState.RUNNING:
            raise UsageError(f"Study {number} has already ended ({found.state.value}); begin another.")
        db.rows(
            "UPDATE studies SET state = ?, finished = ?, version = ?, report = ?, reason = ? WHERE id = ?",
            state.value,
            time.time(),
            version,
            None if report is None else report.model_dump_json(),
            reason,
            number,
        )
        return study(db, number)


def study(db: Database, number: int) -> Study:
    """Return one study."""
    row = db.row(f"{_STUDIES} WHERE id = ?", number)
    if row is None:
        raise NotFound(f"There is no study {number}; list the studies to see which there are.")
    return _study(db, row)


def studies(db: Database, slot: str | None) -> list[Study]:
    """Return the studies of a slot (or all), the latest first."""
    found = db.rows(f"{_STUDIES} WHERE ? IS NULL OR slot = ? ORDER BY id DESC", slot, slot)
    return [_study(db, row) for row in found]


def running_studies(db: Database) -> list[Study]:
    """Return the studies that have begun and not ended, in order."""
    return [_study(db, row) for row in db.rows(f"{_STUDIES} WHERE state = ? ORDER BY id", StudyState.RUNNING.value)]


def _study(db: Database, row: sqlite3.Row) -> Study:
    values = dict(row)
    values["rebuild"] = bool(values["rebuild"])
    return db.record(Study, {**values, **db.json_of(Study, values, "lessons", "report")})
