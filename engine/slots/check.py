"""A look at every file of a store: each is hashed again, what is damaged is named, or repaired from a whole twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import Damaged
from ...schemas.records import StoreCheck, StoreFinding
from ..files import replacing, storage_errors
from . import generations
from .generations import FileFacts
from .store import SlotStore


@dataclass(frozen=True)
class _File:
    """A file of a generation, and what it must be."""

    slot: str
    number: int
    path: Path
    facts: FileFacts

    @property
    def what(self) -> str:
        return f"{self.path.name} of generation {self.number} of slot {self.slot}"


def check_store(store: SlotStore, tell: Callable[[float], None] = lambda share: None) -> StoreCheck:
    """Hash every adapter of every generation; put a whole file of the same content, if there is one, for what differs.

    Args:
        store: Of the profile.
        tell: Called with the share of the files that was looked at.

    Raises:
        StorageError: If files cannot be read, or a repair cannot be written.
        Locked: If a slot that needs repair is being written.
    """
    findings = [
        StoreFinding(slot=name, number=None, repaired=False, text=text) for name, text in store.damaged().items()
    ]
    files: list[_File] = []
    for slot in store.list(deleted=True):
        files += _files(store, slot.name, findings)
        findings += _pointer(store, slot.name)
    whole: dict[str, Path] = {}
    wrong: list[_File] = []
    size = 0
    for place, file in enumerate(files):
        tell(place / len(files))
        if _is_whole(file):
            whole.setdefault(file.facts.sha256, file.path)
            size += file.facts.bytes
        else:
            wrong.append(file)
    findings += [_repaired(store, file, whole.get(file.facts.sha256)) for file in wrong]
    return StoreCheck(files=len(files), bytes=size, findings=findings)


def _files(store: SlotStore, slot: str, findings: list[StoreFinding]) -> Iterator[_File]:
    """Give the files of a slot's generations; those that cannot even say what they hold become findings."""
    folder = store.folder / slot / "versions"
    for number in generations.numbers(folder):
        home = folder / generations.folder_name(number)
        if (home / generations.REMOVED).exists():
            continue
        try:
            facts = generations.facts(home)
        except Damaged as error:
            findings.append(StoreFinding(slot=slot, number=number, repaired=False, text=str(error)))
            continue
        for name, expected in facts.files.items():
            yield _File(slot, number, home / name, expected)


def _pointer(store: SlotStore, slot: str) -> list[StoreFinding]:
    """Return what is wrong with the generation that a slot points at."""
    try:
        store.current(slot)
    except Damaged as error:
        return [StoreFinding(slot=slot, number=None, repaired=False, text=str(error))]
    return []


def _is_whole(file: _File) -> bool:
    with storage_errors(file.path):
        if not file.path.is_file() or file.path.stat().st_size != file.facts.bytes:
            return False
        return generations.file_hash(file.path) == file.facts.sha256


def _repaired(store: SlotStore, file: _File, twin: Path | None) -> StoreFinding:
    """Put a whole twin's bytes in the place of a damaged file; say what was done."""
    if twin is None:
        text = f"{file.what} is damaged, and no copy of it is here; restore it from a backup, or roll the slot back."
        return StoreFinding(slot=file.slot, number=file.number, repaired=False, text=text)
    with store.locked(file.slot), replacing(file.path) as part:
        part.write_bytes(twin.read_bytes())
        part.chmod(0o444)
    return StoreFinding(
        slot=file.slot, number=file.number, repaired=True, text=f"{file.what} was damaged; a copy of it took its place."
    )
