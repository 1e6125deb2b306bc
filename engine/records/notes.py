"""Notes about the user, as functions over a ``Database``; ``facade.py`` says what each promises.

A note that is forgotten is removed, as nothing else here is.
"""

from __future__ import annotations

import time

from ...schemas.errors import NotFound, UsageError
from ...schemas.records import MemoryNote
from .conversations import clean_line
from .database import Database

LONGEST_NOTE = 300
_NOTES = "SELECT id, slot, text, created, message FROM notes"


def notes(db: Database, slot: str | None) -> list[MemoryNote]:
    """Return the notes that a slot is told, or all."""
    found = db.rows(f"{_NOTES} WHERE ? IS NULL OR slot IS NULL OR slot = ? ORDER BY id", slot, slot)
    return [db.record(MemoryNote, dict(row)) for row in found]


def add_note(db: Database, text: str, slot: str | None, message: int | None) -> MemoryNote:
    """Keep a note, unless the same is known."""
    line = _line(text)
    with db.transaction():
        for note in notes(db, slot):
            if note.text.casefold() == line.casefold():
                return note
        added = db.insert("notes", slot=slot, text=line, created=time.time(), message=message)
        return note_numbered(db, added)


def note_numbered(db: Database, number: int) -> MemoryNote:
    """Return one note."""
    row = db.row(f"{_NOTES} WHERE id = ?", number)
    if row is None:
        raise NotFound(f"There is no note {number}; list them to see which there are.")
    return db.record(MemoryNote, dict(row))


def change_note(db: Database, number: int, text: str) -> MemoryNote:
    """Put a note in other words."""
    with db.transaction():
        note_numbered(db, number)
        db.rows("UPDATE notes SET text = ? WHERE id = ?", _line(text), number)
        return note_numbered(db, number)


def forget_note(db: Database, number: int) -> None:
    """Remove a note."""
    with db.transaction():
        note_numbered(db, number)
        db.rows("DELETE FROM notes WHERE id = ?", number)


def forget_notes_of(db: Database, message: int) -> None:
    """Remove the notes that a message gave."""
    with db.transaction():
        db.rows("DELETE FROM notes WHERE message = ?", message)


def _line(text: str) -> str:
    line = clean_line(" ".join(text.split()), LONGEST_NOTE)
    if not line:
        raise UsageError("A note needs words; say what is to be remembered.")
    return line
