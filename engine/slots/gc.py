"""Files of the store that nothing needs: what killed writers left, and old generations where a limit was set.

Which generations stay, whatever the limit: the current one, what answers with other bases, what a rollback goes back
to, what is pinned, and all of a slot that was deleted, until its time is over. A generation whose files go keeps its
``version.json``: its report, its lessons and its place in the line stay readable, and no number is given twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...schemas.errors import Damaged, UsageError
from ...schemas.records import Garbage, Version
from ..files import storage_errors
from . import generations
from .bases import answering
from .line import before
from .store import SlotStore


def pin(store: SlotStore, name: str, number: int, *, pinned: bool) -> Version:
    """Keep the files of a generation whatever the limit, or no longer; one that is so already stays as it is.

    Raises:
        NotFound: If the slot or the generation does not exist, or its files are gone.
        UsageError: If it has no files of its own.
    """
    store.slot(name)
    version = store.version(name, number)
    if pinned:
        if version.adapter_sha256 is None:
            raise UsageError(f"Generation {number} of slot {name} is the plain base, which is never removed.")
        store.adapter_folder(name, number)
    store.revise(name, pinned=sorted({*store.settings(name).pinned} - {number} | ({number} if pinned else set())))
    return store.version(name, number)


def collect(store: SlotStore, keep: int | None, *, dry_run: bool) -> list[Garbage]:
    """Remove what nothing needs and return it, with the bytes that came free, or would in a ``dry_run``.

    Args:
        store: Of the profile.
        keep: So many of the newest generations with an adapter stay in each slot; None: all of them do.
        dry_run: Whether everything stays.

    Raises:
        UsageError: If ``keep`` is less than 1.
        StorageError: If files cannot be removed; those before them are.
        Locked: If a slot is being written.
    """
    if keep is not None and keep < 1:
        raise UsageError(f"At least one generation stays in each slot, not {keep}; give 1 or more.")
    found = list(_leftovers(store))
    for slot in store.list():
        found += _generations(store, slot.name, keep)
    garbage = [row for row, _ in _with_bytes(found)]
    if dry_run:
        return garbage
    with store.all_locked():  # which removes the leftovers beside the slots
        for row, _ in found:
            if row.number is not None and row.slot is not None:
                with store.locked(row.slot), storage_errors(store.folder):
                    generations.remove_files(_folder(store, row.slot, row.number))
        for slot in store.list(deleted=True):
            with store.locked(slot.name), storage_errors(store.folder):
                generations.remove_leftovers(store.folder / slot.name / "versions")
    return garbage


def needed(store: SlotStore, name: str, keep: int | None) -> set[int]:
    """Return the generations of a slot whose files stay.

    Raises:
        Damaged: If the slot does not say what is in effect.
    """
    versions = {version.number: version for version in store.versions(name)}
    numbers = [number for number, version in versions.items() if version.adapter_sha256 is not None]
    if keep is None:
        return set(numbers)
    newest = sorted(numbers, reverse=True)[:keep]
    back = _way_back(versions, store.current(name).number)
    return {*newest, *store.settings(name).pinned, *back, *answering(versions.values())}


def _way_back(versions: dict[int, Version], current: int) -> Iterator[int]:
    """Give the generation in effect, the one it was made from, and what each of them restores."""

    def restored(number: int) -> Iterator[int]:
        yield number
        while (following := versions[number].restores) is not None:
            number = following
            yield number

    *_, effective = here = list(restored(current))
    yield from here
    for start in {versions[current].parent, versions[effective].parent} - {None}:
        assert start is not None
        yield from restored(start)
    if (found := before(versions[effective], versions.__getitem__)) is not None:  # on the same base
        yield found.number


def _generations(store: SlotStore, name: str, keep: int | None) -> Iterator[tuple[Garbage, list[Path]]]:
    try:
        stay = needed(store, name, keep)
        versions = store.versions(name)
    except (Damaged, KeyError):  # what is not understood is not touched; `slots check` says what is wrong
        return
    for version in versions:
        if version.number and version.adapter_sha256 is not None and version.number not in stay:
            files = generations.adapter_files(_folder(store, name, version.number))
            if files or not version.removed:
                text = f"The files of generation {version.number} of slot {name}"
                yield Garbage(slot=name, number=version.number, text=text), files


def _leftovers(store: SlotStore) -> Iterator[tuple[Garbage, list[Path]]]:
    """Give what killed writers left in the store."""
    with storage_errors(store.folder):
        slots = [store.folder / slot.name for slot in store.list(deleted=True)]
        for folder in (store.folder, *slots, *(slot / "versions" for slot in slots)):
            for left in generations.leftovers(folder):
                files = [file for file in (left, *left.rglob("*")) if file.is_file()]
                yield Garbage(text=f"{left.relative_to(store.folder)}, which was never finished"), files


def _with_bytes(found: Iterable[tuple[Garbage, list[Path]]]) -> Iterator[tuple[Garbage, list[Path]]]:
    """Fill in the bytes: those of a content that several names share come free with the last of them."""
    gone: Counter[tuple[int, int]] = Counter()
    for row, files in found:
        size = 0
        for file in files:
            entry = file.lstat()
            gone[entry.st_dev, entry.st_ino] += 1
            size += entry.st_size if gone[entry.st_dev, entry.st_ino] == entry.st_nlink else 0
        yield row.model_copy(update={"bytes": size}), files


def _folder(store: SlotStore, name: str, number: int) -> Path:
    return store.folder / name / "versions" / generations.folder_name(number)
