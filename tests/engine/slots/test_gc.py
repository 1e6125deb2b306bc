"""What nothing needs is removed, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightschool.engine.slots import lifecycle
from nightschool.engine.slots.check import check_store
from nightschool.engine.slots.gc import collect, needed, pin
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.errors import NotFound, UsageError


@pytest.fixture
def slots(tmp_path: Path) -> SlotStore:
    """A slot with generations 1 to 6, each of a content of its own, and another slot."""
    made = SlotStore(tmp_path / "slots")
    made.create("Science")
    made.create("Other")
    for number in range(1, 7):
        study(made, tmp_path, number)
    return made


def study(slots: SlotStore, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "candidate"
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(b"%d" % number * 1000)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8}))
    slots.add_version("science", folder, base="f" * 64, lessons=[number])


def kept(slots: SlotStore) -> list[int]:
    """Return the generations whose adapter is whole."""
    found = []
    for version in slots.versions("science"):
        try:
            found += [version.number] if slots.adapter_folder("science", version.number) else []
        except NotFound:
            assert version.removed
    return found


def test_without_a_limit_every_generation_stays(slots: SlotStore) -> None:
    assert collect(slots, None, dry_run=False) == []
    assert kept(slots) == [6, 5, 4, 3, 2, 1]


def test_a_limit_leaves_the_newest_and_what_is_pinned(slots: SlotStore) -> None:
    pin(slots, "science", 2, pinned=True)
    before = slots.versions("science")
    found = collect(slots, 3, dry_run=True)
    assert [(row.slot, row.number, row.bytes) for row in found] == [("science", 3, 1008), ("science", 1, 1008)]
    assert kept(slots) == [6, 5, 4, 3, 2, 1]
    assert collect(slots, 3, dry_run=False) == found
    assert kept(slots) == [6, 5, 4, 2]
    after = slots.versions("science")
    assert [row.model_copy(update={"removed": False}) for row in after] == before  # what is said of them stays
    assert [row.number for row in after if row.removed] == [3, 1]
    assert collect(slots, 3, dry_run=False) == []
    assert check_store(slots).findings == []


def test_the_way_back_stays_whatever_the_limit(slots: SlotStore, tmp_path: Path) -> None:
    slots.rollback("science", 2)  # 7, which is 2; a rollback from here goes to 1
    assert needed(slots, "science", 1) == {7, 2, 6, 1}
    collect(slots, 1, dry_run=False)
    assert slots.rollback("science").restores == 1
    study(slots, tmp_path, 9)
    collect(slots, 1, dry_run=False)
    assert slots.rollback("science").restores == 1
    assert slots.rollback("science").restores == 0


def test_what_was_removed_cannot_be_gone_back_to_and_says_so(slots: SlotStore) -> None:
    collect(slots, 1, dry_run=False)
    assert kept(slots) == [6, 5]
    for ask in (lambda: slots.rollback("science", 2), lambda: slots.adapter_folder("science", 2)):
        with pytest.raises(NotFound, match="removed by `slots gc`"):
            ask()
    with pytest.raises(NotFound, match="removed"):
        pin(slots, "science", 2, pinned=True)
    assert slots.current("science").number == 6
    assert slots.rollback("science", 0).number == 7


def test_a_content_that_another_generation_shares_comes_free_with_the_last(slots: SlotStore, tmp_path: Path) -> None:
    slots.rollback("science", 2)  # 7 shares its files with 2
    study(slots, tmp_path, 8)
    study(slots, tmp_path, 9)
    found = {row.number: row.bytes for row in collect(slots, 1, dry_run=True)}
    assert (found[2], found[7], found[3]) == (1008, 0, 1008)  # the newest is counted first
    pin(slots, "science", 7, pinned=True)
    assert {row.number: row.bytes for row in collect(slots, 1, dry_run=False)}[2] == 0
    assert slots.rollback("science", 7).number == 10


def test_a_pin_is_set_once_and_taken_out(slots: SlotStore) -> None:
    assert pin(slots, "science", 3, pinned=True).pinned
    assert pin(slots, "science", 3, pinned=True).pinned
    assert slots.settings("science").pinned == [3]
    assert not pin(slots, "science", 3, pinned=False).pinned
    assert not pin(slots, "science", 3, pinned=False).pinned
    assert [row.number for row in slots.versions("science") if row.pinned] == []
    with pytest.raises(NotFound):
        pin(slots, "science", 9, pinned=True)
    with pytest.raises(UsageError, match="plain base"):
        pin(slots, "science", 0, pinned=True)


def test_a_deleted_slot_keeps_everything(slots: SlotStore) -> None:
    lifecycle.delete(slots, "science")
    assert collect(slots, 1, dry_run=False) == []
    lifecycle.undelete(slots, "science")
    assert kept(slots) == [6, 5, 4, 3, 2, 1]


def test_a_slot_that_does_not_read_back_is_left_alone(slots: SlotStore) -> None:
    facts = slots.folder / "science" / "versions" / "000004" / "version.json"
    facts.chmod(0o644)
    facts.write_text("{")
    assert collect(slots, 1, dry_run=False) == []
    assert len(list(slots.folder.glob("science/versions/*/adapter_model.safetensors"))) == 6


def test_what_was_never_finished_goes(slots: SlotStore) -> None:
    half = slots.folder / "science" / "versions" / ".new-abc"
    half.mkdir()
    (half / "adapter_model.safetensors").write_bytes(b"x" * 500)
    (slots.folder / "other" / ".slot.json.q.part").write_bytes(b"x" * 20)
    (slots.folder / ".new-slot").mkdir()
    found = collect(slots, None, dry_run=True)
    assert half.exists()
    assert sorted((row.text.split(",")[0], row.bytes) for row in found) == [
        (".new-slot", 0), ("other/.slot.json.q.part", 20), ("science/versions/.new-abc", 500),
    ]  # fmt: skip
    assert collect(slots, None, dry_run=False) == found
    assert not [path for path in slots.folder.rglob(".*") if path.name != ".lock"]
    assert collect(slots, None, dry_run=False) == []


def test_at_least_one_generation_stays(slots: SlotStore) -> None:
    with pytest.raises(UsageError, match="At least one"):
        collect(slots, 0, dry_run=False)
