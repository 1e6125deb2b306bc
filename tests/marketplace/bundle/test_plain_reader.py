"""A reader that was written from docs/bundle.md alone opens every good bundle, and refuses every hostile one."""

from __future__ import annotations

import pytest

from nightschool.marketplace.bundle.reading import read_manifest

from . import plain_reader
from .hostile import HOSTILE, good, raw_files
from .making import BASE, KEY, OTHER, SHAPES, factors, make, safetensors

HERE = ("tiny-llama", BASE.fingerprint, SHAPES)
IDS = [f"{number}-{name}" for number, name, _, _ in HOSTILE]


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_it_opens_good_bundles(tmp_path, dtype):
    tensors = factors()
    if dtype == "BF16":
        tensors = {name: (values.view("<u4") >> 16).astype("<u2") for name, values in tensors.items()}
    raw = safetensors(tensors, dtype)
    file = make(tmp_path, raw=raw, keys=[KEY, OTHER], threshold=2)
    found = plain_reader.read(file.read_bytes(), HERE)
    assert found["weights"] == raw and set(found) == {"weights", "config", "card", "metrics"}
    assert read_manifest(file)[0].predicate.files[-1].codec == "stp1"


def test_it_unpacks_what_we_unpack():
    found, ours = plain_reader.read(good(), HERE), raw_files()
    assert found == ours


@pytest.mark.parametrize(("number", "name", "code", "make"), HOSTILE, ids=IDS)
def test_it_refuses_every_hostile_one(number, name, code, make):
    with pytest.raises(ValueError):
        plain_reader.read(make(), HERE)
