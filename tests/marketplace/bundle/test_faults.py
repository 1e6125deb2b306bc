"""Every step of packing and of an import is killed, or fails: nothing is half there, and doing it again completes."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from nightschool.engine.slots.check import check_store
from nightschool.engine.slots.store import SlotStore
from nightschool.marketplace.bundle.importing import Base, taken
from nightschool.marketplace.bundle.reading import read_verified
from nightschool.schemas.records import VersionKind
from nightschool.tests.engine.slots.faults import failed_at, killed_at

from .hostile import good
from .making import BASE, SHAPES, make

MOST_STEPS = 200


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No power is cut here, so nothing need be flushed; that it would be is counted all the same."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Place:
    """A profile with a slot, and a bundle beside it."""

    def __init__(self, root):
        self.root, self.file, self.quarantine = root, root / "x.slot", root / "quarantine"
        self.store = SlotStore(root / "slots")
        self.store.create("Captain")
        self.file.write_bytes(good())

    def bring(self):
        """Import as the command line and the engine do together."""
        find = lambda base: Base(BASE.fingerprint, SHAPES)  # noqa: E731
        with taken(self.file, self.quarantine, trust=lambda signed: None, find_base=find) as found:
            store = SlotStore(self.root / "slots")
            if not [row for row in store.versions("captain") if row.number]:
                store.add_version(
                    "captain", found.folder, base=BASE.fingerprint, kind=VersionKind.IMPORT, activate=False
                )

    def check(self, *, whole):
        """Nothing half done is seen; with ``whole`` it is there."""
        store = SlotStore(self.root / "slots")
        rows = [row for row in store.versions("captain") if row.number]
        assert store.slot("captain").current == 0 and len(rows) in ((1,) if whole else (0, 1))
        assert check_store(store).findings == [] or not whole
        for row in rows:
            assert store.adapter_folder("captain", row.number) is not None
        if whole:
            assert sorted(path.name for path in self.quarantine.iterdir()) == [".lock"]


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "profile"
    folder.mkdir()

    def fresh():
        shutil.rmtree(folder)
        folder.mkdir()
        return Place(folder)

    return fresh


def test_an_import_that_is_killed_at_any_step_leaves_nothing_half_done(place):
    for step in range(1, MOST_STEPS):
        here = place()
        died = killed_at(step, here.bring)
        here.check(whole=not died)
        here.bring()
        here.check(whole=True)
        if not died:
            assert step > 15
            return
    pytest.fail("it never got through")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_an_import_that_fails_at_any_step_leaves_nothing(place, code):
    for step in range(1, MOST_STEPS):
        here = place()
        reached = failed_at(step, here.bring, code)
        here.check(whole=False)
        here.bring()
        here.check(whole=True)
        if not reached:
            return
    pytest.fail("it never got through")


def test_packing_that_is_killed_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path):
    old = b"old"
    for step in range(1, MOST_STEPS):
        (tmp_path / "captain.slot").write_bytes(old)
        died = killed_at(step, lambda: make(tmp_path))
        data = (tmp_path / "captain.slot").read_bytes()
        if data != old:
            assert read_verified(tmp_path / "captain.slot").manifest.slot.name == "captain"
        if not died:
            return
    pytest.fail("it never got through")


def test_a_full_disk_is_said_before_anything_is_copied(place, monkeypatch):
    from collections import namedtuple

    from nightschool.schemas.errors import DiskFull

    here = place()
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(100))
    with pytest.raises(DiskFull):
        here.bring()
    here.check(whole=False)
    assert sorted(path.name for path in here.quarantine.iterdir()) == [".lock"]
