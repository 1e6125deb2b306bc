"""Conversations and their messages, as functions over a ``Database``; ``facade.py`` says what each promises."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Collection

from ...schemas.errors import NotFound, UsageError
from ...schemas.records import Conversation, Finish, Message, Role
from .database import Database
from .search import forget_message, index_message

TITLE_FROM_MESSAGE = 60
LONGEST_TITLE = 200

_CONVERSATIONS = """
    SELECT c.id, c.slot, c.title, c.created, c.updated,
           (SELECT count(*) FROM messages m WHERE m.conversation = c.id AND m.replaced_by IS NULL) AS messages,
           coalesce((SELECT o.source FROM origins o WHERE o.conversation = c.id), '') AS origin
    FROM conversations c
"""
_MESSAGES = "SELECT id, conversation, role, text, created, version, finish, tokens, original, thumb FROM messages"
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


# -- conversations ----------------------------------------------------------------------------------------------------


def list_conversations(
    db: Database, slot: str | None, limit: int, offset: int, without: Collection[str]
) -> list[Conversation]:
    """Return conversations that are not deleted, of one slot or all but some, the latest first."""
    of_slot, values = ("", ()) if slot is None else ("AND c.slot = ? ", (slot,))
    if without:
        of_slot, values = f"{of_slot}AND c.slot NOT IN ({', '.join('?' * len(without))}) ", (*values, *without)
    found = db.rows(
        f"{_CONVERSATIONS} WHERE c.deleted IS NULL {of_slot}ORDER BY c.updated DESC, c.id DESC LIMIT ? OFFSET ?",
        *values,
        limit,
        offset,
    )
    return [db.record(Conversation, dict(row)) for row in found]


def conversation(db: Database, number: int, *, deleted: bool = False) -> Conversation:
    """Return one conversation; one that was deleted only where asked for."""
    row = db.row(_CONVERSATIONS + "WHERE c.id = ? AND (? OR c.deleted IS NULL)", number, deleted)
    if row is None:
        raise NotFound(f"There is no conversation {number}; list them to see which there are.")
    return db.record(Conversation, dict(row))


def create_conversation(db: Database, slot: str, title: str) -> Conversation:
    """Begin an empty conversation."""
    now = time.time()
    title = clean_line(title, LONGEST_TITLE)
    with db.transaction():
        return conversation(db, db.insert("conversations", slot=slot, title=title, created=now, updated=now))


def rename_conversation(db: Database, number: int, title: str) -> Conversation:
    """Give a conversation another title."""
    cleaned = clean_line(title, LONGEST_TITLE)
    if not cleaned:
        raise UsageError("A title needs at least one visible character; give another.")
    with db.transaction():
        conversation(db, number)
        db.rows("UPDATE conversations SET title = ? WHERE id = ?", cleaned, number)
        return conversation(db, number)


def delete_conversation(db: Database, number: int) -> None:
    """Put a conversation away."""
    with db.transaction():
        conversation(db, number)
        db.rows("UPDATE conversations SET deleted = ? WHERE id = ?", time.time(), number)


def restore_conversation(db: Database, number: int) -> Conversation:
    """Bring a deleted conversation back; one that is not deleted stays as it is."""
    with db.transaction():
        conversation(db, number, deleted=True)
        db.rows("UPDATE conversations SET deleted = NULL WHERE id = ?", number)
        return conversation(db, number)


def clean_line(text: str, longest: int) -> str:
    """Return the first line of a text that has words, without control characters, cut at a word where it is long."""
    lines = (" ".join(_UNPRINTABLE.sub(" ", line).split()) for line in text.splitlines())
    line = next((line for line in lines if line), "")
    if len(line) <= longest:
        return line
    head = line[: longest - 1]
    words = head.rpartition(" ")[0]
    return (words if len(words) > longest // 2 else head).rstrip() + "…"


# -- messages ---------------------------------------------------------------------------------------------------------


def messages(db: Database, number: int, before: int | None, limit: int) -> list[Message]:
    """Return the last ``limit`` messages that are shown, in order; only those before message ``before``, if given."""
    conversation(db, number)
    found = db.rows(
        f"SELECT * FROM ({_MESSAGES} WHERE conversation = ? AND replaced_by IS NULL AND (? IS NULL OR id < ?) "  # noqa: S608
        "ORDER BY id DESC LIMIT ?) ORDER BY id",
        number,
        before,
        before,
        limit,
    )
    return [_message(db, row) for row in found]


def message(db: Database, number: int) -> Message:
    """Return one message, also a reply that was replaced."""
    row = db.row(f"{_MESSAGES} WHERE id = ?", number)
    if row is None:
        raise NotFound(f"There is no message {number}; list the conversation to see which there are.")
    return _message(db, row)


def add_message(
    db: Database, number: int, role: Role, text: str, *, version: int | None, finish: Finish | None, tokens: int
) -> Message:
    """Append a message; the first one names a conversation that has no title."""
    now = time.time()
    with db.transaction():
        parent = conversation(db, number)
        added = db.insert(
            "messages",
            conversation=number,
            role=role.value,
            text=text,
            created=now,
            version=version,
            finish=finish.value if finish else None,
            tokens=tokens,
        )
        index_message(db, added, text)
        title = parent.title or clean_line(text, TITLE_FROM_MESSAGE)
        db.rows("UPDATE conversations SET updated = ?, title = ? WHERE id = ?", now, title, number)
        return message(db, added)


def replace_reply(
    db: Database, number: int, text: str, *, version: int | None, finish: Finish | None, tokens: int
) -> Message:
    """Put a new reply in the place of the last one; the old one is kept, marked as replaced."""
    with db.transaction():
        last = messages(db, number, None, 1)
        if not last or last[0].role is not Role.ASSISTANT:
            raise UsageError(f"Conversation {number} does not end with a reply; say something first.")
        added = add_message(db, number, Role.ASSISTANT, text, version=version, finish=finish, tokens=tokens)
        db.rows("UPDATE messages SET replaced_by = ? WHERE id = ?", added.id, last[0].id)
        forget_message(db, last[0].id)
        return added


def withdraw_message(db: Database, number: int) -> None:
    """Remove the last message of its conversation, with its signals and the lessons that these alone gave."""
    with db.transaction():
        found = message(db, number)
        last = messages(db, found.conversation, None, 1)
        if not last or last[0].id != number:
            raise UsageError(f"Message {number} is not the last of its conversation; only that can be withdrawn.")
        given = db.rows("SELECT DISTINCT lesson FROM signals WHERE message = ? AND lesson IS NOT NULL", number)
        db.rows("DELETE FROM signals WHERE message = ?", number)
        for row in given:
            if not db.row("SELECT 1 FROM signals WHERE lesson = ?", row["lesson"]):
                db.rows("DELETE FROM lessons WHERE id = ?", row["lesson"])
        forget_message(db, number)
        db.rows("DELETE FROM messages WHERE id = ?", number)


def edit_message(db: Database, number: int, text: str) -> Message:
    """Replace a reply's text by the user's wording; the model's own is kept in ``original``."""
    with db.transaction():
        found = _shown_reply(db, number)
        original = found.text if found.original is None else found.original
        return _set_text(db, number, text, None if text == original else original)


def restore_message(db: Database, number: int) -> Message:
    """Give an edited reply the model's own text back; one that was not edited stays as it is."""
    with db.transaction():
        found = message(db, number)
        return found if found.original is None else _set_text(db, number, found.original, None)


def set_thumb(db: Database, number: int, value: int) -> Message:
    """Rate a reply: 1, -1, or 0 for no longer."""
    if value not in (-1, 0, 1):
        raise UsageError(f"A thumb is 1, -1 or 0, not {value}; give one of these.")
    with db.transaction():
        _shown_reply(db, number)
        db.rows("UPDATE messages SET thumb = ? WHERE id = ?", value, number)
        return message(db, number)


def _shown_reply(db: Database, number: int) -> Message:
    found = message(db, number)
    if found.role is not Role.ASSISTANT:
        raise UsageError(f"Message {number} is not a reply; choose a message of the model.")
    if db.row("SELECT 1 FROM messages WHERE id = ? AND replaced_by IS NOT NULL", number):
        raise UsageError(f"Reply {number} was replaced by a newer one; choose that one.")
    return found


def _set_text(db: Database, number: int, text: str, original: str | None) -> Message:
    db.rows("UPDATE messages SET text = ?, original = ? WHERE id = ?", text, original, number)
    if not db.row("SELECT 1 FROM messages WHERE id = ? AND replaced_by IS NOT NULL", number):
        index_message(db, number, text)
    return message(db, number)


def _message(db: Database, row: sqlite3.Row) -> Message:
    return db.record(Message, dict(row))
