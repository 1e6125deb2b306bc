"""Packed weights compute what those they were made of do, and are never used where they do not belong."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
import torch

from nightschool.engine.base import halves
from nightschool.engine.base.lean import packed
from nightschool.engine.base.lean.model import LeanModel
from nightschool.engine.base.library import load
from nightschool.engine.base.numbers import Numbers
from nightschool.tests.tiny import save_tiny

IDS = [7, 3, 200, 41, 41, 90]


@pytest.fixture(scope="module", params=["llama", "qwen3", "qwen2"])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    save_tiny(path, request.param, hidden_size=64, head_dim=16, vocab_size=272)  # of sizes that the kernels take
    return path


@pytest.fixture
def base(folder, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    return load(copy)


def logits(base):
    trunk, tail = halves.open_trunk(base, 2), halves.open_tail(base, 2)
    with torch.no_grad():
        return tail.head(tail.sequences(trunk.sequences([IDS]))[0])


@pytest.fixture
def nothing_is_made(monkeypatch):
    def refuse(*_):
        raise AssertionError("the weights were made anew")

    return lambda: monkeypatch.setattr(LeanModel, "of", refuse)


@pytest.mark.parametrize("numbers", [Numbers.INT4, Numbers.INT8])
def test_packed_weights_say_the_same_without_being_made_again(base, numbers, nothing_is_made):
    made = base.computing_in(numbers)
    expected = logits(made)
    assert not halves.is_packed(made)
    halves.pack(made)
    nothing_is_made()
    again = base.computing_in(numbers)
    assert halves.is_packed(again)
    assert torch.equal(logits(again), expected)


@pytest.mark.parametrize("numbers", [Numbers.FP32, Numbers.BF16])
def test_dense_weights_are_not_packed(base, numbers):
    dense = base.computing_in(numbers)
    logits(dense)
    halves.pack(dense)
    assert not list(base.folder.glob("packed*"))


def test_what_does_not_belong_here_is_not_used(base, monkeypatch):
    made = base.computing_in(Numbers.INT4)
    halves.pack(made)
    other = dataclasses.replace(made, card=made.card.model_copy(update={"fingerprint": "0" * 64}), kept={})
    assert not halves.is_packed(other)
    monkeypatch.setattr(packed, "_machine", lambda: "another processor")
    assert not halves.is_packed(made)


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"\xff" * 40])
def test_a_spoilt_file_is_made_anew(base, spoil):
    made = base.computing_in(Numbers.INT4)
    expected = logits(made)
    halves.pack(made)
    path = packed.packed_path(base.folder, Numbers.INT4)
    path.write_bytes(spoil(path.read_bytes()))
    again = base.computing_in(Numbers.INT4)
    assert torch.equal(logits(again), expected)
    halves.pack(again)
    assert halves.is_packed(again)


def test_packed_weights_lie_where_the_kernels_can_read_them(base):
    made = base.computing_in(Numbers.INT4)
    halves.pack(made)
    with packed.packed_path(base.folder, Numbers.INT4).open("rb") as file:
        assert (8 + int.from_bytes(file.read(8), "little")) % 64 == 0
