"""GGUF files of any supported family: unpacked once, computed as they were, refused in one sentence."""

from __future__ import annotations

import os
from collections import namedtuple

import psutil
import pytest
import torch

from nightschool.engine.base.library import load, prepare
from nightschool.engine.paths import Home
from nightschool.schemas.errors import DiskFull, ModelDamaged, ModelError, ModelNotFound, UnsupportedFamily
from nightschool.tests.tiny_gguf import save_tiny_gguf


def quiet(stage, fraction):
    """Hear of progress and say nothing."""


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_an_unpacked_file_computes_what_the_model_did(tmp_path, home, family):
    windows = {"use_sliding_window": False} if family == "qwen2" else {}
    model = save_tiny_gguf(tmp_path / "Tiny.GGUF", family, **windows)
    folder = prepare(str(tmp_path / "Tiny.GGUF"), home, quiet)
    base = load(folder)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        assert torch.allclose(base.model(ids).logits, model(ids).logits, atol=1e-5)
    assert (base.card.name, base.card.family) == ("Tiny", family)
    assert base.card.source == str(tmp_path / "Tiny.GGUF")
    assert base.tokenizer.chat_template
    assert 257 in base.card.end_of_turn


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1"])
def test_a_quantised_file_is_read(tmp_path, home, kind):
    model = save_tiny_gguf(tmp_path / "tiny.gguf", kind=kind)
    base = load(prepare(str(tmp_path / "tiny.gguf"), home, quiet))
    near, far = base.model.state_dict(), model.state_dict()
    name = "model.layers.2.mlp.up_proj.weight"
    assert 0 < (near[name] - far[name]).abs().max() < (0.01 if kind == "Q8_0" else 0.05)


def test_an_unpacked_file_is_used_again_also_when_it_is_gone(tmp_path, home, monkeypatch):
    file = tmp_path / "tiny.gguf"
    save_tiny_gguf(file)
    folder = prepare(str(file), home, quiet)
    file.unlink()
    monkeypatch.chdir(tmp_path)
    assert prepare(str(file), home, quiet) == prepare("tiny.gguf", home, quiet) == folder


def test_a_family_that_cannot_be_cut_is_refused_before_it_is_unpacked(tmp_path, home, monkeypatch):
    file = tmp_path / "tiny.gguf"
    save_tiny_gguf(file)
    file.write_bytes(file.read_bytes().replace(b"llama", b"gemma"))
    with pytest.raises(UnsupportedFamily, match=r"'gemma' of tiny\.gguf"):
        prepare(str(file), home, quiet)


@pytest.mark.parametrize("spoil", [lambda file: os.truncate(file, 20_000), lambda file: file.write_bytes(b"not one")])
def test_a_spoilt_file_is_refused(tmp_path, home, spoil):
    file = tmp_path / "tiny.gguf"
    save_tiny_gguf(file)
    spoil(file)
    with pytest.raises(ModelDamaged) as caught:
        prepare(str(file), home, quiet)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path, home):
    with pytest.raises(ModelNotFound, match="There is no"):
        prepare(str(tmp_path / "none.gguf"), home, quiet)


def test_too_little_memory_or_disk_is_said_before_anything_is_unpacked(tmp_path, home, monkeypatch):
    file = tmp_path / "tiny.gguf"
    save_tiny_gguf(file)
    usage, memory = namedtuple("usage", "total used free"), namedtuple("memory", "total available")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(1, 1, 1000))
    with pytest.raises(DiskFull, match=r"takes 0 MB unpacked"):
        prepare(str(file), home, quiet)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(1000, 1000))
    with pytest.raises(ModelError, match="of memory and this machine has"):
        prepare(str(file), home, quiet)
