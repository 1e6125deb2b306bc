"""Bringing a database to the format of this code: forward only, one transaction each, a backup before the first.

``PRAGMA user_version`` is the number of the last migration applied. To change the tables, append a migration; never
change one that was released.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import StorageError
from ..files import sync_folder
from .schema import (
    CONVERSATIONS_OF_SLOT,
    END_OF_LESSONS,
    FIRST_TABLES,
    NIGHTS,
    NOTES,
    ORIGINS,
    REACH_OF_LESSONS,
    REBUILDS,
    UNREAD,
)

APPLICATION_ID = 0x4E534348  # "NSCH" in the header of the file: this database is ours


@dataclass(frozen=True)
class Migration:
    """One step forward: what it does, in words, and its statements."""

    title: str
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration("The first tables", FIRST_TABLES),
    Migration("The conversations of a slot by time", CONVERSATIONS_OF_SLOT),
    Migration("The nights", NIGHTS),
    Migration("Where conversations were imported from", ORIGINS),
    Migration("How far a lesson reaches, and whose evidence it rests on", REACH_OF_LESSONS),
    Migration("Which imported conversations were not read for lessons", UNREAD),
    Migration("When a lesson ends to count, and which one counts in its place", END_OF_LESSONS),
    Migration("Which studies trained a slot anew", REBUILDS),
    Migration("What is known of the user", NOTES),
)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Apply what is missing. ``connection`` is in autocommit mode.

    Raises:
        StorageError: If the database is newer than this code, or not one of Night School.
    """
    found = _format_of(connection, path)
    if found > len(migrations):
        raise StorageError(
            f"The database {path} was written by a newer Night School (format {found}, this one knows "
            f"{len(migrations)}); install the newer one, or set NIGHTSCHOOL_HOME to another folder."
        )
    if 0 < found < len(migrations):
        _back_up(connection, backup_path(path, found))
    for number in range(found + 1, len(migrations) + 1):
        _apply(connection, number, migrations[number - 1])


def backup_path(path: Path, version: int) -> Path:
    """Return where the copy of format ``version`` is kept."""
    return path.with_name(f"{path.name}.format{version}.bak")


def backups(path: Path) -> list[Path]:
    """Return the backups of a database, the oldest first."""
    return sorted(path.parent.glob(f"{path.name}.format*.bak"), key=lambda found: found.stat().st_mtime)


def _format_of(connection: sqlite3.Connection, path: Path) -> int:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID and (tables or number):
        raise StorageError(
            f"{path} is a database, but not one of Night School; move it away, or set NIGHTSCHOOL_HOME elsewhere."
        )
    return int(number)


def _apply(connection: sqlite3.Connection, number: int, migration: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in migration.statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(part)) as copy:
            connection.backup(copy)
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
