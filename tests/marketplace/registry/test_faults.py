"""Every step of a change of a registry is killed, or the disk is full there: readers see old or new, never a mix."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from nightschool.marketplace.registry.listing import list_bundle
from nightschool.schemas.trust import RevokedKind
from nightschool.tests.engine.slots.faults import failed_at, killed_at
from nightschool.tests.marketplace.people import key, key_set, keys
from nightschool.tests.marketplace.registry.world import ONLINE, ROOT_KEYS, World

OLD, NEW = ["captain"], ["captain", "poet"]


def seen(world: World, name: str) -> list[str]:
    """What a reader who comes for the first time sees."""
    client = world.client(name, home=f"reader-{name}")
    client.refresh(world.trust)
    found = client.index().slots()
    for slot in found:
        client.download(slot, slot.latest, world.root / "got.slot")
    return [slot.name for slot in found]


def cut_off(step: int, action, how: str) -> bool:
    """Do an action that is killed at a step, or finds the disk full from there on; False: it got through."""
    return killed_at(step, action) if how == "killed" else failed_at(step, action, errno.ENOSPC, for_good=True)


def at_each_step(world: World, action, how: str):
    """Do an action that ends at step 1, 2, ... until it gets through, each time on a copy of the registry."""
    start = world.keep_copy()
    step, reached = 0, True
    while reached:
        step += 1
        world.show_again(start)
        reached = cut_off(step, action, how)
        yield step
    assert step > 10


@pytest.mark.parametrize("how", ["killed", "full"])
def test_a_publication_is_seen_as_a_whole_or_not_at_all(listed, how):
    listed.add("poet")
    readers = listed.client("long-known")
    readers.refresh(listed.trust)
    kept = shutil.copytree(readers.folder, listed.root / "reader", symlinks=True)
    states = []
    for step in at_each_step(listed, listed.publish, how):
        states.append(seen(listed, f"s{step}"))
        shutil.rmtree(readers.folder)
        shutil.copytree(kept, readers.folder, symlinks=True)
        known = listed.client("long-known")
        known.refresh(listed.trust)
        assert [slot.name for slot in known.index().slots()] == states[-1]
        listed.publish()
        assert seen(listed, f"again{step}") == NEW
        known.refresh(listed.trust)
        assert listed.keeper.pending().slots == []
        assert not list(listed.folder.rglob("*.part"))
    assert states[0] == OLD and states[-1] == NEW
    assert states == sorted(states)


def test_adding_is_done_or_can_be_done_again(listed):
    file = listed.bundle("poet")
    row = list_bundle(file, listed.ada)
    for step in at_each_step(listed, lambda: listed.keeper.add(file, row), "killed"):
        assert seen(listed, f"s{step}") == OLD
        listed.keeper.add(file, row)
        listed.publish()
        assert seen(listed, f"again{step}") == NEW


def test_a_change_of_keys_is_survived_by_readers_at_every_step(listed):
    def rotate():
        listed.keeper.rotate(key(ONLINE), keys(*ROOT_KEYS[:2], 201), root_keys=key_set(201), new_online=key(111))

    for step in at_each_step(listed, rotate, "killed"):
        assert seen(listed, f"s{step}") == OLD
        if listed.keeper.roots().keys != key_set(201):
            rotate()
        listed.keeper.publish(key(111))
        assert seen(listed, f"again{step}") == OLD


def test_a_revocation_is_noted_or_can_be_noted_again(listed):
    identifier = listed.keeper.state().slots[0].latest.id

    def revoke():
        listed.keeper.revoke(RevokedKind.BUNDLE, identifier, "poisoned")
        listed.publish()

    for step in at_each_step(listed, revoke, "killed"):
        assert seen(listed, f"s{step}") in (OLD, [])
        revoke()
        assert seen(listed, f"again{step}") == []


def test_a_registry_that_was_not_begun_to_the_end_can_be_begun_again(tmp_path):
    step, reached = 0, True
    while reached:
        step += 1
        world = World(tmp_path / str(step))

        def begin(world=world):
            world.begin()

        reached = killed_at(step, begin)
        if not (world.folder / "registry.json").exists():
            world.begin()
        assert seen(world, "reader") == []


@pytest.mark.parametrize("how", ["killed", "full"])
def test_a_refresh_that_is_cut_off_goes_on(listed, how):
    listed.client().refresh(listed.trust)
    listed.add("poet")
    listed.publish()
    start = shutil.copytree(listed.root / "home", listed.root / "before", symlinks=True)
    step, reached = 0, True
    while reached:
        step += 1
        shutil.rmtree(listed.root / "home")
        shutil.copytree(start, listed.root / "home", symlinks=True)

        def refresh():
            listed.client().refresh(listed.trust)

        reached = cut_off(step, refresh, how)
        assert [slot.name for slot in listed.client().index().slots()] in (OLD, NEW)
        refresh()
        assert [slot.name for slot in listed.client().index().slots()] == NEW
        assert len(list(listed.client().folder.glob("index-*"))) == 1
    assert step > 5


def test_a_download_that_is_cut_off_leaves_no_file(listed):
    client = listed.client()
    client.refresh(listed.trust)
    slot = client.slot("captain")
    step, reached = 0, True
    while reached:
        step += 1
        target = Path(listed.root / f"got-{step}.slot")
        reached = failed_at(step, lambda target=target: client.download(slot, slot.latest, target), errno.ENOSPC)
        assert reached != target.exists() or target.stat().st_size == slot.latest.length
