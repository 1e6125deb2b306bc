"""A file is written as a whole or not at all, whatever happens on the way; a fault of the disk is an error of ours."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from nightschool.engine import files
from nightschool.schemas.errors import DiskFull, Locked, StorageError


@pytest.mark.parametrize(("data", "read"), [("Grüße\n", "Grüße\n".encode()), (b"\x00\xff", b"\x00\xff"), ("", b"")])
def test_a_file_is_written_and_written_over(tmp_path, data, read):
    path = tmp_path / "file"
    path.write_text("old and longer than the new one")
    files.write_atomic(path, data)
    assert path.read_bytes() == read
    assert names(tmp_path) == ["file"]


def test_what_is_written_is_the_owners_alone(tmp_path):
    files.write_atomic(tmp_path / "file", "secret")
    assert (tmp_path / "file").stat().st_mode & 0o077 == 0


def names(folder):
    return [path.name for path in folder.iterdir()]


FAULTS = [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, StorageError)]
STEPS = ["tempfile.mkstemp", "pathlib.Path.write_bytes", "os.fsync", "pathlib.Path.replace"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("number", "cls"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, StorageError)]
)
def test_a_fault_at_any_step_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step, number, cls):
    path = tmp_path / "file"
    path.write_text("old")

    def fails(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(step, fails)
    with pytest.raises(cls) as caught:
        files.write_atomic(path, "new")
    assert type(caught.value) is cls
    assert str(path) in str(caught.value) and str(caught.value).count(".") >= 1
    assert path.read_text() == "old" and names(tmp_path) == ["file"]


def test_what_killed_writers_left_goes_and_what_may_still_be_written_stays(tmp_path):
    (tmp_path / "below").mkdir()
    old, young, other = tmp_path / "below" / ".a.x.part", tmp_path / ".b.y.part", tmp_path / "c.part"
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (1e9, 1e9))
    (tmp_path / ".gone.z.part").symlink_to("nowhere")  # as where another one removes it meanwhile
    files.remove_parts(tmp_path)
    assert not old.exists() and young.exists() and other.exists()


def test_ctrl_c_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomic(path, "new")
    assert path.read_text() == "old" and names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.parent.write_text("a file"), "Not a directory"),
        (lambda path: path.mkdir(parents=True), "directory"),
    ],
    ids=["no folder", "folder is a file", "file is a folder"],
)
def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path, make, word):
    path = tmp_path / "folder" / "file"
    make(path)
    with pytest.raises(StorageError, match=word):
        files.write_atomic(path, "new")


KILLED = """
import os, signal, sys
from pathlib import Path
from nightschool.engine import files

calls = 0
def dies(function):
    def step(*args, **kwargs):
        global calls
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return function(*args, **kwargs)
    return step

os.fsync, Path.replace, Path.write_bytes = dies(os.fsync), dies(Path.replace), dies(Path.write_bytes)
files.write_atomic(Path(sys.argv[1]), "new" * 10000)
"""


@pytest.mark.parametrize(("step", "left"), [(0, "old"), (1, "old"), (2, "old"), (3, "new" * 10000)])
def test_killed_before_any_step_the_file_is_the_old_or_the_new_one(tmp_path, step, left):
    path = tmp_path / "file"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(step)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == left


def test_the_data_is_on_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, files.Path.replace

    def note_fsync(handle):
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "data")
        fsync(handle)

    def note_replace(self, target):
        steps.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(files.Path, "replace", note_replace)
    files.write_atomic(tmp_path / "file", "new")
    assert steps == ["data", "name", "folder"]


def test_our_own_errors_pass_as_they_are(tmp_path):
    with pytest.raises(Locked), files.storage_errors(tmp_path):
        raise Locked("Held by another.")


def test_what_is_no_fault_of_the_disk_passes_as_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), files.storage_errors(tmp_path):
        raise ZeroDivisionError
