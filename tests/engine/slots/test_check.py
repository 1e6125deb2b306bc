import shutil

import pytest

from nightschool.engine.slots import generations
from nightschool.engine.slots.check import check_store
from nightschool.engine.slots.store import SlotStore
from nightschool.tests.engine.slots.test_store import killed_at


@pytest.fixture
def store(tmp_path):
    """Generations 1 and 3 are the same bytes in files of their own, 2 is another."""
    made = SlotStore(tmp_path / "slots")
    made.create("Science")
    for content in ("one", "two", "one"):
        folder = tmp_path / "candidate"
        folder.mkdir(exist_ok=True)
        (folder / "adapter_model.safetensors").write_text(content)
        (folder / "adapter_config.json").write_text(f"{{}} {content}")
        made.add_version("science", folder, base="f")
    return made


def file(store, number, name="adapter_model.safetensors"):
    return store.folder / "science" / "versions" / generations.folder_name(number) / name


def spoil(path, content=b"odd"):
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_store_that_is_whole_has_nothing_to_say(store):
    shares = []
    found = check_store(store, shares.append)
    assert (found.files, found.findings) == (6, [])
    assert found.bytes == sum(path.stat().st_size for path in store.folder.rglob("adapter_*"))
    assert shares == sorted(shares)


@pytest.mark.parametrize(
    "damage", [lambda path: spoil(path), lambda path: path.unlink(), lambda p: spoil(p, b"longer")]
)
def test_what_is_damaged_gets_the_bytes_of_a_whole_copy(store, damage):
    damage(file(store, 3))
    (finding,) = check_store(store).findings
    assert finding.repaired and finding.number == 3
    assert store.adapter_folder("science", 3) is not None
    assert file(store, 3).read_text() == "one"
    assert file(store, 3).stat().st_mode & 0o777 == 0o444
    assert check_store(store).findings == []  # the second run has nothing to do


def test_what_has_no_copy_is_named_and_left(store):
    spoil(file(store, 2))
    (finding,) = check_store(store).findings
    assert not finding.repaired
    assert "adapter_model.safetensors of generation 2 of slot science" in finding.text
    assert file(store, 2).read_bytes() == b"odd"


def test_a_generation_and_a_pointer_that_do_not_read_back_are_named(store):
    spoil(file(store, 1, "version.json"), b"{")
    (store.folder / "science" / "current").write_text("9\n")
    texts = [finding.text for finding in check_store(store).findings]
    assert len(texts) == 2
    assert any("000001" in text for text in texts) and any("generation 9" in text for text in texts)


def test_a_slot_that_does_not_read_back_is_named_and_the_others_are_looked_at(store):
    store.create("Other")
    (store.folder / "other" / "slot.json").write_text("{")
    spoil(file(store, 3))
    found = {finding.slot: finding.repaired for finding in check_store(store).findings}
    assert found == {"science": True, "other": False}


def test_linked_files_are_damaged_together_and_repaired_one_by_one(store, tmp_path):
    store.rollback("science", 2)  # shares its bytes with generation 2
    spoil(file(store, 2))
    assert [finding.repaired for finding in check_store(store).findings] == [False, False]
    shutil.copy(tmp_path / "candidate" / "adapter_model.safetensors", tmp_path / "kept")
    file(store, 4).unlink()
    file(store, 4).write_text("two")
    (finding,) = check_store(store).findings
    assert (finding.number, finding.repaired) == (2, True)


def test_a_generation_is_read_once_as_long_as_its_file_stays(store, monkeypatch):
    read = []

    def counted(folder, number, real=generations.read):
        read.append(number)
        return real(folder, number)

    monkeypatch.setattr(generations, "read", counted)
    assert [version.number for version in store.versions("science")] == [3, 2, 1, 0]
    read.clear()
    store.versions("science")
    assert read == []
    path = file(store, 2, "version.json")
    text = path.read_text()
    spoil(path, text.replace('"lessons": []', '"lessons": [7]').encode())
    assert store.version("science", 2).lessons == [7]
    assert read == [2]


def test_a_kill_at_any_step_of_a_repair_leaves_the_damage_or_the_repair(store, tmp_path):
    spoil(file(store, 3))
    for step in range(1, 100):
        victim = SlotStore(tmp_path / str(step))
        shutil.copytree(store.folder, victim.folder)
        survived = not killed_at(step, lambda: check_store(victim))  # noqa: B023 (runs at once)
        assert file(victim, 3).read_text() in ("odd", "one")
        check_store(victim)
        assert check_store(victim).findings == []
        assert victim.adapter_folder("science") is not None
        if survived:
            assert step > 5
            return
