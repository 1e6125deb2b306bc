"""The hub, seen from a machine that cannot reach it, and through a stand-in that can be asked."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

from nightschool.engine.base import hub
from nightschool.engine.base.library import load, prepare
from nightschool.engine.paths import Home
from nightschool.schemas.errors import ModelNotFound, UnsupportedFamily

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def quiet(stage, fraction):
    """Hear of progress and say nothing."""


def answers(error):
    response = httpx2.Response(404, request=httpx2.Request("GET", "https://huggingface.co/api"))
    return error("said by the hub", response=response) if error is RepositoryNotFoundError else error("no network")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx2.ConnectError, "cannot be reached"),
        (OfflineModeIsEnabled, "HF_HUB_OFFLINE"),
        (RepositoryNotFoundError, "Neither a folder nor a model"),
    ],
)
def test_every_way_of_not_getting_an_answer_has_its_sentence(monkeypatch, tmp_path, error, said):
    def refuse(*_, **__):
        raise answers(error)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    with pytest.raises(ModelNotFound, match=said) as caught:
        prepare("some/model@main", Home(tmp_path), quiet)
    assert "some/model@main" in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "name", "revision"),
    [
        ("a/b", "a/b", None),
        ("Qwen/Qwen2.5-0.5B@main", "Qwen/Qwen2.5-0.5B", "main"),
        ("a/b@refs/pr/1", "a/b", "refs/pr/1"),
    ],
)
def test_names_and_revisions_are_read(spec, name, revision):
    assert hub.parse(spec) == hub.Address(name, revision)


class StandIn:
    """A hub with one model in it, that counts what is fetched."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.fetched = []
        self.broken = False
        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", self.model_info)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.download)

    def model_info(self, name, revision=None):
        names = [path.name for path in self.folder.iterdir()] + [
            "original/model.safetensors",
            "consolidated.safetensors",
            "evil.py",
        ]
        return SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=name) for name in sorted(names)])

    def download(self, name, *, revision, local_dir, allow_patterns):
        assert revision == COMMIT
        for pattern in allow_patterns:
            if pattern == "model.safetensors" and self.broken:
                raise httpx2.ReadError("connection reset")
            if not (local_dir / pattern).exists():
                self.fetched.append(pattern)
                shutil.copy(self.folder / pattern, local_dir)


def test_a_model_is_fetched_once_pinned_and_then_used_offline(monkeypatch, tmp_path, tiny_base_folder, tiny_base):
    stand_in = StandIn(tiny_base_folder, monkeypatch)
    home = Home(tmp_path)
    stand_in.broken = True
    with pytest.raises(ModelNotFound, match="continues where it stopped"):
        prepare("owner/tiny", home, quiet)
    stand_in.broken = False
    folder = prepare("owner/tiny", home, quiet)
    assert sorted(stand_in.fetched) == sorted(path.name for path in tiny_base_folder.iterdir())
    card = load(folder).card
    assert card.fingerprint == tiny_base.card.fingerprint
    assert card.source == f"huggingface.co/owner/tiny@{COMMIT}"
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: pytest.fail("asked the hub again"))
    assert prepare("owner/tiny", home, quiet) == folder


def test_an_unsupported_family_is_refused_before_its_weights_are_fetched(monkeypatch, tmp_path, tiny_base_folder):
    folder = shutil.copytree(tiny_base_folder, tmp_path / "gpt2")
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    stand_in = StandIn(folder, monkeypatch)
    with pytest.raises(UnsupportedFamily, match="'gpt2'"):
        prepare("owner/gpt2", Home(tmp_path / "home"), quiet)
    assert stand_in.fetched == ["config.json"]


def test_a_model_without_safetensors_is_refused(monkeypatch, tmp_path, tiny_base_folder):
    folder = shutil.copytree(tiny_base_folder, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    StandIn(folder, monkeypatch)
    with pytest.raises(ModelNotFound, match="no safetensors"):
        prepare("owner/pickled", Home(tmp_path / "home"), quiet)
