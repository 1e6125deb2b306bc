"""Good bundles: what is packed comes out again, byte for byte, and nothing else does."""

from __future__ import annotations

import json
import subprocess
import tarfile

import numpy as np
import pytest

from nightschool.marketplace.bundle import limits, reading
from nightschool.marketplace.bundle.importing import Base, taken
from nightschool.marketplace.bundle.reading import read_manifest, read_verified
from nightschool.schemas.errors import MarketError

from .making import BASE, KEY, OTHER, SHAPES, draft, factors, make, safetensors


def trusting(signed):
    """Trust everybody."""


def here(base):
    return Base(BASE.fingerprint, SHAPES)


def nowhere(base):
    return None


def as_bits(values: np.ndarray) -> np.ndarray:
    return (values.astype("<f4").view("<u4") >> 16).astype("<u2")


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_what_is_packed_comes_out_again(tmp_path, dtype):
    tensors = factors()
    raw = safetensors({name: as_bits(v) if dtype == "BF16" else v for name, v in tensors.items()}, dtype)
    file = make(tmp_path, raw=raw)
    with taken(file, tmp_path / "quarantine", trust=trusting, find_base=here) as found:
        assert (found.folder / "adapter_model.safetensors").read_bytes() == raw
        assert found.fits and found.card_text == draft().card_text
        assert found.scan == found.manifest.predicate.safety.scan
        config = json.loads((found.folder / "adapter_config.json").read_bytes())
        assert (config["r"], config["lora_alpha"]) == (4, 4)
        assert config["target_modules"] == ["q_proj", "v_proj"] and config["layers_to_transform"] == [2, 3]
    assert [entry.name for entry in (tmp_path / "quarantine").iterdir()] == [".lock"]


def test_the_same_version_is_the_same_bytes(tmp_path):
    one = make(tmp_path, keys=[KEY, OTHER], name="one.slot").read_bytes()
    assert make(tmp_path, keys=[OTHER, KEY], name="other.slot").read_bytes() == one
    assert make(tmp_path, name="third.slot").read_bytes() != one


def test_a_manifest_needs_the_first_257_kib_alone(tmp_path, monkeypatch):
    file = make(tmp_path)
    whole = file.read_bytes()
    (tmp_path / "head.slot").write_bytes(whole[: limits.LISTING])
    read = []
    pread = reading.Span.at
    monkeypatch.setattr(
        reading.Span, "at", lambda self, offset, size: read.append(offset + size) or pread(self, offset, size)
    )
    manifest, identity = read_manifest(file)
    assert max(read) <= limits.LISTING
    assert (manifest.slot.name, manifest.slot.seq, manifest.card.title) == ("captain", 3, "Captain")
    signed = read_verified(tmp_path / "head.slot")
    assert (signed.manifest, signed.id, signed.signers) == (manifest, identity, (KEY.public,))


def test_plain_tar_reads_it(tmp_path):
    file = make(tmp_path)
    manifest, _ = read_manifest(file)
    names = ["manifest.dsse.json", *(f"blobs/sha256/{row.blob}" for row in manifest.predicate.files)]
    with tarfile.open(file) as archive:
        assert archive.getnames() == names
    assert subprocess.run(["tar", "tf", file], capture_output=True, text=True, check=True).stdout.split() == names


def test_a_base_that_is_not_here_is_no_reason_to_refuse(tmp_path):
    with taken(make(tmp_path), tmp_path / "quarantine", trust=trusting, find_base=nowhere) as found:
        assert not found.fits


def test_bf16_weights_of_an_adapter_take_a_third_less(tmp_path):
    shapes = {(0, "self_attn.q_proj"): (768, 768)}
    raw = safetensors({name: as_bits(v) for name, v in factors(rank=16, shapes=shapes).items()}, "BF16")
    (row,) = [row for row in read_manifest(make(tmp_path, raw=raw))[0].predicate.files if row.role == "weights"]
    assert row.codec == "stp1" and row.blob_size / row.raw_size < 0.72


@pytest.mark.parametrize("text", ["a\rb", "# Card \u202e"])
def test_no_card_is_packed_that_no_reader_takes(tmp_path, text):
    with pytest.raises(MarketError) as refused:
        make(tmp_path, card_text=text)
    assert refused.value.code == "text" and not (tmp_path / "captain.slot").exists()
