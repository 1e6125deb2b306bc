"""Model files on disk: which there are, whether they are whole, and a manifest that tells when one has changed.

A prepared base is a folder with a manifest, ``nightschool.json``, that holds size, time and sha256 of every file. At
each start a file whose size and time are those of the manifest is trusted; one that differs is hashed again. Weights
are read from safetensors alone, which cannot carry code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ...schemas.errors import ModelDamaged, ModelNotFound
from ..files import storage_errors, write_atomic

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "nightschool.json"
CARD = "card.json"
INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"


class FileRecord(BaseModel):
    """One file as it was when the manifest was written."""

    model_config = ConfigDict(frozen=True)

    size: int
    mtime_ns: int
    sha256: str


class Manifest(BaseModel):
    """What a prepared base consists of.

    Attributes:
        source: What it was prepared from, as it was resolved.
        upper: How many of its blocks are here, counted from the top, with final norm and head; None: all, and the rest.
    """

    model_config = ConfigDict(frozen=True)

    format: int = 1
    source: str
    upper: int | None = None
    files: dict[str, FileRecord]


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of ``config.json``.

    Raises:
        ModelNotFound: If there is none.
        ModelDamaged: If it is not a JSON object.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ModelNotFound(f"{folder} holds no model (config.json is missing); name one in Hugging Face's format.")
    return _read_object(path)


def shard_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder.

    Raises:
        ModelNotFound: If it has none.
        ModelDamaged: If the index cannot be read, or names a file that is missing or lies elsewhere.
    """
    index = folder / INDEX
    if not index.is_file():
        if (folder / _SINGLE).is_file():
            return [folder / _SINGLE]
        raise ModelNotFound(
            f"{folder} holds no safetensors weights; pickled weights (.bin, .pt) are never read, so convert them first."
        )
    names = _read_object(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise ModelDamaged(f"{index} does not say where the tensors are; fetch the model again.")
    shards = [folder / name for name in sorted(set(names.values()))]
    for shard in shards:
        if shard.parent != folder or not shard.is_file():
            raise ModelDamaged(f"{shard} is named by the index but is not there; fetch the model again.")
    return shards


class Tensors(Mapping[str, "Tensor"]):
    """The tensors of a model folder, mapped into memory: each is read as it is used, and copied to ``device``.

    Raises:
        ModelNotFound, ModelDamaged: As :func:`shard_files`, and if a file does not read.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from safetensors import SafetensorError, safe_open

        self._device = device
        self._file_of: dict[str, Any] = {}
        for path in shard_files(folder):
            try:
                file: Any = safe_open(path, framework="pt")
            except (SafetensorError, OSError) as error:
                raise ModelDamaged(f"{path} is truncated or damaged ({error}); fetch or copy it again.") from error
            self._file_of |= dict.fromkeys(file.keys(), file)

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._file_of[name].get_tensor(name)
        return tensor.to(self._device)

    def __iter__(self) -> Iterator[str]:
        return iter(self._file_of)

    def __len__(self) -> int:
        return len(self._file_of)


def check_shards(folder: Path) -> None:
    """Check that every safetensors file is as long as its header says.

    Raises:
        ModelNotFound: If there are no weights.
        ModelDamaged: If a file is truncated, or its header does not read.
    """
    from safetensors import SafetensorError, safe_open

    for path in shard_files(folder):
        try:
            with safe_open(path, framework="np"):
                pass
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelDamaged(f"{path} is truncated or damaged ({error}); fetch or copy the model again.") from error


def write_manifest(folder: Path, source: str, upper: int | None = None) -> Manifest:
    """Hash every file of a folder and write its manifest, the last file of a prepared base."""
    paths = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST]
    files = {path.name: _record(path) for path in paths}
    manifest = Manifest(source=source, upper=upper, files=files)
    write_atomic(folder / MANIFEST, manifest.model_dump_json(indent=1))
    return manifest


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a prepared base, or None if the folder is not one.

    Raises:
        ModelDamaged: If there is a manifest that does not read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise ModelDamaged(f"{path} does not read back as it was written; remove {folder} and start again.") from error


def verify(folder: Path, manifest: Manifest) -> None:
    """Check every file of a prepared base against its manifest, hashing only those that look changed.

    Raises:
        ModelDamaged: If a file is missing or its bytes are not those of the manifest.
    """
    seen = dict(manifest.files)
    for name, known in manifest.files.items():
        path = folder / name
        try:
            stat = path.stat()
        except OSError as error:
            raise ModelDamaged(f"{path} is missing; {_way_out(folder)}.") from error
        if (stat.st_size, stat.st_mtime_ns) == (known.size, known.mtime_ns):
            continue
        if stat.st_size != known.size or (now := _record(path)).sha256 != known.sha256:
            raise ModelDamaged(f"{path} is not the file it was when it was first used; {_way_out(folder)}.")
        seen[name] = now
    if seen != manifest.files:  # touched or copied, same bytes: hash them only this once
        write_atomic(folder / MANIFEST, manifest.model_copy(update={"files": seen}).model_dump_json(indent=1))


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_files(folder: Path) -> None:
    """Flush every file of a folder to disk, before it is renamed to its final name."""
    for path in folder.iterdir():
        with storage_errors(path), path.open("rb") as stream:
            os.fsync(stream.fileno())


def _way_out(folder: Path) -> str:
    return f"put it back as it was, or remove {folder} and start again"


def _record(path: Path) -> FileRecord:
    with storage_errors(path):
        stat = path.stat()
        return FileRecord(size=stat.st_size, mtime_ns=stat.st_mtime_ns, sha256=file_sha256(path))


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise ModelDamaged(f"{path} is not readable JSON ({error}); fetch or copy the model again.") from error
    if not isinstance(value, dict):
        raise ModelDamaged(f"{path} is not a JSON object; fetch or copy the model again.")
    return value
