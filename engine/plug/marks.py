"""What a process is doing with a plugin, in a file that outlives it: who ended while a stranger's code ran is known.

Each process has one small file, mapped into its memory, so that a mark costs nothing and needs no time to be written
when the process is killed. It is empty but for the moments in which a plugin is loaded or called.
"""

from __future__ import annotations

import json
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import psutil

from ..files import storage_errors

_BYTES = 1024
LOADING = "loading"


@dataclass(frozen=True)
class Mark:
    """What was going on: with which plugin, at what (``loading``, or a hook and a method), and what is wrong."""

    plugin: str
    at: str
    wrong: str = ""


class Marker:
    """The file of this process; of several things that go on in several threads it holds the latest."""

    def __init__(self, file: Path, room: mmap.mmap) -> None:
        self._file, self._room = file, room
        self._active: dict[object, Mark] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Make the file of this process.

        Raises:
            StorageError: If it cannot be made.
        """
        file = _file_of(folder, os.getpid())
        with storage_errors(file):
            folder.mkdir(parents=True, exist_ok=True)
            with file.open("w+b") as stream:
                stream.truncate(_BYTES)
                return cls(file, mmap.mmap(stream.fileno(), _BYTES))

    @contextmanager
    def doing(self, mark: Mark) -> Iterator[None]:
        """Say that something goes on while the block does."""
        token = object()
        with self._lock:
            self._active[token] = mark
            self._write(mark)
        try:
            yield
        finally:
            with self._lock:
                del self._active[token]
                self._write(next(reversed(self._active.values()), None))

    def end_with(self, mark: Mark) -> None:
        """Say what the process ends at; whoever calls this ends it."""
        self._write(mark)

    def close(self) -> None:
        """Remove the file."""
        with self._lock:
            self._room.close()
            self._file.unlink(missing_ok=True)

    def _write(self, mark: Mark | None) -> None:
        text = b"" if mark is None else json.dumps(asdict(mark)).encode()[: _BYTES - 1]
        if not self._room.closed:  # a call that was left behind may end after that
            self._room[:] = text.ljust(_BYTES, b"\0")


def left_behind(folder: Path) -> list[Mark]:
    """Return what processes that are gone were doing when they ended, and remove their files."""
    left = []
    for file in sorted(folder.glob("doing-*")):
        try:
            pid, began = file.name.removeprefix("doing-").split("-")
            gone = not _alive(int(pid), int(began))
        except ValueError:
            gone = True
        if gone:
            mark = _taken(file)
            left += [mark] if mark is not None else []
    return left


def take(folder: Path, pid: int) -> Mark | None:
    """Return what a process that has ended was doing, and remove its file; None: nothing with plugins."""
    files = sorted(folder.glob(f"doing-{pid}-*"))
    return _taken(files[-1]) if files else None


def _taken(file: Path) -> Mark | None:
    try:
        mark = _parsed(file.read_bytes())
        file.unlink(missing_ok=True)
    except OSError:
        return None
    return mark


def _parsed(data: bytes) -> Mark | None:
    try:
        fields = json.loads(data.rstrip(b"\0"))
        return Mark(str(fields["plugin"]), str(fields["at"]), str(fields["wrong"]))
    except (ValueError, KeyError, TypeError):
        return None


def _file_of(folder: Path, pid: int) -> Path:
    return folder / f"doing-{pid}-{int(psutil.Process(pid).create_time())}"


def _alive(pid: int, began: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(int(process.create_time()) - began) <= 1
    except psutil.Error:
        return False
