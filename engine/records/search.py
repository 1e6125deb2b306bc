"""Full-text search over what is shown: prefixes of words, all of which must occur in a message, the latest first.

What the user types is never read as query syntax: each word is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from ...schemas.errors import UsageError
from ...schemas.records import SearchHit
from .database import Database

MARK_OPEN = "\ue000"
MARK_CLOSE = "\ue001"
MOST_WORDS = 64
EXCERPT_TOKENS = 24
EXCERPT_CHARACTERS = 300

# C0 and C1 controls, and the private-use characters that stand for our own marks.
_UNSEARCHABLE = re.compile("[\x00-\x1f\x7f-\x9f\ue000\ue001]+")

# Scripts that put no spaces between words: each character is a word there, and a run of them a phrase.
_UNSPACED = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f])")
_SEAM = "\u200b"  # zero-width space


def search(
    db: Database, query: str, *, limit: int = 50, slot: str | None = None, without: Collection[str] = ()
) -> list[SearchHit]:
    """Return messages of undeleted conversations in which every word of ``query`` begins a word.

    Raises:
        UsageError: If the query has more than ``MOST_WORDS`` words.
    """
    expression = match_expression(query)
    if not expression:
        return []
    others = ", ".join("?" * len(without))
    found = db.rows(
        f"""
        SELECT c.id AS conversation, m.id AS message, c.title, c.slot, m.role,
               snippet(message_words, 0, char(0xE000), char(0xE001), '…', ?) AS excerpt
        FROM message_words JOIN messages m ON m.id = message_words.rowid JOIN conversations c ON c.id = m.conversation
        WHERE message_words MATCH ? AND c.deleted IS NULL AND (? IS NULL OR c.slot = ?)
              AND c.slot NOT IN ({others})
        ORDER BY message_words.rowid DESC LIMIT ?
        """,  # noqa: S608 (marks alone)
        EXCERPT_TOKENS,
        expression,
        slot,
        slot,
        *without,
        limit,
    )
    return [
        db.record(SearchHit, {**dict(row), "excerpt": _shortened(row["excerpt"].replace(_SEAM, ""))}) for row in found
    ]


def match_expression(query: str) -> str:
    """Return the FTS5 expression for what a user typed; empty if there is no letter or digit in it."""
    words = [word for word in searchable(query).split() if any(map(str.isalnum, word))]
    if len(words) > MOST_WORDS:
        raise UsageError(f"A search takes at most {MOST_WORDS} words, this one has {len(words)}; shorten it.")
    return " ".join('"' + word.replace('"', '""') + '"*' for word in words)


def searchable(text: str) -> str:
    """Return a text as it is indexed: with seams between its words, without what SQLite or our marks trip over."""
    return _UNSPACED.sub(rf"{_SEAM}\1{_SEAM}", _UNSEARCHABLE.sub(" ", text))


def index_message(db: Database, message: int, text: str) -> None:
    """Make the wording of a message findable, in place of what was indexed for it before."""
    forget_message(db, message)
    index_new_message(db, message, text)


def index_new_message(db: Database, message: int, text: str) -> None:
    """Make the wording of a message findable that never was in the index."""
    db.insert("message_words", rowid=message, text=searchable(text))


def forget_message(db: Database, message: int) -> None:
    """Take a message out of the index."""
    db.rows("DELETE FROM message_words WHERE rowid = ?", message)


def _shortened(excerpt: str) -> str:
    """Cut an excerpt of very long words to what fits a screen, keeping the first match and whole pairs of marks."""
    if len(excerpt) <= EXCERPT_CHARACTERS:
        return excerpt
    first = max(excerpt.find(MARK_OPEN), 0)
    start = max(0, first - EXCERPT_CHARACTERS // 4)
    cut = excerpt[start : start + EXCERPT_CHARACTERS]
    if cut.count(MARK_OPEN) > cut.count(MARK_CLOSE):
        cut += MARK_CLOSE
    return ("…" if start else "") + cut + "…"
