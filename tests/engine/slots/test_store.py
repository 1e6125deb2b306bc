import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pytest

from nightschool.engine.slots import generations, store
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.errors import Damaged, DiskFull, Locked, NotFound, StorageError, UsageError
from nightschool.schemas.records import StudyReport, Version, VersionKind

from .faults import killed_at


@pytest.fixture
def slots(tmp_path: Path) -> SlotStore:
    made = SlotStore(tmp_path / "slots")
    made.create("Science")
    return made


def candidate(tmp_path: Path, content: str = "weights") -> Path:
    folder = tmp_path / f"candidate-{content}"
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_text(content)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8}))
    (folder / "README.md").write_text("not taken along")
    return folder


def study(slots: SlotStore, tmp_path: Path, content: str) -> Version:
    return slots.add_version("science", candidate(tmp_path, content), base="f" * 64, lessons=[len(content)])


def weights(slots: SlotStore) -> str | None:
    folder = slots.adapter_folder("science")
    return None if folder is None else (folder / "adapter_model.safetensors").read_text()


# -- slots ------------------------------------------------------------------------------------------------------------


def test_the_four_first_slots_exist_and_stay_as_the_user_leaves_them(tmp_path: Path) -> None:
    slots = SlotStore(tmp_path / "slots")
    assert slots.list() == []
    slots.ensure_defaults()
    assert [slot.name for slot in slots.list()] == ["science", "creative", "gaming", "professional"]
    assert [slot.title for slot in slots.list()] == ["Science", "Creative", "Gaming", "Professional"]
    assert all(slot.description and not slot.system_prompt and slot.temperature == 0.0 for slot in slots.list())
    slots.update("gaming", title="Play", description="", temperature=0.7)
    slots.ensure_defaults()
    changed = slots.slot("gaming")
    assert (changed.title, changed.description, changed.temperature) == ("Play", "", 0.7)
    assert len(slots.list()) == 4


def test_slots_come_in_the_order_they_were_made(slots: SlotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.time, "time", lambda: 5.0)  # a clock that was set back
    for title in ("Zeta", "Alpha", "Mid"):
        slots.create(title)
    assert [slot.name for slot in slots.list()] == ["science", "zeta", "alpha", "mid"]


def test_a_name_follows_from_the_title(slots: SlotStore) -> None:
    assert slots.create("  Köche &\tBäcker! ").name == "koche-backer"
    assert slots.create("x" * 100).name == "x" * 40
    assert slots.create("Mein", name="my-own", description=" d ", system_prompt="Be brief.").name == "my-own"
    assert slots.slot("my-own").system_prompt == "Be brief."
    with pytest.raises(UsageError, match="visible"):
        slots.create(" \x00 ")
    with pytest.raises(UsageError, match="cannot name a slot"):
        slots.create("学校")


@pytest.mark.parametrize(
    "name", ["..", "../x", "/etc", "a/b", ".hidden", "-a", "A", "a" * 41, "a\n", "a\x00", "a b", "é", "con.txt"]
)
def test_a_name_is_never_a_path(slots: SlotStore, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a slot"):
        slots.create("Title", name=name)
    for ask in (slots.slot, slots.versions, slots.current, slots.adapter_folder, slots.rollback, slots.update):
        with pytest.raises(UsageError, match="cannot name a slot"):
            ask(name)


def test_a_name_is_given_once(slots: SlotStore) -> None:
    with pytest.raises(UsageError, match="already a slot"):
        slots.create("science")
    with pytest.raises(NotFound, match="nobody"):
        slots.slot("nobody")


def test_settings_change_one_by_one(slots: SlotStore) -> None:
    slots.update("science", system_prompt="Be brief.")
    slots.update("science", temperature=1.5)
    found = SlotStore(slots.folder).slot("science")
    assert (found.title, found.system_prompt, found.temperature) == ("Science", "Be brief.", 1.5)
    assert slots.update("science", system_prompt="").system_prompt == ""
    for wrong in (-0.1, 5.1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="between 0 and 5"):
            slots.update("science", temperature=wrong)
    with pytest.raises(UsageError, match="visible"):
        slots.update("science", title=" ")


@pytest.mark.parametrize(("file", "content"), [("slot.json", '{"title": "Sci'), ("current", "x")])
def test_a_slot_that_does_not_read_back_is_named_and_stands_in_no_others_way(
    slots: SlotStore, file: str, content: str
) -> None:
    slots.create("Other")
    (slots.folder / "science" / file).write_text(content)
    with pytest.raises(Damaged, match=file):
        slots.slot("science")
    assert [slot.name for slot in slots.list()] == ["other"]
    assert file in slots.damaged()["science"] and len(slots.damaged()) == 1
    slots.create("Third")
    assert [slot.name for slot in slots.list()] == ["other", "third"]


def test_settings_that_were_moved_away_are_made_anew_over_what_the_slot_has_learned(
    slots: SlotStore, tmp_path: Path
) -> None:
    study(slots, tmp_path, "a")
    (slots.folder / "science" / "slot.json").write_text("{")
    with pytest.raises(Damaged, match="move it away"):
        slots.create("Science")
    (slots.folder / "science" / "slot.json").rename(tmp_path / "slot.json")
    slots.create("Science")
    assert weights(slots) == "a" and slots.slot("science").current == 1
    with pytest.raises(UsageError, match="already"):
        slots.create("Science")


# -- versions ---------------------------------------------------------------------------------------------------------


def test_a_new_slot_answers_from_the_base(slots: SlotStore) -> None:
    (base,) = slots.versions("science")
    assert (base.number, base.kind, base.parent, base.current) == (0, VersionKind.BASE, None, True)
    assert base == slots.current("science") == slots.version("science", 0)
    assert slots.adapter_folder("science") is None


def test_a_generation_holds_a_copy_of_the_adapter_and_is_read_only(slots: SlotStore, tmp_path: Path) -> None:
    made = candidate(tmp_path)
    report = StudyReport(accepted=True, reason="It sticks.")
    version = slots.add_version("science", made, base="fingerprint", lessons=[1, 2], report=report)
    shutil.rmtree(made)
    assert (version.number, version.kind, version.parent) == (1, VersionKind.STUDY, 0)
    assert (version.base, version.lessons, version.report) == ("fingerprint", [1, 2], report)
    assert (version.adapter_bytes, version.current, version.restores) == (7, True, None)
    assert slots.slot("science").current == 1
    folder = slots.adapter_folder("science")
    assert folder == slots.folder / "science" / "versions" / "000001"
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(
        ["version.json", "adapter_model.safetensors", "adapter_config.json"]
    )
    assert {entry.stat().st_mode & 0o777 for entry in folder.iterdir()} == {0o444}
    assert generations.file_hash(folder / "adapter_model.safetensors") == version.adapter_sha256
    assert SlotStore(slots.folder).versions("science") == slots.versions("science")
    assert [found.number for found in slots.versions("science")] == [1, 0]


def test_generations_form_a_line_and_never_change(slots: SlotStore, tmp_path: Path) -> None:
    first = study(slots, tmp_path, "a")
    study(slots, tmp_path, "bb")
    plain = slots.add_version("science", None, base="")
    assert [(found.number, found.parent) for found in slots.versions("science")] == [(3, 2), (2, 1), (1, 0), (0, None)]
    assert plain.adapter_sha256 is None
    assert slots.adapter_folder("science") is None
    assert slots.version("science", 1) == first.model_copy(update={"current": False})
    with pytest.raises(NotFound, match="generation 9"):
        slots.version("science", 9)
    with pytest.raises(NotFound, match="generation -1"):
        slots.version("science", -1)


@pytest.mark.parametrize("missing", ["adapter_model.safetensors", "adapter_config.json"])
def test_half_an_adapter_is_not_taken(slots: SlotStore, tmp_path: Path, missing: str) -> None:
    made = candidate(tmp_path)
    (made / missing).unlink()
    with pytest.raises(NotFound, match=missing):
        slots.add_version("science", made, base="f")
    assert slots.current("science").number == 0
    assert list((slots.folder / "science" / "versions").iterdir()) == []


# -- rollback ---------------------------------------------------------------------------------------------------------


def test_rolling_back_walks_further_back_each_time(slots: SlotStore, tmp_path: Path) -> None:
    for content in ("a", "bb", "ccc"):
        study(slots, tmp_path, content)
    seen = []
    for expected in ("bb", "a", None):
        version = slots.rollback("science")
        assert weights(slots) == expected
        seen.append((version.number, version.kind, version.parent, version.restores))
    rollback = VersionKind.ROLLBACK
    assert seen == [(4, rollback, 3, 2), (5, rollback, 4, 1), (6, rollback, 5, 0)]
    with pytest.raises(UsageError, match="nothing left"):
        slots.rollback("science")
    assert slots.current("science").number == 6


def test_a_study_after_a_rollback_rolls_back_to_what_it_was_made_from(slots: SlotStore, tmp_path: Path) -> None:
    study(slots, tmp_path, "a")
    study(slots, tmp_path, "bb")
    slots.rollback("science")
    study(slots, tmp_path, "ccc")
    assert slots.rollback("science").restores == 1
    assert weights(slots) == "a"


def test_a_rollback_goes_to_any_number_also_forward(slots: SlotStore, tmp_path: Path) -> None:
    study(slots, tmp_path, "a")
    study(slots, tmp_path, "bb")
    assert slots.rollback("science", 0).lessons == []
    assert weights(slots) is None
    back = slots.rollback("science", 2)
    assert (back.number, back.restores, back.lessons, back.base) == (4, 2, [2], "f" * 64)
    assert weights(slots) == "bb"
    assert back.adapter_sha256 == slots.version("science", 2).adapter_sha256
    assert slots.rollback("science", 3).restores == 3  # a rollback can be restored too: it stands for generation 0
    assert weights(slots) is None
    with pytest.raises(UsageError, match="is what is in effect"):
        slots.rollback("science", 0)
    with pytest.raises(NotFound, match="generation 9"):
        slots.rollback("science", 9)


def test_nothing_to_roll_back_to_in_a_new_slot(slots: SlotStore) -> None:
    for to in (None, 0):
        with pytest.raises(UsageError):
            slots.rollback("science", to)


def test_a_rollback_works_where_files_cannot_be_linked(
    slots: SlotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(slots, tmp_path, "a")
    study(slots, tmp_path, "bb")

    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    slots.rollback("science")
    assert weights(slots) == "a"


# -- damage, locks, kills, full disks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_tampered_adapter_is_never_used(slots: SlotStore, tmp_path: Path, name: str) -> None:
    study(slots, tmp_path, "a")
    study(slots, tmp_path, "bb")
    assert weights(slots) == "bb"  # verified once; the change below must be seen all the same
    file = slots.folder / "science" / "versions" / "000002" / name
    content = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(Damaged, match="roll the slot back"):
        slots.adapter_folder("science")
    assert slots.rollback("science").restores == 1
    assert weights(slots) == "a"
    file.unlink()
    with pytest.raises(Damaged, match=name):
        slots.adapter_folder("science", 2)


def test_a_generation_that_does_not_read_back_can_be_left(slots: SlotStore, tmp_path: Path) -> None:
    study(slots, tmp_path, "a")
    study(slots, tmp_path, "bb")
    facts = slots.folder / "science" / "versions" / "000002" / "version.json"
    facts.chmod(0o644)
    facts.write_text("{")
    for ask in (slots.current, slots.versions, slots.adapter_folder, slots.rollback):
        with pytest.raises(Damaged, match="000002"):
            ask("science")
    assert slots.rollback("science", 1).number == 3
    assert weights(slots) == "a"


@pytest.mark.parametrize("content", ["", "x", "-1", "1.5", "9" * 50, "٣"])
def test_a_pointer_that_is_no_number_is_named(slots: SlotStore, tmp_path: Path, content: str) -> None:
    study(slots, tmp_path, "a")
    (slots.folder / "science" / "current").write_text(content)
    with pytest.raises(Damaged, match="write the one you want"):
        slots.current("science")


def test_a_pointer_to_nothing_is_named(slots: SlotStore, tmp_path: Path) -> None:
    (slots.folder / "science" / "current").write_text("7\n")
    with pytest.raises(Damaged, match="generation 7, which is not there"):
        slots.current("science")
    study(slots, tmp_path, "a")
    assert weights(slots) == "a"


def test_leftovers_of_a_killed_writer_are_ignored_and_removed(slots: SlotStore, tmp_path: Path) -> None:
    leftover = slots.folder / "science" / "versions" / ".new-abc"
    leftover.mkdir()
    (leftover / "adapter_model.safetensors").write_text("half")
    (slots.folder / ".new-slot").mkdir()
    pointer = slots.folder / "science" / ".current.abc.part"
    pointer.write_text("1")
    assert [version.number for version in slots.versions("science")] == [0]
    assert len(slots.list()) == 1
    assert study(slots, tmp_path, "a").number == 1
    slots.create("Other")
    assert not leftover.exists()
    assert not pointer.exists()
    assert not (slots.folder / ".new-slot").exists()


def test_a_full_disk_leaves_the_slot_as_it_was(
    slots: SlotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(slots, tmp_path, "a")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(generations.os, "fsync", full)
        with pytest.raises(DiskFull):
            study(slots, tmp_path, "bb")
        with pytest.raises(DiskFull):
            slots.update("science", title="New")
        with pytest.raises(DiskFull):
            slots.create("Other")
    assert [version.number for version in slots.versions("science")] == [1, 0]
    assert [slot.title for slot in slots.list()] == ["Science"]
    assert weights(slots) == "a"
    assert not [found for found in slots.folder.rglob("*") if ".new-" in found.name or found.suffix == ".part"]
    assert study(slots, tmp_path, "bb").number == 2


def test_a_slot_that_somebody_else_writes_is_locked(
    slots: SlotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightschool.engine.files.LOCK_SECONDS", 0.05)
    held = threading.Event()
    release = threading.Event()

    def hold() -> None:
        with filelock.FileLock(slots.folder / "science" / ".lock"):
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(30)
        for write in (lambda: study(slots, tmp_path, "a"), lambda: slots.update("science", title="x")):
            with pytest.raises(Locked, match="close that"):
                write()
        assert slots.current("science").number == 0  # readers need no lock
    finally:
        release.set()
        thread.join()
    assert study(slots, tmp_path, "a").number == 1


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "slots").write_text("")
    with pytest.raises(StorageError):
        SlotStore(tmp_path / "slots").create("Science")


WRITER = """
import sys
from pathlib import Path
from nightschool.engine.slots.store import SlotStore

slots, made = SlotStore(Path(sys.argv[1])), Path(sys.argv[2])
while True:
    print(slots.add_version("science", made, base="f", lessons=[1]).number, flush=True)
    print(slots.rollback("science").number, flush=True)
    slots.update("science", title="Science!")
"""


def test_a_slot_survives_sigkill_at_any_moment(slots: SlotStore, tmp_path: Path) -> None:
    made = candidate(tmp_path)
    (made / "adapter_model.safetensors").write_bytes(random.Random(1).randbytes(300_000))
    chance = random.Random(7)
    reported = 0
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(slots.folder), str(made)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        reported = int(writer.stdout.readline())
        timer = threading.Timer(chance.random() * 0.05, os.kill, (writer.pid, signal.SIGKILL))
        timer.start()
        rest = writer.stdout.read().splitlines(keepends=True)
        reported = max([reported, *(int(line) for line in rest if line.endswith(b"\n"))])
        assert writer.wait() == -signal.SIGKILL
        writer.stdout.close()
        fresh = SlotStore(slots.folder)
        numbers = [version.number for version in fresh.versions("science")]
        assert numbers == list(range(len(numbers)))[::-1]
        assert fresh.current("science").number >= reported
        for number in numbers:
            fresh.adapter_folder("science", number)
        assert fresh.slot("science").title in ("Science", "Science!")
    assert study(slots, tmp_path, "a").number == len(numbers)
    assert not list(slots.folder.rglob(".new-*"))


@pytest.mark.parametrize("change", ["study", "rollback", "update"])
def test_a_kill_before_any_step_leaves_the_old_state_or_the_new(slots: SlotStore, tmp_path: Path, change: str) -> None:
    study(slots, tmp_path, "a")
    study(slots, tmp_path, "bb")
    made = candidate(tmp_path, "ccc")
    after = {"study": "ccc", "rollback": "a", "update": "bb"}[change]
    for step in range(1, 1000):
        victim = SlotStore(tmp_path / str(step))
        shutil.copytree(slots.folder, victim.folder)
        survived = not killed_at(
            step,
            {
                "study": lambda: victim.add_version("science", made, base="f"),  # noqa: B023 (runs at once)
                "rollback": lambda: victim.rollback("science"),  # noqa: B023
                "update": lambda: victim.update("science", title="New"),  # noqa: B023
            }[change],
        )
        fresh = SlotStore(victim.folder)
        current = fresh.current("science")
        assert weights(fresh) == ("bb" if current.number == 2 else after)
        assert [version.number for version in fresh.versions("science")] in ([2, 1, 0], [3, 2, 1, 0])
        assert fresh.slot("science").title in ("Science", "New")
        assert study(fresh, tmp_path, "dddd").number in (3, 4)
        assert weights(fresh) == "dddd"
        assert not [found for found in fresh.folder.rglob(".*") if found.name != ".lock"]
        shutil.rmtree(victim.folder)
        if survived:
            assert current.number == (2 if change == "update" else 3)
            assert step > 5
            return


def test_a_router_stays_beside_its_adapter(slots: SlotStore, tmp_path: Path) -> None:
    (candidate(tmp_path, "first") / "router.safetensors").write_text("where")
    study(slots, tmp_path, "first")
    study(slots, tmp_path, "second")
    folder = slots.adapter_folder("science")
    assert folder is not None
    assert not (folder / "router.safetensors").exists()
    slots.rollback("science", 1)
    folder = slots.adapter_folder("science")
    assert folder is not None
    router = folder / "router.safetensors"
    assert router.read_text() == "where"
    router.chmod(0o644)
    router.write_text("elsewhere")
    with pytest.raises(Damaged, match=r"router\.safetensors"):
        slots.adapter_folder("science")
