"""Conversations that come from elsewhere and go there, as functions over a ``Database``; ``facade.py`` says more.

A conversation that was imported is known by where it comes from and its name there. One that was had here goes out
under a name made of its number and its time, and is known by it when it comes back.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...schemas.exchange import Transcript, TranscriptSignal, TranscriptTurn
from ...schemas.records import Conversation, Message, Role
from .conversations import LONGEST_TITLE, TITLE_FROM_MESSAGE, clean_line, conversation
from .database import Database
from .lessons import signals
from .search import index_new_message

OWN = "nightschool"

Said = tuple[Role, str]


@dataclass(frozen=True)
class Kept:
    """A conversation of the profile that is the same as one elsewhere."""

    conversation: int
    deleted: bool


@dataclass(frozen=True)
class Unread:
    """An imported conversation of which the messages from ``first`` on were not read for lessons."""

    conversation: int
    first: int


def digest(said: Iterable[Said]) -> bytes:
    """Return what is the same for the same words said by the same sides."""
    whole = hashlib.sha256()
    for role, text in said:
        words = text.encode(errors="replace")
        whole.update(f"{role.value} {len(words)} ".encode() + words)
    return whole.digest()


def words_of(turns: Iterable[TranscriptTurn]) -> list[Said]:
    """Return what was said in the turns that are shown, before anybody edited it."""
    return [(one.role, one.text if one.original is None else one.original) for one in turns if one.replaced_by is None]


def own_name(row: Conversation) -> str:
    """Return the name under which a conversation that was had here goes out."""
    return f"{row.id}@{row.created!r}"


# -- what is there ----------------------------------------------------------------------------------------------------


def find(db: Database, source: str, name: str, said: bytes) -> Kept | None:
    """Return the conversation that has this name there, or else one in which the same was said when it was imported."""
    found = db.row("SELECT conversation FROM origins WHERE source = ? AND source_id = ?", source, name)
    if found is None and source == OWN:
        number, _, created = name.partition("@")
        found = db.row(
            "SELECT id AS conversation FROM conversations WHERE CAST(id AS TEXT) = ? AND created = CAST(? AS REAL)",
            number,
            created,
        )
    if found is None:
        found = db.row("SELECT conversation FROM origins WHERE digest = ?", said)
    return None if found is None else _kept(db, found["conversation"])


def _kept(db: Database, number: int) -> Kept:
    row = db.row("SELECT deleted FROM conversations WHERE id = ?", number)
    assert row is not None
    return Kept(number, row["deleted"] is not None)


def words_in(db: Database, number: int) -> list[Said]:
    """Return what is shown of a conversation, deleted or not, as the two sides said it."""
    found = db.rows(
        "SELECT role, coalesce(original, text) AS text FROM messages WHERE conversation = ? AND replaced_by IS NULL "
        "ORDER BY id",
        number,
    )
    return [(Role(row["role"]), row["text"]) for row in found]


def numbers_of_own(db: Database) -> list[int]:
    """Return the conversations that were had here, deleted ones too."""
    return [
        row["id"]
        for row in db.rows(
            "SELECT id FROM conversations WHERE id NOT IN (SELECT conversation FROM origins) ORDER BY id"
        )
    ]


# -- coming in --------------------------------------------------------------------------------------------------------


def add_transcript(
    db: Database, found: Transcript, *, source: str, name: str, slot: str, lessons: dict[int, int]
) -> Conversation:
    """Store a conversation from elsewhere; ``lessons`` are the numbers here of the lessons its signals name."""
    now = time.time()
    created = found.created or next((one.created for one in found.turns if one.created), None) or now
    updated = max(found.updated or 0.0, created, *(one.created or 0.0 for one in found.turns))
    title = clean_line(found.title, LONGEST_TITLE) or clean_line(found.turns[0].text, TITLE_FROM_MESSAGE)
    with db.transaction():
        number = db.insert("conversations", slot=slot, title=title, created=created, updated=updated)
        said = digest(words_of(found.turns))
        db.insert("origins", conversation=number, source=source, source_id=name, digest=said, imported=now)
        places = _add_turns(db, number, found.turns, created)
        _note_unread(db, number, places)
        for one in found.signals:
            db.insert(
                "signals",
                conversation=number,
                message=places[one.turn],
                kind=one.kind.value,
                text=one.text,
                lesson=None if one.lesson is None else lessons.get(one.lesson),
                undone=int(one.undone),
                created=one.created,
            )
        return conversation(db, number)


def append_turns(db: Database, number: int, turns: list[TranscriptTurn], whole: bytes) -> Conversation:
    """Add the turns by which an imported conversation has grown; ``whole`` is the digest of all that is said now."""
    with db.transaction():
        row = conversation(db, number)
        _note_unread(db, number, _add_turns(db, number, turns, row.updated))
        updated = max(row.updated, *(one.created or 0.0 for one in turns))
        db.rows("UPDATE conversations SET updated = ? WHERE id = ?", updated, number)
        db.rows("UPDATE origins SET digest = ? WHERE conversation = ?", whole, number)
        return conversation(db, number)


def _add_turns(db: Database, number: int, turns: list[TranscriptTurn], since: float) -> list[int]:
    """Store turns and return their numbers; one without a time has that of the one before."""
    places: list[int] = []
    for one in turns:
        since = since if one.created is None else one.created
        places.append(
            db.insert(
                "messages",
                conversation=number,
                role=one.role.value,
                text=one.text,
                created=since,
                version=one.version,
                finish=one.finish.value if one.finish else None,
                tokens=one.tokens,
                original=one.original,
                thumb=one.thumb,
                source_id=one.id or None,
            )
        )
        if one.replaced_by is None:
            index_new_message(db, places[-1], one.text)
    for place, one in zip(places, turns, strict=True):
        if one.replaced_by is not None:
            db.rows("UPDATE messages SET replaced_by = ? WHERE id = ?", places[one.replaced_by], place)
    return places


def _note_unread(db: Database, number: int, places: list[int]) -> None:
    if places:
        db.rows("UPDATE origins SET unread = coalesce(unread, ?) WHERE conversation = ?", places[0], number)


def unread(db: Database, number: int | None) -> list[Unread]:
    """Return what was not read for lessons, by when it was said."""
    found = db.rows(
        "SELECT o.conversation, o.unread AS first FROM origins o JOIN conversations c ON c.id = o.conversation "
        "WHERE o.unread IS NOT NULL AND c.deleted IS NULL AND (? IS NULL OR c.id = ?) ORDER BY c.updated, c.id",
        number,
        number,
    )
    return [Unread(**dict(row)) for row in found]


def note_read(db: Database, number: int) -> None:
    """Note that a conversation was read to its end."""
    with db.transaction():
        db.rows("UPDATE origins SET unread = NULL WHERE conversation = ?", number)


# -- going out --------------------------------------------------------------------------------------------------------


def transcript(db: Database, number: int) -> Transcript:
    """Return a conversation with all that is kept of it, replaced replies and signals too."""
    row = conversation(db, number)
    origin = db.row("SELECT source, source_id FROM origins WHERE conversation = ?", number)
    found = db.rows(
        "SELECT id, conversation, role, text, created, version, finish, tokens, original, thumb, replaced_by, "
        "source_id FROM messages WHERE conversation = ? ORDER BY id",
        number,
    )
    places = {message["id"]: place for place, message in enumerate(found)}
    turns = []
    for kept in found:
        values = dict(kept)
        name, replaced = values.pop("source_id"), values.pop("replaced_by")
        message = db.record(Message, values)
        turns.append(
            TranscriptTurn(
                id=name or "",
                replaced_by=None if replaced is None else places[replaced],
                **{
                    field: getattr(message, field)
                    for field in TranscriptTurn.model_fields.keys() & values.keys() - {"id"}
                },
            )
        )
    return Transcript(
        id=own_name(row) if origin is None else origin["source_id"],
        source=OWN if origin is None else origin["source"],
        title=row.title,
        slot=row.slot,
        created=row.created,
        updated=row.updated,
        turns=turns,
        signals=list(_signals(db, number, places)),
    )


def _signals(db: Database, number: int, places: dict[int, int]) -> Iterator[TranscriptSignal]:
    for one in signals(db, number):
        yield TranscriptSignal(
            turn=places[one.message],
            kind=one.kind,
            text=one.text,
            lesson=one.lesson,
            undone=one.undone,
            created=one.created,
        )
