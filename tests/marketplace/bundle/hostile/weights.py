"""What is wrong with the weights."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import struct

import numpy as np

from nightschool.marketplace import dsse
from nightschool.marketplace.bundle import ustar

from ..making import SHAPES, assembled, factors, safetensors
from .table import bundle, hostile, raw_files, variants, with_file

NAME = "base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight"


def header_of_good():
    raw = raw_files()["weights"]
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def with_header(change, more=b"") -> bytes:
    rows, data = header_of_good()
    text = change(rows)
    text = json.dumps(rows).encode() if text is None else text
    return with_file("weights", raw=assembled(text, data + more))


@variants(
    44,
    ("weights-header", "gigabytes", struct.pack("<Q", 1 << 62) + b"{}"),
    ("weights-header", "beyond-the-file", struct.pack("<Q", 4000) + b"{}"),
    ("weights-header", "nothing", b"\1"),
    ("weights-header", "leading-space", assembled(b" {}", b"")),
    ("weights-header", "two-mebibytes", struct.pack("<Q", 2 << 20) + b"{}".ljust(2 << 20)),
    ("weights-header", "padding", struct.pack("<Q", 5000) + b"{}".ljust(5000)),
)
def header_of_odd_length(raw):
    return with_file("weights", raw=raw)


@hostile(44, "weights-header")
def metadata():
    return with_header(lambda rows: rows.update(__metadata__={"format": "pt", "note": "exec"}))


@hostile(45, "weights-key")
def tensor_twice():
    def again(rows):
        text = json.dumps(rows).encode()
        return text[:-1] + b"," + json.dumps({NAME: rows[NAME]}).encode()[1:-1] + b"}"

    return with_header(again)


def moved(rows, by):
    rows[NAME]["data_offsets"] = [value + by for value in rows[NAME]["data_offsets"]]


@hostile(46, "weights-layout", 4, b"", name="overlap")
@hostile(46, "weights-layout", 0, bytes(8), name="trailing-junk")
def hole(by, more):
    return with_header(lambda rows: moved(rows, by), more)


@hostile(46, "weights-layout")
def gap():
    def later(rows):
        for name, row in rows.items():
            if name != "__metadata__":
                row["data_offsets"] = [value + 8 for value in row["data_offsets"]]

    rows, data = header_of_good()
    later(rows)
    return with_file("weights", raw=assembled(json.dumps(rows).encode(), bytes(8) + data))


@hostile(46, "weights-layout")
def flood_of_nothing():
    stem = "base_model.model.model.layers.0.q{}_proj.lora_A.weight"
    rows = {stem.format(n): {"dtype": "F32", "shape": [0, 1], "data_offsets": [0, 0]} for n in range(9000)}
    return with_file("weights", raw=assembled(json.dumps(rows, separators=(",", ":")).encode(), b""))


@hostile(46, "weights-layout")
def empty_tensor():
    return with_header(
        lambda rows: rows.update({NAME + "x": {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]}})
    )


@variants(
    47, *(("weights-name", str(n), name) for n, name in enumerate(("a\0b", "a\x1b[2J", "../../x", "", "a" * 300)))
)
def odd_name(name):
    return with_header(lambda rows: rows.update({name: rows.pop(NAME)}))


def weights(change) -> bytes:
    tensors = factors()
    change(tensors)
    return with_file("weights", raw=safetensors(tensors))


@variants(48, *(("weights-number", str(value), value) for value in (math.nan, math.inf, -math.inf)))
def not_a_number(value):
    return weights(lambda tensors: tensors[NAME].__setitem__((1, 3), value))


@hostile(48, "weights-scan")
def enormous():
    return weights(lambda tensors: tensors[NAME].__setitem__((1, 3), 1e30))


@variants(
    49,
    *(
        ("weights-lora", str(n), name)
        for n, name in enumerate(
            (
                "base_model.model.lm_head.weight",
                "base_model.model.model.embed_tokens.modules_to_save.weight",
                "base_model.model.model.layers.2.self_attn.q_proj.lora_A.default.weight",
                "base_model.model.model.layers.2.self_attn.q_proj.lora_magnitude_vector.weight",
                "base_model.model.model.layers.02.self_attn.q_proj.lora_A.weight",
            )
        )
    ),
)
def no_part_of_a_lora(name):
    return weights(lambda tensors: tensors.update({name: np.zeros((2, 2), np.float32)}))


@hostile(49, "weights-lora")
def bias():
    return weights(lambda tensors: tensors.update({NAME.replace("lora_A.weight", "bias"): np.zeros(4, np.float32)}))


@hostile(50, "weights-pair")
def half_a_pair():
    return weights(lambda tensors: tensors.pop(NAME))


@hostile(50, "weights-pair")
def two_ranks():
    def other(tensors):
        tensors[NAME] = np.zeros((2, 32), np.float32)
        tensors[NAME.replace("lora_A", "lora_B")] = np.zeros((32, 2), np.float32)

    return weights(other)


@hostile(50, "config-differs")
def rank_is_not_the_one_that_is_said():
    return with_file("weights", raw=safetensors(factors(rank=8)))


@hostile(50, "config-rank")
def rank_that_no_adapter_has():
    return with_file("weights", raw=safetensors(factors(rank=300)))


@variants(
    47,
    ("weights-name", "long", ["a" * 61]),
    ("weights-name", "many", [f"{letter}_proj" for letter in "abcdefghijklmnopq"]),
)
def odd_projections(names):
    return with_file("weights", raw=safetensors(factors(shapes={(2, name): (8, 32) for name in names})))


@hostile(51, "base-shape")
def shape_of_another_base():
    shapes = {place: (rows, 64) for place, (rows, _) in SHAPES.items()}
    tensors = factors(shapes=shapes)
    params = sum(values.size for values in tensors.values())
    return with_file("weights", raw=safetensors(tensors), also=lambda said: said["adapter"].update(params=params))


@hostile(51, "base-shape")
def block_that_the_base_does_not_have():
    tensors = factors(shapes={(layer + 10, path): shape for (layer, path), shape in SHAPES.items()})
    config = json.loads(raw_files()["config"])
    first = with_file("config", raw=json.dumps({**config, "layers": [12, 13]}).encode())
    return _second(first, "weights", safetensors(tensors))


def _second(data: bytes, role: str, raw: bytes) -> bytes:
    """Return a bundle with one more file changed."""
    read = lambda offset, size: data[offset : offset + size]  # noqa: E731
    first, *others = (read(member.start, member.size) for member in ustar.members(read, len(data)))
    payload = json.loads(dsse.open_envelope(first).unverified_payload)
    blobs = dict(zip((row["role"] for row in payload["predicate"]["files"]), others, strict=True))
    digest = hashlib.sha256(raw).hexdigest()
    for row in payload["predicate"]["files"]:
        if row["role"] == role:
            row.update(raw_size=len(raw), raw_sha256=digest, blob=digest, blob_size=len(raw), codec="raw")
            next(one for one in payload["subject"] if one["name"] == row["path"])["digest"]["sha256"] = digest
    blobs[role] = raw
    return bundle(payload, blobs)


class Evil:
    def __reduce__(self):
        return print, ("owned",)


@hostile(52, "weights-header")
def pickle_in_disguise():
    return with_file("weights", raw=pickle.dumps(Evil()) + bytes(4000))
