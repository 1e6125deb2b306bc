"""What lies in a profile: named in every way a user may name it, sized, removed without a half left."""

from __future__ import annotations

import shutil

import pytest

from nightschool.engine.base import installed as room
from nightschool.engine.base.installed import find_installed, installed, leftovers, remove
from nightschool.engine.base.library import prepare
from nightschool.engine.base.weights import MANIFEST
from nightschool.engine.paths import Home


def quiet(stage, fraction):
    """Hear of progress and say nothing."""


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def prepared(home, tmp_path, tiny_base_folder):
    """A profile with one base, of the folder ``model``."""
    shutil.copytree(tiny_base_folder, tmp_path / "model")
    return prepare(str(tmp_path / "model"), home, quiet)


def test_an_empty_profile_has_none(home):
    assert installed(home) == [] and leftovers(home) == {} and find_installed("default", home) is None


def test_a_base_answers_to_its_source_and_its_folder(home, prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for spec in (str(tmp_path / "model"), "model", "./model", prepared.name, str(prepared)):
        found = find_installed(spec, home)
        assert found is not None and found.folder == prepared, spec
        assert found.spec == str(tmp_path / "model")
    assert find_installed("owner/model", home) is None


def test_its_sizes_are_read_from_its_files(home, prepared, tiny_base):
    (found,) = installed(home)
    parameters = sum(parameter.numel() for parameter in tiny_base.model.parameters())
    assert found.sizes() == (parameters, 260 * 32)
    assert found.card.fingerprint == tiny_base.card.fingerprint
    linked = sum(path.stat().st_size for path in prepared.iterdir() if path.is_symlink())
    assert found.size < linked, "files that are only linked were counted"


def test_a_spoilt_one_is_listed_with_its_trouble(home, prepared):
    (prepared / MANIFEST).write_text("{")
    (found,) = installed(home)
    assert found.trouble and found.card is None and found.answers_to(prepared.name)
    (prepared / MANIFEST).unlink()
    assert installed(home) == []


def test_removing_frees_the_disk_and_leaves_the_user_s_own_files(home, prepared, tmp_path):
    (prepared / "packed").write_bytes(b"x" * 10_000)
    assert remove(prepared) > 10_000
    assert installed(home) == [] and leftovers(home) == {}
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_a_removal_that_breaks_off_leaves_no_half_base(home, prepared, monkeypatch):
    def killed(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(room.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove(prepared)
    assert installed(home) == []
    ((name, (folder, size)),) = leftovers(home).items()
    assert name == "model" and size > 0
    monkeypatch.undo()
    assert remove(folder) == size and leftovers(home) == {}
