"""The tables, as the migrations make them.

Lists and reports inside a row are JSON, checked by the records of ``schemas/records.py`` when they are read. Nothing is
removed but notes, and what a slot leaves that was deleted long ago (``slots.py``): a deleted conversation, a replaced
reply and an undone signal are marked, so that each can be brought back.

``message_words`` holds the searchable wording of each message that is shown (control characters as spaces, because
SQLite's own text functions stop at NUL); ``search.py`` alone writes it.
"""

from __future__ import annotations

FIRST_TABLES: tuple[str, ...] = (
    """
    CREATE TABLE conversations (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        slot TEXT NOT NULL,
        title TEXT NOT NULL,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        deleted REAL
    ) STRICT
    """,
    "CREATE INDEX conversations_by_time ON conversations (updated DESC, id DESC) WHERE deleted IS NULL",
    """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation INTEGER NOT NULL REFERENCES conversations (id),
        role TEXT NOT NULL,
        text TEXT NOT NULL,
        created REAL NOT NULL,
        version INTEGER,
        finish TEXT,
        tokens INTEGER NOT NULL DEFAULT 0,
        original TEXT,
        thumb INTEGER NOT NULL DEFAULT 0,
        replaced_by INTEGER REFERENCES messages (id)
    ) STRICT
    """,
    "CREATE INDEX messages_shown ON messages (conversation, id) WHERE replaced_by IS NULL",
    """
    CREATE TABLE lessons (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        slot TEXT NOT NULL,
        state TEXT NOT NULL,
        rule TEXT NOT NULL,
        steps TEXT NOT NULL,
        "when" TEXT NOT NULL,
        evidence TEXT NOT NULL,
        confidence REAL NOT NULL,
        created REAL NOT NULL,
        version INTEGER,
        reason TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX lessons_by_slot ON lessons (slot, state)",
    """
    CREATE TABLE signals (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation INTEGER NOT NULL REFERENCES conversations (id),
        message INTEGER NOT NULL REFERENCES messages (id),
        kind TEXT NOT NULL,
        text TEXT NOT NULL,
        lesson INTEGER REFERENCES lessons (id),
        undone INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL
    ) STRICT
    """,
    "CREATE INDEX signals_by_conversation ON signals (conversation, id)",
    "CREATE INDEX signals_by_message ON signals (message)",
    "CREATE INDEX signals_by_lesson ON signals (lesson)",
    """
    CREATE TABLE studies (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        slot TEXT NOT NULL,
        state TEXT NOT NULL,
        lessons TEXT NOT NULL,
        started REAL NOT NULL,
        finished REAL,
        version INTEGER,
        report TEXT,
        reason TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX studies_by_state ON studies (state)",
    "CREATE VIRTUAL TABLE message_words USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3')",
)

# Where conversations were imported from; ``digest`` is of what was said when they were (``origins.py``).
ORIGINS: tuple[str, ...] = (
    """
    CREATE TABLE origins (
        conversation INTEGER PRIMARY KEY REFERENCES conversations (id),
        source TEXT NOT NULL,
        source_id TEXT NOT NULL,
        digest BLOB NOT NULL,
        imported REAL NOT NULL
    ) STRICT
    """,
    "CREATE UNIQUE INDEX origins_by_source ON origins (source, source_id)",
    "CREATE INDEX origins_by_digest ON origins (digest)",
    "ALTER TABLE messages ADD COLUMN source_id TEXT",
)

# Where a lesson came from a correction of one reply and was not approved, nobody said that it was meant for more.
REACH_OF_LESSONS: tuple[str, ...] = (
    "ALTER TABLE lessons ADD COLUMN scope TEXT NOT NULL DEFAULT 'slot'",
    "ALTER TABLE lessons ADD COLUMN provenance TEXT NOT NULL DEFAULT 'said'",
    "ALTER TABLE signals ADD COLUMN scope TEXT",
    """
    UPDATE lessons SET provenance = 'edited'
    WHERE id IN (SELECT lesson FROM signals WHERE kind = 'edit' AND undone = 0)
    """,
    """
    UPDATE lessons SET scope = 'reply'
    WHERE state = 'proposed' AND id IN (SELECT lesson FROM signals WHERE kind = 'correction' AND undone = 0)
    """,
)

# The first message of an imported conversation that was not read for lessons yet; NULL: all were.
UNREAD: tuple[str, ...] = ("ALTER TABLE origins ADD COLUMN unread INTEGER REFERENCES messages (id)",)

END_OF_LESSONS: tuple[str, ...] = (
    "ALTER TABLE lessons ADD COLUMN expires REAL",
    "ALTER TABLE lessons ADD COLUMN merged INTEGER REFERENCES lessons (id)",
)

NOTES: tuple[str, ...] = (
    """
    CREATE TABLE notes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        slot TEXT,
        text TEXT NOT NULL,
        created REAL NOT NULL,
        message INTEGER
    ) STRICT
    """,
)

REBUILDS: tuple[str, ...] = ("ALTER TABLE studies ADD COLUMN rebuild INTEGER NOT NULL DEFAULT 0",)

# A slot that was seldom used, and long ago, is listed without looking at every conversation since.
CONVERSATIONS_OF_SLOT: tuple[str, ...] = (
    "CREATE INDEX conversations_of_slot ON conversations (slot, updated DESC, id DESC) WHERE deleted IS NULL",
)

NIGHTS: tuple[str, ...] = (
    """
    CREATE TABLE nights (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        started REAL NOT NULL,
        finished REAL,
        studies TEXT NOT NULL DEFAULT '[]',
        notes TEXT NOT NULL DEFAULT '[]'
    ) STRICT
    """,
)
