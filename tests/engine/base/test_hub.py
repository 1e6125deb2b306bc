"""The hub, seen from a machine that cannot reach it, and through a stand-in that can be asked."""

from __future__ import annotations

import shutil
from collections import namedtuple

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

from nightschool.engine.base import hub
from nightschool.engine.base.library import load, prepare
from nightschool.engine.paths import Home
from nightschool.schemas.errors import DiskFull, ModelDamaged, ModelNotFound, UnsupportedFamily
from nightschool.tests.hub_server import COMMIT, FakeHub


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


@pytest.fixture
def fake_hub(monkeypatch, tiny_base_folder):
    """A hub with the tiny model, where the library looks for one."""
    monkeypatch.setattr("nightschool.engine.base.download._TRIES", 1)
    with FakeHub(tiny_base_folder) as serving:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", serving.address)
        template = serving.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield serving


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_model_is_fetched_once_pinned_and_then_used_offline(monkeypatch, tmp_path, fake_hub, tiny_base):
    home = Home(tmp_path)
    folder = prepare("owner/tiny", home, quiet)
    assert sorted(name for name, _ in fake_hub.got) == names(fake_hub.folder)
    assert names(folder) == sorted([*names(fake_hub.folder), "card.json", "nightschool.json", "tensors.json"])
    card = load(folder).card
    assert card.fingerprint == tiny_base.card.fingerprint
    assert (card.source, card.licence) == (f"huggingface.co/owner/tiny@{COMMIT}", "mit")
    assert prepare("owner/tiny@main", home, quiet) == folder
    assert len(fake_hub.got) == len(names(fake_hub.folder)), "the same commit was fetched again under another name"
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: pytest.fail("asked the hub again"))
    assert prepare("owner/tiny", home, quiet) == folder
    assert prepare(f"owner/tiny@{COMMIT}", home, quiet) == folder


def test_a_name_without_revision_is_met_by_whichever_is_here(monkeypatch, tmp_path, fake_hub):
    home = Home(tmp_path)
    folder = prepare("owner/tiny@main", home, quiet)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: pytest.fail("asked the hub"))
    assert prepare("owner/tiny", home, quiet) == folder


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_at_its_byte(tmp_path, fake_hub, ranges):
    home, size = Home(tmp_path), (fake_hub.folder / "model.safetensors").stat().st_size
    fake_hub.break_at, fake_hub.ranges = size // 2, ranges
    with pytest.raises(ModelNotFound, match="continues where it stopped"):
        prepare("owner/tiny", home, quiet)
    (part,) = home.models.glob(".*.part")
    there = (part / "model.safetensors.incomplete").stat().st_size
    assert 0 < there < size
    fake_hub.break_at = None
    folder = prepare("owner/tiny", home, quiet)
    assert [first for name, first in fake_hub.got if name == "model.safetensors"][-1] == (there if ranges else 0)
    assert len([name for name, _ in fake_hub.got if name == "tokenizer.json"]) == 1
    assert (folder / "model.safetensors").read_bytes() == (fake_hub.folder / "model.safetensors").read_bytes()
    assert not part.exists()


def test_a_connection_that_breaks_is_taken_up_again_by_itself(tmp_path, fake_hub, monkeypatch):
    monkeypatch.setattr("nightschool.engine.base.download._TRIES", 3)
    fake_hub.break_at, fake_hub.breaks = 20_000, 1
    prepare("owner/tiny", Home(tmp_path), lambda *_: None)
    firsts = [first for name, first in fake_hub.got if name == "model.safetensors"]
    assert firsts[0] == 0 and len(firsts) == 2 and firsts[1] >= 16_384


def test_progress_is_told_by_bytes(tmp_path, fake_hub, monkeypatch):
    monkeypatch.setattr("nightschool.engine.base.hub._TELL_SECONDS", 0.0)
    told = []
    prepare("owner/tiny", Home(tmp_path), lambda *words: told.append(words))
    shares = [share for words, share in told if words.startswith("Fetching model.safetensors, ")]
    assert len(shares) >= 2 and shares == sorted(shares) and shares[-1] <= 0.9
    assert all(words.endswith(" MB") for words, _ in told if words.startswith("Fetching"))


@pytest.mark.parametrize("lie", [{"sha256": "0" * 64}])
def test_what_is_not_what_the_hub_says_is_refused_and_not_kept(tmp_path, fake_hub, lie):
    fake_hub.lie = lie
    with pytest.raises(ModelDamaged, match="did not arrive as the hub describes it"):
        prepare("owner/tiny", Home(tmp_path), quiet)
    (part,) = Home(tmp_path).models.glob(".*.part")
    assert not [name for name in names(part) if name.startswith("model.safetensors")]


def test_a_model_behind_terms_says_how_to_accept_them(tmp_path, fake_hub):
    fake_hub.gated = True
    with pytest.raises(ModelNotFound, match="accept its terms"):
        prepare("owner/tiny", Home(tmp_path), quiet)


def test_a_disk_that_cannot_hold_it_is_said_before_the_weights(tmp_path, fake_hub, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(DiskFull, match=r"owner/tiny needs 0 MB more"):
        prepare("owner/tiny", Home(tmp_path), quiet)
    assert fake_hub.got == []


def test_an_unsupported_family_is_refused_before_its_weights_are_fetched(tmp_path, fake_hub):
    fake_hub.folder = shutil.copytree(fake_hub.folder, tmp_path / "gpt2")
    (fake_hub.folder / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UnsupportedFamily, match="'gpt2'"):
        prepare("owner/tiny", Home(tmp_path / "home"), quiet)
    assert fake_hub.got == [("config.json", 0)]


def test_a_model_without_safetensors_is_refused(tmp_path, fake_hub):
    fake_hub.folder = shutil.copytree(fake_hub.folder, tmp_path / "pickled")
    (fake_hub.folder / "model.safetensors").rename(fake_hub.folder / "pytorch_model.bin")
    with pytest.raises(ModelNotFound, match="no safetensors"):
        prepare("owner/tiny", Home(tmp_path / "home"), quiet)


def test_a_name_that_the_hub_does_not_know_is_refused(tmp_path, fake_hub):
    with pytest.raises(ModelNotFound, match="Neither a folder nor a model"):
        prepare("owner/other", Home(tmp_path), quiet)
