"""What the database knows under the name of a slot, as functions over a ``Database``: renamed, or removed for good."""

from __future__ import annotations

from .database import Database

_TABLES = ("conversations", "lessons", "studies", "notes")


def rename_slot(db: Database, old: str, new: str) -> None:
    """Put everything that is of one slot under another name; doing it again changes nothing."""
    with db.transaction():
        for table in _TABLES:
            db.rows(f"UPDATE {table} SET slot = ? WHERE slot = ?", new, old)  # noqa: S608 (names are ours)


def conversations_of(db: Database, name: str) -> list[int]:
    """Return the numbers of all conversations of one slot, deleted ones too."""
    return [row["id"] for row in db.rows("SELECT id FROM conversations WHERE slot = ?", name)]


def remove_slot(db: Database, name: str) -> None:
    """Remove everything that is of one slot; doing it again changes nothing."""
    with db.transaction():
        for number in conversations_of(db, name):
            _remove_conversation(db, number)
        db.rows("UPDATE signals SET lesson = NULL WHERE lesson IN (SELECT id FROM lessons WHERE slot = ?)", name)
        db.rows("UPDATE lessons SET merged = NULL WHERE slot = ?", name)
        for table in _TABLES:
            db.rows(f"DELETE FROM {table} WHERE slot = ?", name)  # noqa: S608 (names are ours)


def _remove_conversation(db: Database, number: int) -> None:
    db.rows("DELETE FROM message_words WHERE rowid IN (SELECT id FROM messages WHERE conversation = ?)", number)
    db.rows("DELETE FROM signals WHERE conversation = ?", number)
    db.rows("DELETE FROM origins WHERE conversation = ?", number)
    db.rows("UPDATE messages SET replaced_by = NULL WHERE conversation = ?", number)
    db.rows("DELETE FROM messages WHERE conversation = ?", number)
    db.rows("DELETE FROM conversations WHERE id = ?", number)
