"""A slot put out of sight, deleted and brought back, given another name, and removed for good.

What is deleted stays as it lies, marked in ``slot.json``, for ``KEPT_DAYS``. What touches the database as well goes in
steps that can be done twice, and a mark in the store says until the last of them that they are under way:

    another name      ``formerly`` is written, the folder renamed, the database told, ``formerly`` taken out
    for good          the folder renamed to ``.gone-<name>``, the database told, the folder removed

A process killed between two steps leaves the mark; ``unfinished_moves`` and ``gone`` find it at the next start.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from ...schemas.errors import NotFound, UsageError
from ...schemas.records import Slot
from ..files import storage_errors, sync_folder
from .store import GONE, SlotStore

KEPT_DAYS = 30
KEPT_SECONDS = KEPT_DAYS * 86400.0


def set_archived(store: SlotStore, name: str, *, archived: bool) -> Slot:
    """Put a slot out of sight, or back; one that is so already stays as it is.

    Raises:
        NotFound: If there is no slot of this name.
        UsageError: If no other slot would be left to use.
    """
    slot = store.slot(name)
    if archived is (slot.archived is not None):
        return slot
    with store.all_locked():
        if archived:
            _leave_one(store, name, "archived")
        store.revise(name, archived=time.time() if archived else None)
    return store.slot(name)


def delete(store: SlotStore, name: str) -> Slot:
    """Mark a slot as deleted; one that is deleted already stays so, since when it was.

    Raises:
        NotFound: If there is no slot of this name.
        UsageError: If no other slot would be left to use, or others speak with it.
    """
    slot = store.any_slot(name)
    if slot.deleted is not None:
        return slot
    with store.all_locked():
        _leave_one(store, name, "deleted")
        others = [other.name for other in store.list() if name in other.blend and other.name != name]
        if others:
            raise UsageError(
                f"{', '.join(others)} speaks with {name}; let it speak alone first: "
                f'`nightschool slots set {others[0]} --blend ""`.'
            )
        store.revise(name, deleted=time.time())
    return store.any_slot(name)


def undelete(store: SlotStore, name: str) -> Slot:
    """Bring a deleted slot back as it was; where a slot that it spoke with is gone, it speaks alone.

    Raises:
        NotFound: If there is no slot of this name, deleted or not.
    """
    slot = store.any_slot(name)
    if slot.deleted is None:
        return slot
    here = {other.name for other in store.list()} | {name}
    store.revise(name, deleted=None, blend=slot.blend if here.issuperset(slot.blend) else {})
    return store.slot(name)


def expired(store: SlotStore, now: float) -> list[str]:
    """Return the deleted slots whose time to come back is over."""
    return [
        slot.name
        for slot in store.list(deleted=True)
        if slot.deleted is not None and slot.deleted + KEPT_SECONDS <= now
    ]


# -- another name -----------------------------------------------------------------------------------------------------


def begin_move(store: SlotStore, old: str, new: str) -> None:
    """Give a slot's folder another name; ``finish_move`` must follow once the database knows.

    Raises:
        NotFound: If there is no slot ``old``.
        UsageError: If the new name is taken, or is none.
        StorageError: If it cannot be written; the slot has its old name then.
    """
    store.slot(old)
    with store.all_locked():
        store.check_free(new)
        store.revise(old, formerly=old)
        with storage_errors(store.folder):
            (store.folder / old).rename(store.folder / new)
            sync_folder(store.folder)


def finish_move(store: SlotStore, name: str) -> None:
    """Let the slots that speak with a renamed one know it, then end the move; may be done again.

    Raises:
        StorageError: If it cannot be written; the mark stays, and the next start goes on.
    """
    old = store.settings(name).formerly
    for other in store.list(deleted=True) if old not in (None, name) else ():
        if old in other.blend:
            store.revise(other.name, blend={name if key == old else key: weight for key, weight in other.blend.items()})
    store.revise(name, formerly=None)


def undo_move(store: SlotStore, name: str) -> None:
    """Give a folder its old name back, where the database could not be told.

    Raises:
        StorageError: If it cannot be written; the next start tells the database then.
    """
    old = store.settings(name).formerly
    if old is None:
        return
    with store.all_locked(), storage_errors(store.folder):
        if old != name:
            (store.folder / name).rename(store.folder / old)
            sync_folder(store.folder)
        store.revise(old, formerly=None)


def unfinished_moves(store: SlotStore) -> dict[str, str]:
    """Return the new names, by the old ones, of slots that were being renamed; equal where nothing was moved yet."""
    found = {slot.name: store.settings(slot.name).formerly for slot in store.list(deleted=True)}
    return {old: name for name, old in found.items() if old is not None}


# -- for good ---------------------------------------------------------------------------------------------------------


def begin_removal(store: SlotStore, name: str) -> None:
    """Take a deleted slot out of the store; ``finish_removal`` must follow once the database has forgotten it.

    Raises:
        NotFound: If no deleted slot has this name.
        StorageError: If it cannot be written; the slot is still there then.
    """
    if store.any_slot(name).deleted is None:
        raise NotFound(f"Slot {name} is not deleted; delete it first: `nightschool slots delete {name}`.")
    with store.all_locked(), storage_errors(store.folder):
        (store.folder / name).rename(gone_folder(store, name))
        sync_folder(store.folder)


def finish_removal(store: SlotStore, name: str) -> int:
    """Remove the files of a slot that was taken out; return the bytes that came free.

    Raises:
        StorageError: If they cannot be removed; the next start goes on.
    """
    folder = gone_folder(store, name)
    with storage_errors(folder):
        freed = size(folder)
        shutil.rmtree(folder)
        sync_folder(store.folder)
    return freed


def gone(store: SlotStore) -> list[str]:
    """Return the slots that were taken out and whose files are still there."""
    with storage_errors(store.folder):
        return sorted(entry.name.removeprefix(GONE) for entry in store.folder.glob(f"{GONE}*"))


def gone_folder(store: SlotStore, name: str) -> Path:
    """Return where the files of a slot lie that was taken out."""
    return store.folder / f"{GONE}{name}"


def size(folder: Path) -> int:
    """Return the bytes of the files in a folder; those that share a content count once."""
    entries = (file.lstat() for file in folder.rglob("*") if file.is_file())
    return sum({(entry.st_dev, entry.st_ino): entry.st_size for entry in entries}.values())


def _leave_one(store: SlotStore, name: str, what: str) -> None:
    """Refuse to take the last slot that is in use out of use."""
    if all(other.name == name or other.archived is not None for other in store.list()):
        raise UsageError(f"{name} is the last slot in use and cannot be {what}; make or unarchive another one first.")
