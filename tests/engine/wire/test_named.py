"""Naming servers: the key lies where nobody else can read it, and a crash leaves no server without its key."""

import os
import subprocess
import sys

import pytest

from nightschool.engine.paths import Home
from nightschool.engine.settings import ServerSettings, read_settings
from nightschool.engine.wire import named
from nightschool.engine.wire.named import add_provider, known_providers, read_key, remove_provider
from nightschool.schemas.errors import NotFound, StorageError, UsageError
from nightschool.schemas.records import Slot

SERVER = ServerSettings(url="https://gpu.home")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def test_a_key_is_for_the_users_eyes_alone_and_never_a_setting(home):
    old = os.umask(0)
    try:
        add_provider(home, "gpu", SERVER, "secret")
    finally:
        os.umask(old)
    kept = read_settings(home).servers["gpu"]
    assert read_key(kept.key_file) == "secret"
    assert home.provider_keys.stat().st_mode & 0o077 == 0
    assert (home.provider_keys / "gpu.key").stat().st_mode & 0o077 == 0
    assert "secret" not in home.config.read_text()
    remove_provider(home, "gpu", [])
    assert list(home.provider_keys.iterdir()) == []


def test_a_key_of_the_users_own_file_stays_there(home, tmp_path, monkeypatch):
    (tmp_path / "my.key").write_text("secret\n")
    monkeypatch.chdir(tmp_path)
    add_provider(home, "gpu", SERVER.model_copy(update={"key_file": "my.key"}))
    assert read_settings(home).servers["gpu"].key_file == str(tmp_path / "my.key")
    remove_provider(home, "gpu", [])
    assert (tmp_path / "my.key").exists()


@pytest.mark.parametrize(
    ("changes", "token", "error"),
    [
        ({"url": "http://gpu.home"}, "", UsageError),
        ({"url": "gpu.home"}, "", UsageError),
        ({}, "two words", UsageError),
        ({"key_file": "/nowhere/key"}, "", NotFound),
        ({"key_file": "/nowhere/key"}, "secret", UsageError),
    ],
)
def test_what_cannot_be_used_is_not_named(home, changes, token, error):
    with pytest.raises(error):
        add_provider(home, "gpu", SERVER.model_copy(update=changes), token)
    assert not home.config.exists() and not home.provider_keys.exists()


def test_the_key_of_another_server_is_not_overwritten(home):
    add_provider(home, "gpu", SERVER, "first")
    for name in ("gpu", "../gpu", "../../outside"):
        with pytest.raises(UsageError):
            add_provider(home, name, SERVER, "second")
    assert read_key(read_settings(home).servers["gpu"].key_file) == "first"
    assert sorted(path.name for path in home.root.iterdir()) == ["config.toml", "config.toml.lock", "provider-keys"]


def test_a_server_that_a_slot_needs_stays(home):
    add_provider(home, "gpu", SERVER)
    slots = [Slot(name="lab", title="Lab", provider="gpu")]
    assert known_providers(home, slots).servers[0].slots == ["lab"]
    with pytest.raises(UsageError, match="lab"):
        remove_provider(home, "gpu", slots)


def test_a_full_disk_names_no_server_without_its_key(home, monkeypatch):
    def full(path, data):
        raise StorageError("No space is left.")

    monkeypatch.setattr(named, "write_atomic", full)
    with pytest.raises(StorageError):
        add_provider(home, "gpu", SERVER, "secret")
    assert read_settings(home).servers == {}


KILLED = """
import os, signal, sys
from pathlib import Path
from nightschool.engine import files
from nightschool.engine.paths import Home
from nightschool.engine.settings import ServerSettings
from nightschool.engine.wire.named import add_provider, remove_provider

left = int(sys.argv[2])
def counted(call):
    def counting(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return counting
os.fsync, Path.replace, Path.unlink = counted(os.fsync), counted(Path.replace), counted(Path.unlink)
home = Home(Path(sys.argv[1]))
if sys.argv[3] == "add":
    add_provider(home, "gpu", ServerSettings(url="https://gpu.home"), "secret")
else:
    remove_provider(home, "gpu", [])
"""


@pytest.mark.parametrize("what", ["add", "remove"])
def test_a_kill_at_any_moment_leaves_a_server_with_its_key_or_none(home, what):
    for moment in range(20):
        home = Home(home.root.parent / f"{what}-{moment}")
        if what == "remove":
            add_provider(home, "gpu", SERVER, "secret")
        done = subprocess.run([sys.executable, "-c", KILLED, str(home.root), str(moment), what], check=False)
        servers = read_settings(home).servers
        assert not servers or read_key(servers["gpu"].key_file) == "secret"
        if not servers:  # it can be named again
            add_provider(home, "gpu", SERVER, "other")
            assert read_key(read_settings(home).servers["gpu"].key_file) == "other"
        if done.returncode == 0:
            break
    assert moment > 2 and done.returncode == 0
