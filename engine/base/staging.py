"""How a prepared base comes into being: one at a time, under another name until it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files import storage_errors, sync_folder
from ..paths import Home
from .weights import sync_files

Tell = Callable[[str, float | None], None]
"""Told a stage in words and the fraction done, None where it is not known."""


@contextmanager
def one_at_a_time(home: Home, tell: Tell) -> Iterator[None]:
    """Let one process at a time prepare a base for a profile; the others wait, and say so."""
    from filelock import FileLock, Timeout

    with storage_errors(home.models):
        home.models.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.models / ".prepare.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("Waiting for another Night School that prepares a model", None)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def staged(final: Path, *, resume: bool = False) -> Iterator[Path]:
    """Give a folder beside ``final`` that takes its name if the block succeeds. The caller holds the lock.

    What a killed run left under the temporary name is removed, or with ``resume`` built upon.
    """
    part = final.with_name(f".{final.name}.part")
    with storage_errors(final):
        if part.exists() and not resume:
            shutil.rmtree(part)
        part.mkdir(exist_ok=True)
    yield part
    with storage_errors(final):
        sync_files(part)
        sync_folder(part)
        if final.exists():
            shutil.rmtree(final)
        part.rename(final)
        sync_folder(final.parent)
