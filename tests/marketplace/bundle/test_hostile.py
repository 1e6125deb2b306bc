"""Every hostile file is refused with its code, in one sentence, and nothing of it stays on the disk."""

from __future__ import annotations

import os
import tracemalloc

import pytest

from nightschool.marketplace.bundle.importing import Base, taken
from nightschool.marketplace.refusals import REFUSALS
from nightschool.schemas.errors import MarketError, NotFound

from .hostile import HOSTILE, good
from .making import BASE, SHAPES

IDS = [f"{number}-{name}" for number, name, _, _ in HOSTILE]
OF_THE_FILE = {*range(1, 25), *range(29, 59), 63, 65, 66}
ELSEWHERE = {63, 64}


def trusting(signed):
    """Trust everybody."""


def here(base):
    return Base(BASE.fingerprint, SHAPES)


def left(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name != ".lock")


@pytest.mark.parametrize(("number", "name", "code", "make"), HOSTILE, ids=IDS)
def test_a_hostile_file_is_refused_with_its_code(number, name, code, make, tmp_path):
    file = tmp_path / "evil.slot"
    file.write_bytes(make())
    with (
        pytest.raises(MarketError) as refused,
        taken(file, tmp_path / "quarantine", trust=trusting, find_base=here),
    ):
        pytest.fail("it was taken")
    assert refused.value.code == code, refused.value
    words = str(refused.value)
    assert words.endswith(".") and ". " not in words and "\n" not in words and words.isprintable()
    assert left(tmp_path / "quarantine") == []


def test_every_number_of_the_list_has_an_input():
    assert {number for number, *_ in HOSTILE} == OF_THE_FILE - ELSEWHERE
    numbers = {number for row in REFUSALS.values() for number in row.numbers}
    assert numbers >= OF_THE_FILE


def test_the_good_one_is_taken(tmp_path):
    file = tmp_path / "good.slot"
    file.write_bytes(good())
    with taken(file, tmp_path / "quarantine", trust=trusting, find_base=here) as found:
        assert found.fits


@pytest.mark.parametrize("name", [name for number, name, *_ in HOSTILE if number in (36, 37, 38, 39)])
def test_a_bomb_takes_no_memory(name, tmp_path):
    file = tmp_path / "bomb.slot"
    file.write_bytes(next(make for _, other, _, make in HOSTILE if other == name)())
    tracemalloc.start()
    with pytest.raises(MarketError), taken(file, tmp_path / "q", trust=trusting, find_base=here):
        pass
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "device"])
def test_what_is_no_file_is_refused(kind, tmp_path):
    path = tmp_path / "x.slot"
    if kind == "link":
        (tmp_path / "real").write_bytes(good())
        path.symlink_to(tmp_path / "real")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = type(path)("/dev/zero")
    with pytest.raises(MarketError) as refused, taken(path, tmp_path / "q", trust=trusting, find_base=here):
        pass
    assert refused.value.code == "not-a-file"


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFound), taken(tmp_path / "x", tmp_path / "q", trust=trusting, find_base=here):
        pass


@pytest.mark.parametrize("what", ["grows", "shrinks", "is-written"])
def test_a_file_that_changes_while_it_is_read_is_refused(what, tmp_path, monkeypatch):
    """Hostile input 63."""
    file = tmp_path / "x.slot"
    file.write_bytes(good())
    read = os.read

    def change_first(handle, size):
        if what == "grows":
            with file.open("ab") as stream:
                stream.write(b"more")
        elif what == "shrinks":
            os.truncate(file, 700)
        else:
            with file.open("r+b") as stream:
                stream.write(b"M")
            os.utime(file, ns=(1, 1))
        monkeypatch.setattr(os, "read", read)
        return read(handle, size)

    monkeypatch.setattr(os, "read", change_first)
    with pytest.raises(MarketError) as refused, taken(file, tmp_path / "q", trust=trusting, find_base=here):
        pass
    assert refused.value.code == "changed"
    assert left(tmp_path / "q") == []


def test_a_file_that_is_swapped_after_it_was_opened_changes_nothing(tmp_path):
    """Hostile input 63: what was opened is what is taken, whatever the name leads to later."""
    file = tmp_path / "x.slot"
    file.write_bytes(good())

    def swap(signed):
        (tmp_path / "evil").write_bytes(b"evil")
        (tmp_path / "evil").replace(file)

    with taken(file, tmp_path / "q", trust=swap, find_base=here) as found:
        assert found.manifest.slot.name == "captain"


def test_what_a_killed_download_left_goes_after_a_day(tmp_path):
    file, quarantine = tmp_path / "x.slot", tmp_path / "q"
    file.write_bytes(good())
    quarantine.mkdir()
    for name in (".get-old.slot.part", "get-old.slot", ".get-new.slot.part"):
        (quarantine / name).write_bytes(b"half")
        if "old" in name:
            os.utime(quarantine / name, (1, 1))
    with taken(file, quarantine, trust=trusting, find_base=here):
        pass
    assert left(quarantine) == [".get-new.slot.part"]


def test_nothing_is_unpacked_before_the_publisher_is_trusted(tmp_path, monkeypatch):
    from nightschool.marketplace.bundle import importing
    from nightschool.marketplace.refusals import refuse

    file = tmp_path / "x.slot"
    file.write_bytes(good())
    monkeypatch.setattr(importing, "restore", lambda *_: pytest.fail("unpacked"))

    def revoked(signed):
        raise refuse("unsigned")

    with pytest.raises(MarketError), taken(file, tmp_path / "q", trust=revoked, find_base=here):
        pass
    assert left(tmp_path / "q") == []
