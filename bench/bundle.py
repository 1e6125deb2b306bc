"""Bundles beside what people use: how small, how quick to open, how much is read to list one, and how quick in bulk.

    python bench/bundle.py --json
    python bench/bundle.py --adapter path/to/adapter_model.safetensors --mb 200 --json

One line a figure. Without ``--adapter`` the adapter is drawn at random in the shape of one of the default model, which
has more noise in it than one that was trained.

``bf16_ratio``          the weights in bfloat16 as they are stored, over what they are; 0.70 is the aim
``f32_ratio``           the same in float32
``over_tar_size``       the bundle over the same PEFT folder in a tar with zstd -19
``over_zip_size``       the bundle over the same in a zip
``over_tar_open``       time until every byte is unpacked, signature checked, over that of the tar unpacked
``over_zip_open``       the same over that of the zip
``listing_bytes``       read to list and verify a bundle of ``--mb``
``listing_ms``          time for that
``pack_mb_s``           MB of weights in bfloat16 packed a second
``verify_mb_s``         MB checked a second as by an import: copied, unpacked, hashed, scanned
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

from nightschool.marketplace.bundle import reading
from nightschool.marketplace.bundle.codecs import restore
from nightschool.marketplace.bundle.importing import taken
from nightschool.marketplace.bundle.numbers import np
from nightschool.marketplace.bundle.pack import Draft, pack
from nightschool.marketplace.bundle.reading import manifest_in, opened, read_verified
from nightschool.marketplace.bundle.span import Span
from nightschool.marketplace.keys import PrivateKey
from nightschool.schemas.bundle import BasePart, CardPart, ProvenancePart, SlotPart

WIDTH, INNER, KEYS, BLOCKS, RANK = 576, 1536, 192, 8, 8
"""The last blocks of the default model."""
BULK_RANK = 64
SHAPES = {
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (KEYS, WIDTH),
    "self_attn.v_proj": (KEYS, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "mlp.gate_proj": (INNER, WIDTH),
    "mlp.up_proj": (INNER, WIDTH),
    "mlp.down_proj": (WIDTH, INNER),
}


def main() -> int:
    """Measure and print."""
    from nightschool.bench.timed import tell  # with torch, whose numpy computes with threads

    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = _sizes(folder, options) | _openings(folder, options.rounds) | _bulk(folder, options)
    for name, value in found.items():
        tell({"name": name, "value": value}, options.json)
    return 0


def _sizes(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Pack an adapter in both widths, and its PEFT folder as others do."""
    given = options.adapter and _as_f32(options.adapter)
    ratios = {}
    for dtype in ("F32", "BF16"):
        (folder / "weights").write_bytes(_safetensors(given or _drawn(RANK), dtype))
        pack(folder / "small.slot", folder / "weights", _draft(), [PrivateKey.from_raw(bytes(32))])
        files = read_verified(folder / "small.slot").manifest.predicate.files
        (row,) = [file for file in files if file.role == "weights"]
        ratios[f"{dtype.lower()}_ratio"] = row.blob_size / row.raw_size
    raw, config = (folder / "weights").read_bytes(), json.dumps({"peft_type": "LORA", "r": RANK}).encode()
    _write_tar(folder / "peft.tar.zst", raw, config)
    with zipfile.ZipFile(folder / "peft.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("adapter_config.json", config)
        archive.writestr("adapter_model.safetensors", raw)
    ours = (folder / "small.slot").stat().st_size
    over = {
        f"over_{kind}_size": ours / (folder / file).stat().st_size
        for kind, file in (("tar", "peft.tar.zst"), ("zip", "peft.zip"))
    }
    return ratios | over


def _openings(folder: Path, rounds: int) -> dict[str, float]:
    """Time the opening of all three, of the same weights."""
    ours = _time(lambda: _open_bundle(folder / "small.slot"), rounds)
    tar = _time(lambda: _open_tar(folder / "peft.tar.zst"), rounds)
    packed = _time(lambda: _open_zip(folder / "peft.zip"), rounds)
    return {"open_ms": ours * 1000, "over_tar_open": ours / tar, "over_zip_open": ours / packed}


def _bulk(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Pack, list and verify weights of many MB."""
    a_block = 2 * BULK_RANK * sum(rows + columns for rows, columns in SHAPES.values())
    tensors = _drawn(BULK_RANK, max(1, round(options.mb * 1e6 / a_block)))
    (folder / "weights").write_bytes(_safetensors(tensors, "BF16"))
    size, file = (folder / "weights").stat().st_size / 1e6, folder / "large.slot"
    packing = _time(lambda: pack(file, folder / "weights", _draft(), [PrivateKey.from_raw(bytes(32))]), 1)
    read: list[int] = []
    at = Span.at

    def counted(span: Span, offset: int, wanted: int) -> bytes:
        part = at(span, offset, wanted)
        read.append(len(part))
        return part

    reading.Span.at = counted  # type: ignore[method-assign]
    try:
        read_verified(file)
    finally:
        reading.Span.at = at  # type: ignore[method-assign]
    listing = _time(lambda: read_verified(file), options.rounds)
    verifying = _time(lambda: _verify(file, folder / "quarantine"), 1)
    return {
        "listing_bytes": sum(read),
        "listing_ms": listing * 1000,
        "bulk_mb": size,
        "pack_mb_s": size / packing,
        "verify_mb_s": size / verifying,
    }


# -- the three ways ---------------------------------------------------------------------------------------------------


def _open_bundle(file: Path) -> int:
    with opened(file) as (handle, facts):
        signed, blobs = manifest_in(Span(handle, 0, facts.st_size))
        files = signed.manifest.predicate.files
        return sum(len(piece) for row in files for piece in restore(blobs[row.blob], row.codec, row.raw_size))


def _verify(file: Path, quarantine: Path) -> None:
    with taken(file, quarantine, trust=lambda signed: None, find_base=lambda base: None):
        pass


def _open_tar(file: Path) -> int:
    with file.open("rb") as stream, zstandard.ZstdDecompressor().stream_reader(stream) as plain:
        return sum(len(archive_file) for archive_file in _tar_files(plain))


def _tar_files(plain: Any) -> list[bytes]:
    with tarfile.open(fileobj=plain, mode="r|") as archive:
        return [found.read() for entry in archive if (found := archive.extractfile(entry)) is not None]


def _open_zip(file: Path) -> int:
    with zipfile.ZipFile(file) as archive:
        return sum(len(archive.read(name)) for name in archive.namelist())


def _write_tar(file: Path, raw: bytes, config: bytes) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in (("adapter_config.json", config), ("adapter_model.safetensors", raw)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    file.write_bytes(zstandard.ZstdCompressor(level=19).compress(stream.getvalue()))


# -- what is packed ---------------------------------------------------------------------------------------------------


def _drawn(rank: int, blocks: int = BLOCKS) -> dict[str, Any]:
    """Return LoRA factors drawn at random: A as it is begun with, B as far as a study moves it."""
    chance, found = np.random.default_rng(0), {}
    for block in range(blocks):
        for path, (rows, columns) in SHAPES.items():
            stem = f"base_model.model.model.layers.{block}.{path}"
            found[f"{stem}.lora_A.weight"] = chance.standard_normal((rank, columns), np.float32) / columns**0.5
            found[f"{stem}.lora_B.weight"] = chance.standard_normal((rows, rank), np.float32) * 1e-3
    return found


def _as_f32(file: Path) -> dict[str, Any]:
    """Return the tensors of an adapter that was trained, whatever it is stored as."""
    from safetensors.torch import load_file

    return {name: tensor.float().numpy() for name, tensor in load_file(file).items()}


def _safetensors(tensors: dict[str, Any], dtype: str) -> bytes:
    rows, data, place = {}, [], 0
    for name, values in tensors.items():
        raw = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes() if dtype == "BF16" else values.tobytes()
        rows[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [place, place + len(raw)]}
        data.append(raw)
        place += len(raw)
    header = json.dumps(rows, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return b"".join([len(header).to_bytes(8, "little"), header, *data])


def _draft() -> Draft:
    return Draft(
        slot=SlotPart(name="bench", version="1.0.0", seq=1, prev=None, created=0),
        publisher="bench",
        base=BasePart(
            id="bench", revision="", arch="llama", hidden=WIDTH, layers=30, vocab=49152, config_sha256="0" * 64,
            tokenizer_sha256="0" * 64, chat_template_sha256="0" * 64, tensor_index_sha256="0" * 64,
        ),
        card=CardPart(title="Bench", summary="", language=[], tags=[], license="MIT", samples=[], warnings=[]),
        provenance=ProvenancePart(
            trainer="", version="", steps=0, examples=0, data_note="", seed=None, parents=[],
        ),
    )  # fmt: skip


def _time(work: Callable[[], Any], rounds: int) -> float:
    """Return the median seconds of some rounds."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", type=Path, help="adapter_model.safetensors of an adapter that was trained")
    parser.add_argument("--mb", type=float, default=200.0, help="of the weights that are packed and verified in bulk")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
