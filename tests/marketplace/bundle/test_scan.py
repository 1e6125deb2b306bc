"""The look at the weights: exact without forming an update, and loud about one that is far from its kind."""

from __future__ import annotations

import json
import tracemalloc
from typing import get_args

import numpy as np
import pytest

from nightschool.marketplace.bundle.scan import scan
from nightschool.marketplace.bundle.span import Span
from nightschool.marketplace.bundle.tensors import read_header
from nightschool.schemas.bundle import ScanPart

from .making import assembled, factors, safetensors

MANY = {(layer, "mlp.down_proj"): (24, 32) for layer in range(12)}


class Bytes:
    """A span over bytes."""

    def __init__(self, data):
        self.data, self.size = data, len(data)

    def at(self, offset, size):
        return self.data[offset : offset + size]

    whole = at


def looked(tensors, scale=1.0):
    file = Bytes(safetensors(tensors))
    return scan(file, read_header(file), scale)


def products(tensors):
    names = [name for name in tensors if "lora_A" in name]
    return [tensors[name.replace("lora_A", "lora_B")].astype(float) @ tensors[name].astype(float) for name in names]


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_norms_are_those_of_the_whole_updates(scale):
    tensors = factors(shapes=MANY)
    found = looked(tensors, scale).stats
    values = [np.linalg.svd(scale * product, compute_uv=False) for product in products(tensors)]
    assert found["norm_max"] == pytest.approx(max(np.linalg.norm(one) for one in values), rel=1e-5)
    assert found["spectral_max"] == pytest.approx(max(one[0] for one in values), rel=1e-5)
    share = max(one[0] ** 2 / (one**2).sum() for one in values)
    assert found["top_share_max"] == pytest.approx(share, rel=1e-5)
    assert found["norm_total"] == pytest.approx(np.linalg.norm(np.concatenate(values)), rel=1e-5)


def test_what_is_usual_is_not_pointed_out():
    assert looked(factors(shapes=MANY)).verdict == "nothing-found"


def test_one_update_far_from_its_kind_asks_for_a_look():
    tensors = factors(shapes=MANY)
    name = "base_model.model.model.layers.7.mlp.down_proj.lora_B.weight"
    tensors[name] = tensors[name] * 300
    assert looked(tensors).verdict == "review"


def test_one_direction_that_stands_out_asks_for_a_look():
    tensors = factors(shapes=MANY)
    name = "base_model.model.model.layers.7.mlp.down_proj.lora_B.weight"
    odd = np.zeros_like(tensors[name])
    odd[:, 0] = 2.0
    tensors[name] = odd
    assert looked(tensors).verdict == "review"


def test_an_adapter_that_changes_nothing_is_no_trouble():
    tensors = {name: np.zeros_like(values) if "lora_B" in name else values for name, values in factors().items()}
    assert looked(tensors).stats["norm_max"] == 0.0


def test_a_scale_whose_square_is_none_is_no_trouble():
    found = looked(factors(), scale=1e-170)
    assert found.verdict == "nothing-found" and 0 < found.stats["norm_max"] < 1e-160
    assert 0 < found.stats["top_share_max"] < 1


@pytest.mark.parametrize("rank", [1, 3])
def test_large_factors_are_looked_at_a_piece_at_a_time(rank):
    tensors = factors(rank=rank, shapes={(0, "mlp.down_proj"): (700_000, 600_000)})
    down, up = (values.astype(float) for values in tensors.values())
    norm = np.linalg.norm(np.linalg.qr(down.T).R @ up.T)  # that of the whole update, which would take 3 TB
    assert looked(tensors).stats["norm_max"] == pytest.approx(norm, rel=1e-5)


def test_a_tensor_that_compresses_to_nothing_takes_no_memory(tmp_path):
    size, name = 4 << 24, "base_model.model.model.layers.0.q_proj.lora_{}.weight"
    rows = {
        name.format("A"): {"dtype": "F32", "shape": [1, 1 << 24], "data_offsets": [0, size]},
        name.format("B"): {"dtype": "F32", "shape": [1 << 24, 1], "data_offsets": [size, 2 * size]},
    }
    with (tmp_path / "weights").open("w+b") as stream:
        stream.write(assembled(json.dumps(rows).encode(), b""))
        stream.truncate(stream.tell() + 2 * size)
        file = Span(stream.fileno(), 0, stream.seek(0, 2))
        tracemalloc.start()
        assert scan(file, read_header(file), 1.0).stats["norm_max"] == 0.0
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
        tracemalloc.stop()


def test_no_verdict_says_that_it_is_safe():
    assert set(get_args(ScanPart.model_fields["verdict"].annotation)) == {"nothing-found", "review"}
