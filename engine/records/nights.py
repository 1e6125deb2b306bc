"""Nights, as functions over a ``Database``; ``facade.py`` says what each promises."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence

from ...schemas.errors import NotFound
from ...schemas.records import Night
from .database import Database

_NIGHTS = "SELECT id, started, finished, studies, notes FROM nights"


def begin_night(db: Database) -> Night:
    """Note that a night begins."""
    with db.transaction():
        return _found(db, db.insert("nights", started=time.time()))


def note_night(db: Database, night: int, studies: Sequence[int], notes: Sequence[str], *, ended: bool) -> Night:
    """Note what a night has done so far, and whether that was all."""
    with db.transaction():
        db.rows(
            "UPDATE nights SET studies = ?, notes = ?, finished = ? WHERE id = ?",
            json.dumps(list(studies)),
            json.dumps(list(notes), ensure_ascii=False),
            time.time() if ended else None,
            night,
        )
        return _found(db, night)


def nights(db: Database, limit: int) -> list[Night]:
    """Return the nights, the latest first."""
    return [_night(db, row) for row in db.rows(f"{_NIGHTS} ORDER BY id DESC LIMIT ?", limit)]


def _found(db: Database, night: int) -> Night:
    row = db.row(f"{_NIGHTS} WHERE id = ?", night)
    if row is None:
        raise NotFound(f"There is no night {night}; list the nights to see which there are.")
    return _night(db, row)


def _night(db: Database, row: sqlite3.Row) -> Night:
    values = dict(row)
    return db.record(Night, {**values, **db.json_of(Night, values, "studies", "notes")})
