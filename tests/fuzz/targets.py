"""What a fuzzer asks of all that reads bytes of strangers: refuse in words, or give what was meant; no third way.

Each target has good and hostile bytes to begin with, and a check that raises for whatever neither refuses nor is right.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nightschool.engine.wire.frames import Reader, Type
from nightschool.engine.wire.rows import Writing, check_rows, decode_guesses, decode_rows
from nightschool.engine.wire.tokens import check_tokens, decode_tokens
from nightschool.marketplace.bundle.importing import Base, taken
from nightschool.marketplace.bundle.manifest import verified
from nightschool.marketplace.bundle.reading import manifest_member
from nightschool.marketplace.bundle.tensors import read_header
from nightschool.schemas.errors import BadFrame, MarketError
from nightschool.tests.engine.wire.test_hostile_frames import MOST, WIDTH, samples
from nightschool.tests.marketplace.bundle.hostile import HOSTILE, bundle, good, parts, raw_files
from nightschool.tests.marketplace.bundle.making import BASE, SHAPES


@dataclass(frozen=True)
class Target:
    """One reader of strangers' bytes.

    Attributes:
        seeds: Bytes to begin with.
        check: Read some bytes; raises anything only where the reader is wrong.
    """

    seeds: Callable[[], Sequence[bytes]]
    check: Callable[[bytes], None]


class Span:
    """Bytes as ``read_header`` wants them."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def at(self, offset: int, size: int) -> bytes:
        """Return a part."""
        return self.data[offset : offset + size]

    whole = at


def read_bundle(data: bytes) -> None:
    """Take a file as a bundle: what is taken is the good one, since nobody else can sign it."""
    identity = verified(manifest_member(good())).id
    with tempfile.TemporaryDirectory(prefix="nightschool-fuzz-") as folder:
        file = Path(folder) / "x.slot"
        file.write_bytes(data)
        with (
            contextlib.suppress(MarketError),
            taken(file, Path(folder) / "q", trust=_everybody, find_base=_ours) as found,
        ):
            assert found.signed.id == identity
            assert (found.folder / "adapter_model.safetensors").read_bytes() == raw_files()["weights"]
        assert [path.name for path in (Path(folder) / "q").iterdir()] in ([], [".lock"])


def read_manifest(data: bytes) -> None:
    """Take a bundle with this manifest, signed by whoever means harm."""
    with tempfile.TemporaryDirectory(prefix="nightschool-fuzz-") as folder:
        file = Path(folder) / "x.slot"
        file.write_bytes(bundle(data, parts()[1]))
        with (
            contextlib.suppress(MarketError),
            taken(file, Path(folder) / "q", trust=_everybody, find_base=_ours) as found,
        ):
            assert found.manifest.predicate.format == 1


def read_weights(data: bytes) -> None:
    """Read the header of weights: what it names covers the file."""
    with contextlib.suppress(MarketError):
        header = read_header(Span(data))
        covered = sum(tensor.end - tensor.start for pair in header.pairs.values() for tensor in pair)
        assert covered + header.data == len(data)


def read_frames(data: bytes) -> None:
    """Read frames as either side of a wire would."""

    def expect(header):
        if header.type is Type.ROWS:
            check_rows(header, width=WIDTH, most=MOST, writing=Writing("bf16", zstd=True))
        elif header.type is Type.TOKENS:
            check_tokens(header, MOST)

    reader = Reader(expect)
    with contextlib.suppress(BadFrame):
        for frame in reader.feed(data):
            if frame.header.type is Type.ROWS:
                assert decode_rows(frame).shape == (frame.header.rows, WIDTH)
                assert len(decode_guesses(frame)) in (0, frame.header.rows)
            elif frame.header.type is Type.TOKENS:
                assert len(decode_tokens(frame)) == frame.header.rows
        reader.close()


def _everybody(signed: object) -> None:
    """Trust whoever has signed."""


def _ours(base: object) -> Base:
    return Base(BASE.fingerprint, SHAPES)


def _bundles() -> list[bytes]:
    return [good(), *(make() for *_, make in HOSTILE)]


def _manifests() -> list[bytes]:
    import json

    return [json.dumps(parts()[0]).encode()]


TARGETS: dict[str, Target] = {
    "bundle": Target(_bundles, read_bundle),
    "manifest": Target(_manifests, read_manifest),
    "weights": Target(lambda: [raw_files()["weights"]], read_weights),
    "frames": Target(lambda: [data for _, data in samples()], read_frames),
}
