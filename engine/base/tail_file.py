"""The weights of a tail as they come in: appended tensor by tensor, each believed only once its hash fits.

The file is a safetensors file from its first byte on. Whoever was killed in the middle goes on where it ends: what is
there is hashed again first, and what does not fit is cut off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ...schemas.errors import BadFrame, ModelDamaged
from ...schemas.hsp import TensorEntry
from ..files import storage_errors
from .safetensors_file import header_of, size_of
from .tensor_list import read_pieces


class TailFile:
    """A file that is being filled with some tensors, in their order."""

    def __init__(self, path: Path, entries: Sequence[TensorEntry]) -> None:
        """Prepare; nothing is read or written."""
        self._path, self._entries = path, list(entries)
        self._sizes = [size_of(entry.dtype, entry.shape) for entry in entries]
        self._header = header_of((entry.name, entry.dtype, tuple(entry.shape)) for entry in entries)
        self._current, self._there = 0, 0
        self._doubtful = False  # whether the beginning of the current tensor was left by an earlier run
        self._digest = hashlib.sha256()

    @property
    def total(self) -> int:
        """Bytes of all tensors."""
        return sum(self._sizes)

    @property
    def done(self) -> int:
        """Bytes of them that are there."""
        return sum(self._sizes[: self._current]) + self._there

    @property
    def rest(self) -> tuple[list[TensorEntry], int]:
        """The tensors that are still to come, and how many bytes of the first of them are there."""
        return self._entries[self._current :], self._there

    def resume(self, tell: Callable[[int], None] = lambda done: None) -> None:
        """Keep what an earlier run left, as far as it fits, and make ready to append. ``tell``: how much was looked at.

        Raises:
            StorageError: If it cannot be read or written.
        """
        with storage_errors(self._path):
            self._path.touch()
            if self._begins_right():
                self._take_over(tell)
            else:
                self._path.write_bytes(self._header)
            self._cut()
            self._doubtful = self._there > 0

    def append(self, piece: bytes) -> None:
        """Write what comes next.

        Raises:
            ModelDamaged: If a tensor is whole and is not the one of the list; of it nothing is kept.
            BadFrame: The same, where its beginning was left by an earlier run, maybe of a machine that lost its power:
                it may be asked for again.
            StorageError: If it cannot be written.
        """
        with storage_errors(self._path), self._path.open("ab", buffering=0) as file:
            view = memoryview(piece)
            while len(view):
                if self._current == len(self._entries):
                    raise ModelDamaged("More came than the tail has; ask another server.")
                part = view[: self._sizes[self._current] - self._there]
                file.write(part)
                self._digest.update(part)
                self._there += len(part)
                view = view[len(part) :]
                self._pass_whole()

    def _begins_right(self) -> bool:
        with self._path.open("rb") as file:
            return file.read(len(self._header)) == self._header

    def _take_over(self, tell: Callable[[int], None]) -> None:
        """Hash what the file has; stop before the first tensor that does not fit."""
        for piece in read_pieces(self._path, len(self._header), len(self._header) + self.total):
            view = memoryview(piece)
            while len(view):
                part = view[: self._sizes[self._current] - self._there]
                self._digest.update(part)
                self._there += len(part)
                view = view[len(part) :]
                try:
                    self._pass_whole()
                except ModelDamaged:
                    return
            tell(self.done)

    def _pass_whole(self) -> None:
        """Go on to the next tensor as often as one is whole."""
        while self._current < len(self._entries) and self._there == self._sizes[self._current]:
            entry = self._entries[self._current]
            fits, doubtful = self._digest.hexdigest() == entry.sha256, self._doubtful
            self._digest, self._there, self._doubtful = hashlib.sha256(), 0, False
            if not fits:
                self._cut()
                if doubtful:
                    raise BadFrame(f"What an earlier pull left of the tensor {entry.name} was spoilt; pull again.")
                raise ModelDamaged(
                    f"The tensor {entry.name} did not arrive as the list describes it; pull again, or elsewhere."
                )
            self._current += 1

    def _cut(self) -> None:
        """End the file where what is right ends."""
        with self._path.open("r+b") as file:
            file.truncate(len(self._header) + self.done)
