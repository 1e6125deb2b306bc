"""States of fixed texts on disk: what the trunk gave for them once is not asked of it again.

A file's name is a hash of all that its content follows from (base, cut, numbers, tokens), so it can only be found or
not be found, never be wrong. States are kept in 16 bits, which halves them; whoever writes them goes on with what was
written, so that a first study and a later one measure with the very same numbers. All files together stay below a
bound: those that were not used for longest go first. Imports no torch before states are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...schemas.errors import StorageError
from ..files import remove_parts, replacing, storage_errors

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)

MOST_BYTES = 384 << 20
"""Of all states in a profile; the probes of a base of 135 million parameters take 12 MB for each system prompt."""

_FORMAT = 1
_SUFFIX = ".safetensors"


class StatesCache:
    """The kept states of one base, at one cut and in one kind of numbers.

    Args:
        folder: The profile's cache; None: nothing is kept.
        fingerprint: Of the base.
        computed: What else the states follow from: the cut and the numbers.
        most: Bytes that all bases together may take.
    """

    def __init__(self, folder: Path | None, fingerprint: str, computed: str, most: int = MOST_BYTES) -> None:
        self._root = folder / "states" if folder is not None else None
        self._base, self._computed, self._most = fingerprint, computed, most

    def read(self, name: str, data: str, tokens: Sequence[Sequence[int]]) -> dict[str, Tensor] | None:
        """Return what was written for these tokens, or None; what does not read back is computed again.

        Args:
            name: What the texts are for.
            data: The state of the data that they come from, as a short hash.
            tokens: The sequences themselves.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self._path(name, data, tokens)
        if path is None:
            return None
        try:
            found = load_file(path)
            path.touch()
        except (OSError, SafetensorError):
            return None
        return found

    def write(self, name: str, data: str, tokens: Sequence[Sequence[int]], tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors for these tokens; what other states of the data left under this name goes.

        Where they cannot be kept, as on a full disk, the log says so, and they are computed again.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        path = self._path(name, data, tokens)
        if path is None or self._root is None:
            return
        try:
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as part:
                    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, part)
                for other in path.parent.glob(f"{name}-*{_SUFFIX}"):
                    if not other.name.startswith(f"{name}-{data}-"):
                        _remove(other)
                self._shrink(path)
        except (StorageError, SafetensorError) as error:
            _log.warning("the states of %s were not kept: %s", name, error)

    def _path(self, name: str, data: str, tokens: Sequence[Sequence[int]]) -> Path | None:
        if self._root is None:
            return None
        content = json.dumps([_FORMAT, self._base, self._computed, [list(one) for one in tokens]])
        key = hashlib.sha256(content.encode()).hexdigest()[:24]
        return _folder(self._root, self._base) / f"{name}-{data}-{key}{_SUFFIX}"

    def _shrink(self, newest: Path) -> None:
        """Remove what was not used for longest until the rest is within the bound; the newest stays."""
        assert self._root is not None
        remove_parts(self._root)
        files = []
        for path in self._root.glob(f"*/*{_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):  # another study removes them too
                files.append((path, path.stat()))
        total = sum(stat.st_size for _, stat in files)
        for path, stat in sorted(files, key=lambda file: file[1].st_mtime):
            if total <= self._most:
                break
            if path != newest:
                _remove(path)
                total -= stat.st_size


def in_16_bits(rows: Tensor) -> Tensor:
    """Return states rounded to float16, or unrounded in float32 where some are too large for it."""
    rounded = rows.half()
    return rounded if bool(rounded.isfinite().all()) else rows.float()


def forget_states(cache: Path, fingerprint: str) -> None:
    """Remove all states of a base that is no longer here.

    Raises:
        StorageError: If they cannot be removed.
    """
    folder = _folder(cache / "states", fingerprint)
    with storage_errors(folder):
        if folder.is_dir():
            shutil.rmtree(folder)


def _folder(root: Path, fingerprint: str) -> Path:
    return root / hashlib.sha256(fingerprint.encode()).hexdigest()[:16]


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
