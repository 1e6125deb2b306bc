"""Good bundles and weights, damaged at random: refused in words, or nothing was changed; never a crash, never long.

Two thousand by default; ``NIGHTSCHOOL_MUTATIONS=1000000 pytest -o timeout=0`` takes some hours, for once in a while.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightschool.marketplace import dsse
from nightschool.marketplace.bundle import ustar
from nightschool.marketplace.bundle.importing import Base, taken
from nightschool.marketplace.bundle.manifest import verified
from nightschool.marketplace.bundle.reading import manifest_member
from nightschool.marketplace.bundle.tensors import read_header
from nightschool.schemas.bundle import PAYLOAD_TYPE
from nightschool.schemas.errors import MarketError

from .hostile import bundle, good, parts, raw_files, with_file
from .making import BASE, KEY, SHAPES

MANY = int(os.environ.get("NIGHTSCHOOL_MUTATIONS", "2000"))
MOST_SECONDS, MOST_MEMORY = 5.0, 100 << 20


def trusting(signed):
    """Trust everybody."""


def here(base):
    return Base(BASE.fingerprint, SHAPES)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Return data with one to four places changed, cut, repeated, moved or grown."""
    work = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(work)) if work else 0
        length = min(chance.choice((1, 1, 1, 4, 8, 64, 512)), len(work) - start)
        match chance.randrange(7):
            case 0:
                work[start : start + 1] = bytes([work[start] ^ 1 << chance.randrange(8)]) if work else b"x"
            case 1:
                work[start : start + length] = chance.randbytes(length)
            case 2:
                del work[start : start + length]
            case 3:
                work[start:start] = work[start : start + length]
            case 4:
                work[start : start + length] = bytes(length)
            case 5:
                other = chance.randrange(len(work)) if work else 0
                work[start : start + length] = work[other : other + length]
            case 6:
                work[start : start + length] = b"\xff" * length
    return bytes(work)


def test_a_damaged_bundle_is_refused_or_is_what_was_signed(tmp_path):
    chance = random.Random(7)
    file = tmp_path / "x.slot"
    identity = verified(manifest_member(good())).id
    tracemalloc.start()
    for _ in range(MANY // 4):
        data = damaged(good(), chance)
        file.write_bytes(data)
        began = time.monotonic()
        try:
            with taken(file, tmp_path / "q", trust=trusting, find_base=here) as found:
                assert found.signed.id == identity
                assert (found.folder / "adapter_model.safetensors").read_bytes() == raw_files()["weights"]
        except MarketError as error:
            assert error.code
        assert time.monotonic() - began < MOST_SECONDS
    assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    tracemalloc.stop()
    assert [path.name for path in (tmp_path / "q").iterdir()] == [".lock"]


@pytest.mark.parametrize("role", ["weights", "config", "card", "metrics"])
def test_damaged_files_that_are_signed_are_taken_only_whole(tmp_path, role):
    """Whoever packs may sign anything: the checks below the signature stand alone."""
    chance = random.Random(role)
    file, raw = tmp_path / "x.slot", raw_files()[role]
    for _ in range(MANY // 40):
        file.write_bytes(with_file(role, raw=damaged(raw, chance) or b"x"))
        with (
            contextlib.suppress(MarketError),
            taken(file, tmp_path / "q", trust=trusting, find_base=here) as found,
        ):
            weights = (found.folder / "adapter_model.safetensors").read_bytes()
            import safetensors.numpy

            names = safetensors.numpy.load(weights).keys()
            assert len(names) == 8


def test_damaged_blobs_that_are_signed_unpack_to_what_is_said_or_not_at_all(tmp_path):
    chance = random.Random(11)
    file = tmp_path / "x.slot"
    for turn in range(MANY // 20):
        role = ("weights", "card", "metrics")[turn % 3]
        blob = parts()[1][role]
        file.write_bytes(with_file(role, blob=damaged(blob, chance), keep=True))
        began = time.monotonic()
        with (
            contextlib.suppress(MarketError),
            taken(file, tmp_path / "q", trust=lambda s: None, find_base=here) as found,
        ):
            assert (found.folder / "adapter_model.safetensors").read_bytes() == raw_files()["weights"]
        assert time.monotonic() - began < MOST_SECONDS


def test_a_damaged_manifest_that_is_signed_is_refused_or_whole(tmp_path):
    chance = random.Random(13)
    file = tmp_path / "x.slot"
    payload, blobs = parts()
    data = json.dumps(payload).encode()
    for _ in range(MANY // 10):
        file.write_bytes(bundle(damaged(data, chance), blobs))
        with (
            contextlib.suppress(MarketError),
            taken(file, tmp_path / "q", trust=lambda s: None, find_base=here) as found,
        ):
            assert found.manifest.predicate.format == 1


class Bytes:
    """A span over bytes."""

    def __init__(self, data):
        self.data, self.size = data, len(data)

    def at(self, offset, size):
        return self.data[offset : offset + size]

    whole = at


@settings(max_examples=min(MANY // 4, 100_000), deadline=2000, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_a_damaged_header_of_weights_is_refused_or_leaves_no_byte_out(chance):
    data = damaged(raw_files()["weights"], chance)
    try:
        header = read_header(Bytes(data))
    except MarketError:
        return
    covered = sum(tensor.end - tensor.start for pair in header.pairs.values() for tensor in pair)
    assert covered + header.data == len(data)


@settings(max_examples=min(MANY // 4, 100_000), deadline=2000, derandomize=True)
@given(st.binary(max_size=2000), st.sampled_from(["all", "header", "envelope"]))
def test_any_bytes_are_refused_in_words(data, what):
    if what == "header":
        data = ustar.header(ustar.MANIFEST_NAME, len(data)) + data
    elif what == "envelope":
        member = dsse.sign(data, PAYLOAD_TYPE, [KEY])
        data = ustar.header(ustar.MANIFEST_NAME, len(member)) + member
    with pytest.raises(MarketError):
        verified(manifest_member(data))
