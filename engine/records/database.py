"""One SQLite file, opened with care: checked before it is written, migrated with a backup, errors in our own words.

Rules kept here:

- A file that does not read back is reported as ``Damaged`` and not one byte of it is changed.
- What was committed survives SIGKILL and a power cut: write-ahead log, ``synchronous=FULL``. NORMAL would be faster but
  may lose the last commits with the power; a chat writes a few times a minute, so that speed buys nothing.
- One connection, one lock: any thread may call, one at a time.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from ...schemas.errors import Damaged, DiskFull, Locked, NightSchoolError, StorageError, UsageError
from ...schemas.records import Record
from .migrations import MIGRATIONS, Migration, backups, migrate

R = TypeVar("R", bound=Record)

BUSY_SECONDS = 5.0
NEARLY_FULL = 1 << 20


class Database:
    """A connection with transactions; the modules beside this one say what is in the tables."""

    def __init__(self, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        """Open, check and bring up to date the database at ``path``; it is created if it does not exist.

        Raises:
            Damaged: If the file does not read back; it is left as it is.
            Locked: If another process holds it.
            DiskFull: If no space is left.
            StorageError: If it cannot be opened, or comes from a newer Night School.
        """
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        with database_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _check(path)
            path.touch(mode=0o600)  # chats are private; SQLite gives its side files the same mode
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._connection.row_factory = sqlite3.Row
                migrate(self._connection, path, migrations)
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.execute("PRAGMA foreign_keys = ON")
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        with self._lock, database_errors(self.path):
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of the block or nothing of it; durable when the outermost block ends. May be nested."""
        with self._lock, database_errors(self.path):
            name = f"inner{self._depth}"
            outermost = self._depth == 0
            self._connection.execute("BEGIN IMMEDIATE" if outermost else f"SAVEPOINT {name}")
            self._depth += 1
            try:
                yield
                self._connection.execute("COMMIT" if outermost else f"RELEASE {name}")
            except BaseException:
                # SQLite rolls back by itself after some errors (a full disk); then there is nothing left to undo.
                if self._connection.in_transaction:
                    if not outermost:
                        self._connection.execute(f"ROLLBACK TO {name}")
                    self._connection.execute("ROLLBACK" if outermost else f"RELEASE {name}")
                raise
            finally:
                self._depth -= 1

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Run one statement and return all its rows."""
        with self._lock, database_errors(self.path):
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        """Run one statement and return its first row, if there is one."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    def insert(self, table: str, **columns: object) -> int:
        """Add one row and return its number. Table and column names come from the code, never from users."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        with self._lock, database_errors(self.path):
            cursor = self._connection.execute(
                f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 (names are ours)
                tuple(columns.values()),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def record(self, kind: type[R], values: dict[str, Any]) -> R:
        """Return a row's values as a record.

        Raises:
            Damaged: If they are not what the record allows.
        """
        try:
            return kind.model_validate(values)
        except ValidationError as error:
            where = ", ".join(".".join(map(str, found["loc"])) for found in error.errors())
            detail = f"{kind.__name__} {values.get('id', '?')} has an impossible {where}"
            raise damaged(self.path, detail) from error

    def json_of(self, kind: type[Record], values: dict[str, Any], *columns: str) -> dict[str, Any]:
        """Return the JSON columns of a row as values.

        Raises:
            Damaged: If one is not JSON.
        """
        try:
            return {name: None if values[name] is None else json.loads(values[name]) for name in columns}
        except ValueError as error:
            detail = f"{kind.__name__} {values.get('id', '?')} is not stored as JSON"
            raise damaged(self.path, detail) from error


def damaged(path: Path, detail: str) -> Damaged:
    """Return the error for a database that does not read back, with the ways out that exist."""
    saved = backups(path)
    restore = (
        f"copy the backup {saved[-1].name} over it"
        if saved
        else f"save what can be read with: sqlite3 {path.name} .recover > saved.sql"
    )
    return Damaged(
        f"The database {path} is damaged ({detail}) and was left as it is; {restore}, or move it away to start anew; "
        f"move {path.name}-wal and {path.name}-shm away too, which belong to what is there now."
    )


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about ``path`` into ours, each with a way out."""
    try:
        yield
    except NightSchoolError:
        raise
    except UnicodeEncodeError as error:
        raise UsageError("The text holds half a character (a lone surrogate); remove it and try again.") from error
    except OverflowError as error:
        raise UsageError("The number is too large for anything that is stored here; check it.") from error
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) is None:
            raise  # misuse of the module by our own code, e.g. a closed connection
        raise _translated(error, path) from error
    except OSError as error:
        raise StorageError(f"{path} cannot be used: {error.strerror or error}; check the folder.") from error


def _translated(error: sqlite3.Error, path: Path) -> NightSchoolError:
    primary = error.sqlite_errorcode & 0xFF  # extended codes keep the primary one in the low byte
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _nearly_full(path)):
        return DiskFull(f"No space is left for {path}; free some or set NIGHTSCHOOL_HOME to a larger disk.")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Locked(f"The database {path} is in use by another program; close that and try again.")
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, str(error))
    if primary == sqlite3.SQLITE_TOOBIG:
        return UsageError("The text is longer than the database can hold (about 1 GB); shorten it.")
    return StorageError(f"The database {path} cannot be used: {error}; check its permissions and its disk.")


def _nearly_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < NEARLY_FULL
    except OSError:
        return False


def _check(path: Path) -> None:
    """Read the whole file through a connection that cannot write, so that a broken one stays as it was found."""
    if not path.exists() or path.stat().st_size == 0:  # empty: the creating process was killed before its first write
        return
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    finally:
        connection.close()
    if verdict != "ok":
        raise damaged(path, verdict.replace("\n", " "))
