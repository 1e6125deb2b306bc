"""How often each generation of a slot was corrected, as functions over a ``Database``."""

from __future__ import annotations

from ...schemas.records import GenerationUse, Role, SignalKind
from .database import Database

_USE = """
    SELECT messages.version AS version, count(*) AS replies, count(corrected.reply) AS corrected
    FROM messages
    JOIN conversations ON conversations.id = messages.conversation
    LEFT JOIN (
        SELECT message AS reply FROM signals WHERE undone = 0 AND kind IN (?, ?, ?)
        UNION
        SELECT (
            SELECT max(before.id) FROM messages AS before
            WHERE before.conversation = signals.conversation AND before.id < signals.message AND before.role = ?
        ) FROM signals WHERE undone = 0 AND kind IN (?, ?)
    ) AS corrected ON corrected.reply = messages.id
    LEFT JOIN origins ON origins.conversation = messages.conversation
    WHERE conversations.slot = ? AND messages.role = ? AND messages.version IS NOT NULL
        AND (origins.imported IS NULL OR messages.created > origins.imported)
    GROUP BY messages.version ORDER BY messages.version
"""
"""What was said before its conversation came here was said by generations of another profile."""
_ON_REPLY = (SignalKind.EDIT, SignalKind.REGENERATE, SignalKind.THUMB_DOWN)
_IN_WORDS = (SignalKind.CORRECTION, SignalKind.CORRECT_BARE)
"""Made not on the reply itself but on what the user says next."""


def use(db: Database, slot: str) -> list[GenerationUse]:
    """Return for each generation that answered how many replies it gave, and how many of them were corrected."""
    assistant = Role.ASSISTANT.value
    on_reply, in_words = ([kind.value for kind in kinds] for kinds in (_ON_REPLY, _IN_WORDS))
    rows = db.rows(_USE, *on_reply, assistant, *in_words, slot, assistant)
    return [db.record(GenerationUse, dict(row)) for row in rows]
