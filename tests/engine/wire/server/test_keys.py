"""Keys are kept as hashes, found whichever they are, and seen to change by a server that runs."""

from __future__ import annotations

import stat

import pytest

from nightschool.engine.wire.server import keys as module
from nightschool.engine.wire.server.allowance import Allowance
from nightschool.engine.wire.server.keys import KeyRing, add_key, list_keys, remove_key
from nightschool.schemas.errors import Damaged, NotFound, UsageError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "profile" / "keys.json"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.0)


def test_of_a_key_only_a_hash_is_kept(path):
    secret = add_key(path, "laptop", Allowance(sessions=3))
    (kept,) = list_keys(path)
    assert (kept.name, kept.allowance.sessions) == ("laptop", 3)
    assert secret not in path.read_text()
    assert len(secret) > 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_key_is_found_and_no_other(path):
    secrets = {name: add_key(path, name, Allowance()) for name in ("one", "two", "three")}
    ring = KeyRing(path, needed=True)
    for name, secret in secrets.items():
        assert ring.find(f"Bearer {secret}").name == name
        assert ring.find(f"bearer  {secret} ").name == name
    for wrong in ("", "Bearer", "Bearer ", f"Basic {secrets['one']}", f"Bearer {secrets['one']}x", "Bearer \udcff"):
        assert ring.find(wrong) is None


def test_without_keys_anybody_may_ask_unless_one_is_needed(path):
    assert KeyRing(path, needed=False).find("").name == "local"
    assert KeyRing(path, needed=True).find("") is None


def test_a_change_is_seen(path):
    ring = KeyRing(path, needed=False)
    secret = add_key(path, "one", Allowance())
    assert ring.find("") is None
    assert ring.find(f"Bearer {secret}").name == "one"
    remove_key(path, "one")
    assert ring.find(f"Bearer {secret}") is None
    assert ring.find("") is None  # the last one gone opens nothing
    path.write_text("nonsense")
    assert ring.find(f"Bearer {secret}") is None


def test_what_cannot_be_is_refused(path):
    add_key(path, "one", Allowance())
    with pytest.raises(UsageError, match="already"):
        add_key(path, "one", Allowance())
    for name in ("", "a b", "../x", "x" * 65, "-x"):
        with pytest.raises(UsageError, match="64 letters"):
            add_key(path, name, Allowance())
    with pytest.raises(NotFound, match="two"):
        remove_key(path, "two")
    path.write_text("{")
    with pytest.raises(Damaged, match="add the keys again"):
        list_keys(path)
