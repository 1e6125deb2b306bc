"""Every step of every change of a slot's life is killed, or fails: the slot is as it was or as it shall be."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from nightschool.engine.host.slot_life_service import _move, tidy_slots
from nightschool.engine.paths import Home
from nightschool.engine.records import Records
from nightschool.engine.slots import lifecycle
from nightschool.engine.slots.check import check_store
from nightschool.engine.slots.gc import collect, pin
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.errors import NotFound

from .faults import failed_at, killed_at

LONG_AGO = 1_000_000.0


class Profile:
    """A store and the database beside it, opened anew for each thing that is done; the database where it is needed."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)

    def __enter__(self) -> Profile:
        self.store = SlotStore(self.home.slots)
        return self

    def __exit__(self, *_: object) -> None:
        if "records" in self.__dict__:
            self.records.close()
            del self.records

    @cached_property
    def records(self) -> Records:
        return Records(self.home.database)

    def broadcast(self, event: object) -> None:
        """Nobody listens."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power is cut here, so nothing need be flushed; that it would be is counted all the same."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def study(store: SlotStore, folder: Path, name: str, content: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_text(content)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8}))
    store.add_version(name, folder, base="f" * 64, lessons=[1])


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """Science with four generations, one of them a rollback; art, which speaks with it; and a deleted one."""
    made = Profile(tmp_path / "profile")
    with made as rooms:
        for name in ("science", "art", "gone", "old"):
            rooms.store.create(name)
            rooms.records.create_conversation(name, f"About {name}")
        for content in ("a", "bb", "ccc"):
            study(rooms.store, tmp_path / "candidate", "science", content)
        rooms.store.rollback("science", 2)
        study(rooms.store, tmp_path / "candidate", "science", "dddd")
        study(rooms.store, tmp_path / "candidate", "old", "e")
        rooms.store.update("art", blend={"science": 1.0})
        lifecycle.delete(rooms.store, "gone")
        lifecycle.set_archived(rooms.store, "old", archived=True)
    return made


def expire(rooms: Any) -> None:
    """Let the time of the deleted slot be over, and remove it."""
    rooms.store.any_slot("gone")
    rooms.store.revise("gone", deleted=LONG_AGO)
    tidy_slots(rooms)


def expire_again(rooms: Any) -> None:
    with suppress(NotFound):
        expire(rooms)
    tidy_slots(rooms)


CHANGES: dict[str, Callable[[Any], object]] = {
    "archive": lambda rooms: lifecycle.set_archived(rooms.store, "science", archived=True),
    "delete": lambda rooms: lifecycle.delete(rooms.store, "art"),
    "undelete": lambda rooms: lifecycle.undelete(rooms.store, "gone"),
    "rename": lambda rooms: _move(rooms, "science", "physics"),
    "remove": expire,
    "pin": lambda rooms: pin(rooms.store, "science", 1, pinned=True),
    "first": lambda rooms: rooms.store.ensure_defaults(),
}


TOLD = frozenset({"rename", "remove"})
"""What the database is told of."""


def seen(rooms: Any, *, talks: bool) -> dict[str, Any]:
    """Return all that is known of a profile, but times; ``talks``: what the database knows too."""
    found: dict[str, Any] = {}
    for slot in rooms.store.list(deleted=True):
        settings = rooms.store.settings(slot.name).model_dump(exclude={"created"})
        settings |= {"archived": slot.archived is not None, "deleted": slot.deleted is not None}
        lines = []
        for version in rooms.store.versions(slot.name):
            folder = None if version.removed else rooms.store.adapter_folder(slot.name, version.number)
            content = None if folder is None else (folder / "adapter_model.safetensors").read_text()
            lines.append((version.number, version.current, version.removed, version.pinned, content))
        found[slot.name] = (settings, lines)
    if talks:
        found[""] = sorted((row.slot, row.title) for row in rooms.records.list_conversations())
    return found


def faults(profile: Profile, tmp_path: Path, change: Callable[[Any], object]) -> Iterator[Profile]:
    """Give a profile after every fault that a change can meet."""

    def act(victim: Profile) -> None:
        with victim as rooms:
            change(rooms)

    kinds: list[Callable[[int, Callable[[], object]], bool]] = [
        killed_at,
        lambda step, action: failed_at(step, action, errno.ENOSPC),
        lambda step, action: failed_at(step, action, errno.EIO, for_good=True),
    ]
    for kind, inject in enumerate(kinds):
        for step in range(1, 1000):
            victim = Profile(tmp_path / f"{kind}-{step}")
            shutil.copytree(profile.home.root, victim.home.root)
            met = inject(step, lambda: act(victim))  # noqa: B023 (runs at once)
            yield victim
            shutil.rmtree(victim.home.root)
            if not met:
                assert step > 4
                break


def no_leftovers(rooms: Any) -> None:
    left = [path for path in rooms.store.folder.rglob(".*") if path.name != ".lock"]
    assert left == []


@pytest.mark.parametrize("name", list(CHANGES))
def test_after_any_fault_a_slot_is_as_it_was_or_as_it_shall_be(profile: Profile, tmp_path: Path, name: str) -> None:
    change, talks = CHANGES[name], name in TOLD
    with profile as rooms:
        before = seen(rooms, talks=talks)
    whole = Profile(tmp_path / "whole")
    shutil.copytree(profile.home.root, whole.home.root)
    with whole as rooms:
        change(rooms)
        after = seen(rooms, talks=talks)
    assert before != after
    again = {"remove": expire_again}.get(name, change)
    met = 0
    for victim in faults(profile, tmp_path, change):
        met += 1
        with victim as rooms:  # the next start
            tidy_slots(rooms)
            found = seen(rooms, talks=talks)
            assert found in (before, after) or (name == "first" and before.keys() < found.keys() < after.keys())
            with suppress(NotFound):  # what was renamed is not there under its old name
                again(rooms)
            assert seen(rooms, talks=talks) == after
            with suppress(NotFound):
                again(rooms)
            assert seen(rooms, talks=talks) == after
            collect(rooms.store, None, dry_run=False)
            no_leftovers(rooms)
    assert met > 12


def test_a_read_that_fails_is_one_of_our_errors_and_changes_nothing(profile: Profile, tmp_path: Path) -> None:
    with profile as rooms:
        before = seen(rooms, talks=False)

    def act() -> None:
        with profile as rooms:
            collect(rooms.store, 2, dry_run=True)
            CHANGES["pin"](rooms)

    for step in range(1, 1000):
        if not failed_at(step, act, errno.EIO, reads=True):
            assert step > 10
            break
        with profile as rooms:
            pin(rooms.store, "science", 1, pinned=False)
            assert seen(rooms, talks=False) == before


def test_after_any_fault_of_a_clean_up_what_is_kept_is_whole(profile: Profile, tmp_path: Path) -> None:
    with profile as rooms:
        before = seen(rooms, talks=False)["science"][1]
    for victim in faults(profile, tmp_path, lambda rooms: collect(rooms.store, 1, dry_run=False)):
        with victim as rooms:
            tidy_slots(rooms)
            for was, now in zip(before, seen(rooms, talks=False)["science"][1], strict=True):
                assert now == was or (now == (was[0], False, True, False, None) and was[0] in (1, 3))
            assert check_store(rooms.store).findings == []
            collect(rooms.store, 1, dry_run=False)
            assert [line[0] for line in seen(rooms, talks=False)["science"][1] if line[2]] == [3, 1]
            assert collect(rooms.store, 1, dry_run=False) == []
            folders = rooms.store.folder.glob("science/versions/*/adapter_model.safetensors")
            assert sorted(int(path.parent.name) for path in folders) == [2, 4, 5]
            no_leftovers(rooms)
