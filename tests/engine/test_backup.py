import errno
import json
import os
import shutil
import sqlite3
import threading
import zipfile
from pathlib import Path

import filelock
import pytest

from nightschool.engine import backup
from nightschool.engine.backup import restore_backup, write_backup
from nightschool.engine.files import write_atomic
from nightschool.engine.paths import Home
from nightschool.engine.records import Records
from nightschool.engine.slots import generations
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.errors import Damaged, DiskFull, Locked, NotFound, StorageError, UsageError
from nightschool.schemas.trust import REVOCATIONS, Revocation, RevocationFile
from nightschool.tests.engine.slots.test_store import killed_at


def fill(home, rule="Be brief."):
    """A profile with a lesson, a setting, and three generations of which two share their bytes."""
    store = SlotStore(home.slots)
    store.ensure_defaults()
    folder = home.root / "candidate"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    for content in ("one", "two"):
        (folder / "adapter_model.safetensors").write_text(content * 1000)
        store.add_version("science", folder, base="f")
    store.rollback("science", 1)
    shutil.rmtree(folder)
    home.config.write_text("base = 'default'\n")
    (home.root / "models").mkdir()
    (home.root / "models" / "large").write_text("can be fetched again")
    with Records(home.database) as records:
        records.add_lesson("science", rule)


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    fill(made)
    return made


def state(home):
    """What counts of a profile: its lessons, its settings, and the files of its slots, with which can be written."""
    with Records(home.database) as records:
        rules = [lesson.rule for lesson in records.lessons()]
    files = {
        path.relative_to(home.root).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o200)
        for path in home.slots.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    return rules, home.config.read_text(), files


def test_a_profile_comes_back_whole_elsewhere(home, tmp_path):
    shares = []
    made = write_backup(home, tmp_path / "out" / "b.zip", shares.append)
    assert (made.slots, made.generations) == (4, 3)
    assert made.bytes == (tmp_path / "out" / "b.zip").stat().st_size
    assert shares == sorted(shares)
    other = Home(tmp_path / "other")
    assert restore_backup(tmp_path / "out" / "b.zip", other) == made
    assert state(other) == state(home)
    assert other.database.stat().st_mode & 0o777 == 0o600
    assert SlotStore(other.slots).adapter_folder("science") is not None
    assert not (other.root / "models").exists()


def test_what_generations_share_is_saved_once(home, tmp_path):
    write_backup(home, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert sum(entry.file_size == 3000 for entry in archive.infolist()) == 2


def test_what_is_committed_while_an_engine_has_the_profile_open_is_in_it(home, tmp_path):
    with Records(home.database) as records:
        records.add_lesson("science", "Sing.")
        write_backup(home, tmp_path / "b.zip")
        records.add_lesson("science", "Too late.")
    restore_backup(tmp_path / "b.zip", Home(tmp_path / "other"))
    assert sorted(state(Home(tmp_path / "other"))[0]) == ["Be brief.", "Sing."]


def candidate(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_text(content)
    return folder


@pytest.fixture
def meanwhile(monkeypatch):
    """Have something happen before the file of a given place is saved; gives what is saved."""
    add = backup._add

    def at(place, happens):
        saved = []

        def told(archive, path, stored):
            if len(saved) == place:
                happens()
            saved.append(path)
            return add(archive, path, stored)

        monkeypatch.setattr(backup, "_add", told)
        return saved

    return at


def test_a_generation_that_comes_meanwhile_is_in_it_whole_or_not_at_all(home, tmp_path, meanwhile):
    store, place, saved = SlotStore(home.slots), 0, range(1)
    folder = candidate(tmp_path / "candidate", "three")
    while place < len(saved):
        saved = meanwhile(place, lambda: store.add_version("science", folder, base="f"))
        write_backup(home, tmp_path / "b.zip")
        other = Home(tmp_path / f"other{place}")
        restore_backup(tmp_path / "b.zip", other)
        assert SlotStore(other.slots).adapter_folder("science") is not None
        place += 5
    assert place > 20


def test_a_file_that_is_replaced_while_it_is_saved_is_the_old_or_the_new(home, tmp_path, monkeypatch):
    digest = backup.hashlib.file_digest

    def replaced(stream, name):
        found = digest(stream, name)
        if stream.name == str(home.config):
            write_atomic(home.config, "base = 'another'\n")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(backup.hashlib, "file_digest", replaced)
        write_backup(home, tmp_path / "b.zip")
    other = Home(tmp_path / "other")
    restore_backup(tmp_path / "b.zip", other)
    assert other.config.read_text() in ("base = 'default'\n", "base = 'another'\n")


def test_where_files_are_removed_meanwhile_it_starts_over(home, tmp_path, meanwhile):
    meanwhile(10, lambda: generations.remove_files(home.slots / "science" / "versions" / "000002"))
    write_backup(home, tmp_path / "b.zip")
    other = Home(tmp_path / "other")
    restore_backup(tmp_path / "b.zip", other)
    assert state(other)[2].keys() == state(home)[2].keys()
    assert SlotStore(other.slots).version("science", 2).removed


@pytest.mark.parametrize("place", [4, 10, 12])
def test_where_a_slot_is_renamed_meanwhile_it_starts_over(home, tmp_path, meanwhile, place):
    meanwhile(place, lambda: (home.slots / "science").rename(home.slots / "other"))
    write_backup(home, tmp_path / "b.zip")
    other = Home(tmp_path / "other")
    restore_backup(tmp_path / "b.zip", other)
    assert state(other) == state(home)


def test_a_file_that_is_missing_again_is_the_one_that_is_named(home, tmp_path, monkeypatch):
    gone = home.slots / "science" / "versions" / "000002" / "adapter_model.safetensors"
    add = backup._add

    def missing(archive, path, stored):
        if path == gone:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return add(archive, path, stored)

    monkeypatch.setattr(backup, "_add", missing)
    with pytest.raises(StorageError, match=r"000002/adapter_model\.safetensors"):
        write_backup(home, tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_a_profile_that_is_there_is_put_aside_and_never_lost(home, tmp_path):
    write_backup(home, tmp_path / "b.zip")
    there = Home(tmp_path / "there")
    fill(there, "Another rule.")
    before = state(there)
    with pytest.raises(UsageError, match="--replace"):
        restore_backup(tmp_path / "b.zip", there)
    assert state(there) == before
    restore_backup(tmp_path / "b.zip", there, replace=True)
    assert state(there) == state(home)
    (aside,) = there.root.glob("before-restore-*")
    shutil.copytree(aside, tmp_path / "again")
    assert state(Home(tmp_path / "again"))[0] == ["Another rule."]
    assert (there.root / "models" / "large").exists()


def test_a_profile_in_use_is_not_restored_over(home, tmp_path):
    write_backup(home, tmp_path / "b.zip")
    held, release = threading.Event(), threading.Event()

    def hold():
        with filelock.FileLock(home.lock):
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(30)
        with pytest.raises(Locked, match="close it"):
            restore_backup(tmp_path / "b.zip", home, replace=True)
    finally:
        release.set()
        thread.join()


def rewritten(file, change):
    """The same archive with its manifest changed, or its contents."""
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    manifest = json.loads(entries["manifest.json"])
    change(manifest, entries)
    entries["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def blob(manifest, name="config.toml"):
    return f"blobs/{manifest['files'][name]['sha256']}"


@pytest.mark.parametrize(
    "change",
    [
        lambda m, e: m["files"].update({"../evil": m["files"]["config.toml"]}),
        lambda m, e: m["files"].update({"/etc/evil": m["files"]["config.toml"]}),
        lambda m, e: m["files"].update({"slots/science/../../evil": m["files"]["config.toml"]}),
        lambda m, e: m["files"].update({"models/evil": m["files"]["config.toml"]}),
        lambda m, e: m["files"].pop("night.db"),
        lambda m, e: m["files"]["config.toml"].update(bytes=3),
        lambda m, e: m["files"]["config.toml"].update(bytes=10**12),
        lambda m, e: e.update({blob(m): b"base = 'another'\n"}),
        lambda m, e: e.pop(blob(m)),
        lambda m, e: m.update(format=2),
        lambda m, e: m.update(files=[]),
    ],
)
def test_an_archive_that_is_not_what_it_must_be_changes_nothing(home, tmp_path, change):
    write_backup(home, tmp_path / "b.zip")
    rewritten(tmp_path / "b.zip", change)
    before = state(home)
    with pytest.raises(Damaged, match="nothing was changed"):
        restore_backup(tmp_path / "b.zip", home, replace=True)
    assert state(home) == before
    assert not list(home.root.glob("*restore-*"))
    assert not list(tmp_path.rglob("evil"))


def test_half_a_file_and_no_file_are_said(home, tmp_path):
    write_backup(home, tmp_path / "b.zip")
    whole = (tmp_path / "b.zip").read_bytes()
    (tmp_path / "b.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Damaged):
        restore_backup(tmp_path / "b.zip", Home(tmp_path / "other"))
    with pytest.raises(NotFound, match="no file"):
        restore_backup(tmp_path / "nowhere.zip", Home(tmp_path / "other"))
    with pytest.raises(NotFound, match="no profile"):
        write_backup(Home(tmp_path / "empty"), tmp_path / "b.zip")
    with pytest.raises(UsageError, match="elsewhere"):
        write_backup(home, home.root / "b.zip")


def test_a_full_disk_leaves_the_older_backup(home, tmp_path, monkeypatch):
    write_backup(home, tmp_path / "b.zip")
    before = (tmp_path / "b.zip").read_bytes()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(zipfile.ZipFile, "open", full)
        with pytest.raises(DiskFull):
            write_backup(home, tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "home"]


def test_a_profile_whose_folder_has_an_odd_name_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = Home(Path("50%23 of it? #1"))
    fill(odd)
    write_backup(odd, tmp_path / "b.zip")
    restore_backup(tmp_path / "b.zip", Home(tmp_path / "other"))
    assert state(Home(tmp_path / "other")) == state(odd)


def test_a_database_is_copied_where_the_backup_is_to_be_and_a_full_disk_is_said(home, tmp_path, monkeypatch):
    """Not to where the system keeps what is temporary, which is often small or held in memory."""
    where = []

    def small(path, *rest, **more):
        connection = connect(path, *rest, **more)
        if not more.get("uri"):
            where.append(Path(path))
            connection.execute("PRAGMA max_page_count = 2")
        return connection

    connect = sqlite3.connect
    monkeypatch.setattr(backup.sqlite3, "connect", small)
    with pytest.raises(DiskFull, match=r"b\.zip"):
        write_backup(home, tmp_path / "out" / "b.zip")
    assert all(path.is_relative_to(tmp_path / "out") for path in where) and where
    assert not list((tmp_path / "out").iterdir())


def test_a_database_that_does_not_read_back_is_said(home, tmp_path):
    home.database.write_bytes(b"x" * 8192)
    with pytest.raises(Damaged, match=r"night\.db does not read back"):
        write_backup(home, tmp_path / "b.zip")


def test_what_is_restored_is_on_the_disk_before_it_counts(home, tmp_path, monkeypatch):
    write_backup(home, tmp_path / "b.zip")
    flushed, flush = set(), os.fsync

    def told(handle):
        flushed.add(os.fstat(handle).st_ino)
        flush(handle)

    monkeypatch.setattr(os, "fsync", told)
    other = Home(tmp_path / "other")
    restore_backup(tmp_path / "b.zip", other)
    files = [other.database, other.config, *(path for path in other.slots.rglob("*") if path.is_file())]
    assert len(files) > 10 and {path.stat().st_ino for path in files} <= flushed


def test_a_kill_at_any_step_of_a_restore_loses_nothing(home, tmp_path):
    """Whatever is left, the same restore brings the backup, and what was there is there or aside."""
    write_backup(home, tmp_path / "b.zip")
    old = Home(tmp_path / "old")
    fill(old, "Another rule.")
    wanted, step = state(home), 1
    while True:
        victim = Home(tmp_path / f"step{step}")
        shutil.copytree(old.root, victim.root)
        survived = not killed_at(step, lambda: restore_backup(tmp_path / "b.zip", victim, replace=True))  # noqa: B023
        kept = [*victim.root.glob("before-restore-*/night.db"), *victim.root.glob("night.db")]
        rules = []
        for number, path in enumerate(kept):
            copy = tmp_path / f"copy{step}-{number}" / "night.db"
            copy.parent.mkdir()
            shutil.copy(path, copy)
            with Records(copy) as records:
                rules += [lesson.rule for lesson in records.lessons()]
        assert "Another rule." in rules
        restore_backup(tmp_path / "b.zip", victim, replace=True)
        assert state(victim) == wanted
        assert not list(victim.root.glob(".restore-*"))
        shutil.rmtree(victim.root)
        if survived:
            assert step > 20
            return
        step += 5 if step > 10 else 1


def test_names_that_a_profile_has_are_the_only_ones(tmp_path):
    good = ("night.db", "config.toml", "slots/a-b/slot.json", "slots/a/versions/000001/adapter_model.safetensors")
    bad = ("slots/a", "slots/a/.lock", "slots/../b/c", "slots/a/./b", "slots/a/b\n", "night.db/x", "engine.lock", "")
    assert all(backup._NAME.fullmatch(name) for name in good)
    assert not any(backup._NAME.fullmatch(name) for name in bad)


def revoked(home, *ids):
    home.trust.mkdir(exist_ok=True)
    rows = [Revocation(kind="bundle", id=one * 64, reason="bad", by="registry home", seen=1.0) for one in ids]
    (home.trust / REVOCATIONS).write_text(RevocationFile(revocations=rows).model_dump_json())


def test_what_is_known_of_publishers_comes_back_elsewhere(home, tmp_path):
    revoked(home, "a")
    (home.trust / "pins.json").write_text('{"pins":{}}')
    write_backup(home, tmp_path / "b.zip")
    other = Home(tmp_path / "other")
    restore_backup(tmp_path / "b.zip", other)
    assert (other.trust / "pins.json").read_text() == '{"pins":{}}'
    assert RevocationFile.model_validate_json((other.trust / REVOCATIONS).read_bytes()).revocations[0].id == "a" * 64


def test_a_backup_takes_no_revocation_back_and_no_pin(home, tmp_path):
    revoked(home, "a")
    (home.trust / "pins.json").write_text("older")
    write_backup(home, tmp_path / "b.zip")
    revoked(home, "b", "c")
    (home.trust / "pins.json").write_text("newer")
    restore_backup(tmp_path / "b.zip", home, replace=True)
    rows = RevocationFile.model_validate_json((home.trust / REVOCATIONS).read_bytes()).revocations
    assert [row.id[0] for row in rows] == ["b", "c", "a"]
    assert (home.trust / "pins.json").read_text() == "newer"


def test_a_damaged_list_of_revocations_is_not_written_over(home, tmp_path):
    revoked(home, "a")
    write_backup(home, tmp_path / "b.zip")
    (home.trust / REVOCATIONS).write_text("{")
    before = state(home)
    with pytest.raises(Damaged):
        restore_backup(tmp_path / "b.zip", home, replace=True)
    assert state(home) == before and (home.trust / REVOCATIONS).read_text() == "{"
