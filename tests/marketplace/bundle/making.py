"""A small bundle for tests, made by us; and the same with something wrong in it, signed by whoever wants to harm."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np

from nightschool.marketplace.bundle.pack import Draft, pack
from nightschool.marketplace.keys import PrivateKey
from nightschool.schemas.bundle import BasePart, CardPart, Gate, ParentPart, ProvenancePart, SampleTurn, SlotPart

KEY = PrivateKey.from_raw(bytes(range(32)))
OTHER = PrivateKey.from_raw(bytes(range(1, 33)))
HIDDEN, RANK, LAYERS = 32, 4, (2, 3)
SHAPES = {
    (layer, path): shape
    for layer in LAYERS
    for path, shape in (("self_attn.q_proj", (32, HIDDEN)), ("self_attn.v_proj", (16, HIDDEN)))
}
BASE = BasePart(
    id="tiny-llama",
    revision="",
    arch="llama",
    hidden=HIDDEN,
    layers=4,
    vocab=256,
    config_sha256="1" * 64,
    tokenizer_sha256="2" * 64,
    chat_template_sha256="3" * 64,
    tensor_index_sha256="4" * 64,
)
DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def safetensors(tensors: dict[str, np.ndarray], dtype: str = "F32", metadata: dict | None = None) -> bytes:
    """Write a file of weights; BF16 are given as their 16 bits."""
    rows, data = {}, b""
    if metadata is not None:
        rows["__metadata__"] = metadata
    for name, values in tensors.items():
        raw = values.astype(DTYPES[dtype]).tobytes()
        rows[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return assembled(json.dumps(rows, separators=(",", ":")).encode(), data)


def assembled(header: bytes, data: bytes) -> bytes:
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def factors(seed: int = 0, rank: int = RANK, shapes=SHAPES) -> dict[str, np.ndarray]:
    """Return LoRA factors by their names."""
    chance, found = np.random.default_rng(seed), {}
    for (layer, path), (rows, columns) in shapes.items():
        stem = f"base_model.model.model.layers.{layer}.{path}"
        found[f"{stem}.lora_A.weight"] = chance.normal(size=(rank, columns)).astype(np.float32) / math.sqrt(columns)
        found[f"{stem}.lora_B.weight"] = chance.normal(size=(rows, rank)).astype(np.float32) * 0.05
    return found


def draft(**changes) -> Draft:
    """Return what a bundle shall say, with some of it changed."""
    given = {
        "slot": SlotPart(name="captain", version="1.2.0", seq=3, prev=None, created=1_700_000_000),
        "publisher": "ann",
        "base": BASE,
        "card": CardPart(
            title="Captain",
            summary="Begins each reply as a sailor would.",
            language=["en"],
            tags=["style"],
            license="Apache-2.0",
            samples=[SampleTurn(prompt="Hello?", before="Hello.", after="Captain, hello.")],
            warnings=[],
        ),
        "provenance": ProvenancePart(
            trainer="tail-lora",
            version="0.5",
            steps=24,
            examples=40,
            data_note="",
            seed=0,
            parents=[ParentPart(manifest=None, adapter_sha256="5" * 64, weight=0.7, method="exact")],
        ),
        "gates": [Gate(name="safety", passed=True, value=0.0, limit=0.1)],
        "curve": [(1.0, 2.5, 0.0), (24.0, 0.25, 0.125)],
        "card_text": "# Captain\n\nAhoy.\n",
    }
    return Draft(**{**given, **changes})


def make(folder: Path, *, raw: bytes | None = None, keys=(KEY,), name: str = "captain.slot", **changes) -> Path:
    """Write a good bundle and return its file."""
    weights = folder / "weights.safetensors"
    weights.write_bytes(safetensors(factors(), metadata={"format": "pt"}) if raw is None else raw)
    pack(folder / name, weights, draft(**changes), list(keys))
    return folder / name
