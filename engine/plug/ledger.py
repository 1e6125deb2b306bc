"""What is kept of plugins in a profile: ``plugins.lock`` with what was decided, ``seen.json`` with what was seen.

Both are written whole, under one lock, by whichever process has something to say; they are read without it. A file that
does not read back trusts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ...schemas.errors import Damaged, NotFound
from ...schemas.plugins import MOST_FAULTS, Decision, PluginFault, PluginsLock, Sighting, Sightings
from ...schemas.records import Record
from ..files import held, storage_errors, write_atomic
from ..paths import Home

R = TypeVar("R", bound=Record)


class Ledger:
    """The two files of one profile."""

    def __init__(self, home: Home) -> None:
        self.folder = home.plugins
        self.lock_file, self.seen_file = self.folder / "plugins.lock", self.folder / "seen.json"

    def decisions(self) -> dict[str, Decision]:
        """Return what was decided, by plugin.

        Raises:
            Damaged: If the file does not read back.
            StorageError: If it cannot be read.
        """
        return self._lock().plugins

    def sightings(self) -> dict[str, Sighting]:
        """Return what was last seen, by plugin; nothing where the file does not read."""
        try:
            return _read(self.seen_file, Sightings).plugins
        except Damaged:
            return {}

    def decide(self, name: str, decision: Decision | None) -> None:
        """Write down what was decided about a plugin; None: forget it.

        Raises:
            Damaged, Locked, StorageError: If it cannot be written.
        """

        def change(lock: PluginsLock) -> PluginsLock:
            kept = {key: value for key, value in lock.plugins.items() if key != name}
            return lock.model_copy(update={"plugins": kept if decision is None else {**kept, name: decision}})

        with self._changing():
            _write(self.lock_file, change(self._lock()))

    def turn(self, name: str, *, on: bool, reason: str = "") -> Decision:
        """Turn a plugin on or off; where it is turned on its strikes are forgotten.

        Raises:
            NotFound: If nothing was ever decided about it.
            Damaged, Locked, StorageError: If it cannot be written.
        """
        with self._changing():
            lock = self._lock()
            if name not in lock.plugins:
                raise NotFound(f"There is no trusted plugin {name}; `nightschool plugins` lists those that there are.")
            decision = lock.plugins[name].model_copy(update={"enabled": on, "reason": "" if on else reason})
            _write(self.lock_file, lock.model_copy(update={"plugins": {**lock.plugins, name: decision}}))
            if on:
                self._see(name, lambda seen: seen.model_copy(update={"strikes": 0, "reason": ""}))
        return decision

    def saw(self, sightings: dict[str, Sighting]) -> None:
        """Write down what was seen of plugins while they were loaded; their strikes and faults stay.

        Raises:
            Locked, StorageError: If it cannot be written.
        """
        with self._changing():
            before = self.sightings()
            now = dict(before)
            for name, seen in sightings.items():
                old = before.get(name)
                if old is not None and old.sha256 == seen.sha256:
                    faults = [*old.faults, *seen.faults][-MOST_FAULTS:]
                    seen = seen.model_copy(update={"faults": faults, "strikes": old.strikes})
                now[name] = seen
            if now != before:
                _write(self.seen_file, Sightings(plugins=now))

    def strike(self, name: str, fault: PluginFault) -> int:
        """Count a fault of a plugin and return how many there are since it was turned on.

        Raises:
            Locked, StorageError: If it cannot be written.
        """
        with self._changing():

            def struck(seen: Sighting) -> Sighting:
                faults = [*seen.faults, fault][-MOST_FAULTS:]
                return seen.model_copy(update={"strikes": seen.strikes + 1, "faults": faults})

            return self._see(name, struck)

    def forget(self, name: str) -> None:
        """Forget a plugin that is gone.

        Raises:
            Damaged, Locked, StorageError: If it cannot be written.
        """
        self.decide(name, None)
        with self._changing():
            left = {key: value for key, value in self.sightings().items() if key != name}
            _write(self.seen_file, Sightings(plugins=left))

    def _see(self, name: str, change: Callable[[Sighting], Sighting]) -> int:
        seen = self.sightings()
        if name not in seen:
            return 0
        seen[name] = change(seen[name])
        _write(self.seen_file, Sightings(plugins=seen))
        return seen[name].strikes

    def _lock(self) -> PluginsLock:
        return _read(self.lock_file, PluginsLock)

    def _changing(self) -> AbstractContextManager[None]:
        return held(self.folder / ".guard", f"Another process holds {self.folder}; try again when it is done.")


def _read(path: Path, kind: type[R]) -> R:
    with storage_errors(path):
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return kind()
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise Damaged(
            f"{path} does not read back, so no plugin is trusted; delete it and trust your plugins again."
        ) from error


def _write(path: Path, record: Record) -> None:
    write_atomic(path, record.model_dump_json(indent=2) + "\n")
