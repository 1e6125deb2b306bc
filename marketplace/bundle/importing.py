"""Taking a bundle in: every check in its order, in a quarantine of which nothing is left whatever happens.

The file is opened once and copied while it is hashed; from then on only the copy is read, so that nobody can change it
between a check and its use. Nothing is unpacked before the signature is known to fit, and no library sees the weights
before their header was read by our own rules. What comes out is a PEFT folder, for the engine to try and to keep.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...engine.files import held, storage_errors
from ...schemas.bundle import BasePart, FilePart, Manifest, Metrics, ScanPart, SlotConfig
from ...schemas.errors import DiskFull
from .. import strict_json
from ..refusals import refuse
from . import limits
from .codecs import restore
from .config import check_agreement, peft_config, read_config, scale_of
from .manifest import PATHS, Signed, read_card, read_record
from .reading import manifest_in, opened
from .scan import scan
from .span import Span
from .tensors import Header, Place, read_header

ROOM = 2.2
"""Free space that must be there, as a share of the file: its copy, and what it unpacks to."""
PEFT_CONFIG = "adapter_config.json"
_PART = "in-"
_LOCK_SECONDS = 30.0
_DAY = 86_400.0


@dataclass(frozen=True)
class Base:
    """A base that is here: its fingerprint, and ``(out, in)`` of its projections by place."""

    fingerprint: str
    shapes: Mapping[Place, tuple[int, int]]


@dataclass(frozen=True)
class Taken:
    """A bundle that passed every check there is without its base's weights.

    Attributes:
        folder: A PEFT folder: weights and a configuration that was written here.
        sha256: Of the file.
        fits: Whether names and shapes were compared with the base; False: it is not here.
        card_text: ``card.md``; empty: there is none.
    """

    signed: Signed
    folder: Path
    sha256: str
    config: SlotConfig
    scan: ScanPart
    fits: bool
    card_text: str = ""

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self.signed.manifest


Trust = Callable[[Signed], None]
"""Refuses a publisher, a key, a sequence number or a bundle that is revoked; asked before anything is unpacked."""
FindBase = Callable[[BasePart], Base | None]
"""Gives the base that a bundle names, where it is here.

Raises:
    Refused: ``base-fingerprint``, where a base of that name is another one.
"""


@contextmanager
def taken(file: Path, quarantine: Path, *, trust: Trust, find_base: FindBase) -> Iterator[Taken]:
    """Check a bundle and give what is in it, until the block ends; then nothing of it is left in the quarantine.

    Args:
        file: Of the bundle; a stranger's.
        quarantine: A folder for this alone, made where it is missing.
        trust: See ``Trust``.
        find_base: See ``FindBase``.

    Raises:
        Refused: With the code of the rule that it breaks.
        NotFound, DiskFull, Locked, StorageError: If it cannot be read, or nothing can be written.
    """
    with storage_errors(quarantine), _room(quarantine) as room:
        with opened(file) as (handle, facts):
            copy, sha256 = _copied(handle, facts, room)
        with copy.open("rb") as stream:
            found = _checked(Span(stream.fileno(), 0, facts.st_size), room, trust, find_base, sha256)
        copy.unlink()
        yield found


@contextmanager
def _room(quarantine: Path) -> Iterator[Path]:
    """Give a folder of our own; what an import left that was killed is removed first."""
    quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
    busy = "Another import is under way; wait for its end and try again."
    with held(quarantine / ".lock", busy, seconds=_LOCK_SECONDS):
        _sweep(quarantine)
        room = Path(tempfile.mkdtemp(dir=quarantine, prefix=_PART))
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)


def _sweep(quarantine: Path) -> None:
    """Remove what was left by imports that were killed, and by downloads; one of today may still be under way."""
    for left in quarantine.glob(f"{_PART}*"):
        shutil.rmtree(left)
    for left in quarantine.glob("*get-*"):
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - _DAY:
                left.unlink()


def _copied(handle: int, facts: os.stat_result, room: Path) -> tuple[Path, str]:
    """Copy an open file, hashing it on the way; return the copy and the hash."""
    _check_space(room, round(facts.st_size * ROOM))
    copy, digest, size = room / "bundle", hashlib.sha256(), 0
    with copy.open("xb") as out:
        while piece := os.read(handle, limits.CHUNK):
            size += len(piece)
            if size > facts.st_size:
                break
            digest.update(piece)
            out.write(piece)
    after = os.fstat(handle)
    if size != facts.st_size or (after.st_size, after.st_mtime_ns) != (facts.st_size, facts.st_mtime_ns):
        raise refuse("changed")
    return copy, digest.hexdigest()


def _check_space(folder: Path, needed: int) -> None:
    if shutil.disk_usage(folder).free < needed:
        raise DiskFull(
            f"{needed / 1e6:.0f} MB are needed for {folder}; free some or set NIGHTSCHOOL_HOME to a larger disk."
        )


def _checked(whole: Span, room: Path, trust: Trust, find_base: FindBase, sha256: str) -> Taken:
    signed, blobs = manifest_in(whole)
    trust(signed)
    files = {file.role: file for file in signed.manifest.predicate.files}
    for file in files.values():
        _check_blob(blobs[file.blob], file)
    folder = room / "adapter"
    folder.mkdir()
    _check_space(room, sum(file.raw_size for file in files.values()))
    weights = folder / PATHS["weights"]
    with weights.open("xb") as out:
        for piece in _unpacked(blobs[files["weights"].blob], files["weights"]):
            out.write(piece)
    small = {role: b"".join(_unpacked(blobs[file.blob], file)) for role, file in files.items() if role != "weights"}
    with weights.open("rb") as stream:
        numbers = Span(stream.fileno(), 0, files["weights"].raw_size)
        header = read_header(numbers)
        config = read_config(small["config"])
        check_agreement(config, signed.manifest, header)
        card = read_card(small.get("card", b""))
        if "metrics" in small:
            read_record(Metrics, strict_json.loads(small["metrics"]))
        fits = _fits(signed.manifest.predicate.base, header, find_base)
        looked = scan(numbers, header, scale_of(config))
    (folder / PEFT_CONFIG).write_bytes(peft_config(config, signed.manifest.predicate.base.id))
    return Taken(signed, folder, sha256, config, looked, fits, card)


def _check_blob(blob: Span, file: FilePart) -> None:
    digest = hashlib.sha256()
    for piece in blob.chunks():
        digest.update(piece)
    if digest.hexdigest() != file.blob:
        raise refuse("blob-digest")


def _unpacked(blob: Span, file: FilePart) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in restore(blob, file.codec, file.raw_size):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != file.raw_sha256:
        raise refuse("raw-digest")


def _fits(base: BasePart, header: Header, find_base: FindBase) -> bool:
    here = find_base(base)
    if here is None:
        return False
    if here.fingerprint != base.fingerprint:
        raise refuse("base-fingerprint")
    for place, (down, up) in header.pairs.items():
        if here.shapes.get(place) != (up.shape[0], down.shape[1]):
            raise refuse("base-shape", f"{place[1]} of block {place[0]}")
    return True
