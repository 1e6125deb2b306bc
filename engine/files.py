"""Writing files so that a crash at any moment leaves the old file or the new one, never half of either; one at a time.

Order, as in restic's design notes: write a temporary file in the same folder, flush and fsync it, rename it over the
old name, fsync the folder.
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..schemas.errors import DiskFull, Locked, NightSchoolError, StorageError

LOCK_SECONDS = 10.0
"""How long one waits for another who changes the same files."""
_LEFT_SECONDS = 3600.0


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file as a whole or not at all; its folder must exist.

    Raises:
        DiskFull: If no space is left; the old file is untouched.
        StorageError: If the folder cannot be written.
    """
    with replacing(path) as part:
        part.write_bytes(data.encode() if isinstance(data, str) else data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file beside ``path`` to write; if the block succeeds it takes the place of ``path``, flushed.

    Raises:
        DiskFull: If no space is left; the old file is untouched.
        StorageError: If the folder cannot be written.
    """
    with storage_errors(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        try:
            yield part
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def remove_parts(folder: Path) -> None:
    """Remove what killed writers left in a folder and below; what is younger than an hour may still be written.

    Raises:
        StorageError: If it cannot be removed.
    """
    with storage_errors(folder):
        for part in folder.rglob(".*.part"):
            with suppress(FileNotFoundError):  # another process removes them too
                if time.time() - part.stat().st_mtime > _LEFT_SECONDS:
                    part.unlink()


@contextmanager
def held(lock: Path, busy: str, *, seconds: float | None = None, again: bool = False) -> Iterator[None]:
    """Hold a lock file, which one process at a time can; its folder is made, and the file stays.

    Args:
        lock: The file.
        busy: What is said where another holds it, with a way out.
        seconds: How long to wait; None: ``LOCK_SECONDS``.
        again: Whether who holds it may hold it once more.

    Raises:
        Locked: If another holds it all that time.
        StorageError: If the file cannot be made.
    """
    from filelock import FileLock, Timeout

    with storage_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        # Who removes a lock file may remove the one that another has just made.
        wait = LOCK_SECONDS if seconds is None else seconds
        file = FileLock(lock, timeout=wait, preserve_lock_file=True, is_singleton=again)
        try:
            file.acquire()
        except Timeout as error:
            raise Locked(busy) from error
    try:
        yield
    finally:
        file.release()


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn operating-system errors about ``path`` into ours, each with a way out."""
    try:
        yield
    except NightSchoolError:
        raise
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path) -> StorageError:
    """Return our error for an operating-system error about ``path``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"No space is left for {path}; free some or set NIGHTSCHOOL_HOME to a larger disk.")
    return StorageError(f"{path} cannot be used: {error.strerror or error}; check its permissions and its disk.")
