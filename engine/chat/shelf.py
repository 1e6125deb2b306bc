"""What conversations have read, on disk, so that the next start goes on from there instead of reading it all again.

Everything here can be computed again: a file that is missing, old, spoilt or of another base is simply not used. The
oldest leave when the shelf is full.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from ...schemas.errors import StorageError
from ..files import replacing, storage_errors

_BYTES = 512_000_000
_WORTH = 128  # tokens; less is read again in no time


@dataclass(frozen=True)
class Kept:
    """One conversation's reading.

    Attributes:
        tokens: What was read.
        text: What they say; empty if not known.
        voice: Name of the voice that ``tail`` was computed with; empty: the plain base.
        states: ``(T, d)``, of the trunk.
        trunk, tail: Keys and values, by name; empty if they cannot be kept.

    Tensors may come from any device; they are given back on the CPU.
    """

    tokens: Sequence[int]
    text: str
    voice: str
    states: Tensor
    trunk: Mapping[str, Tensor]
    tail: Mapping[str, Tensor]


class Shelf:
    """A folder with one file a conversation.

    Args:
        folder: Created when something is put there.
        base: Names what computed the readings; those of another are not used.
        room: Bytes that may lie there.
    """

    def __init__(self, folder: Path, base: str, room: int = _BYTES) -> None:
        self._folder, self._base, self._room = folder, base, room

    def put(self, conversation: int, kept: Kept) -> None:
        """Keep a reading; one that is short, or does not fit the disk, is not kept."""
        if len(kept.tokens) < _WORTH:
            return
        tensors = {"tokens": torch.tensor(kept.tokens, dtype=torch.int32), "states": kept.states}
        tensors |= {f"trunk.{name}": tensor for name, tensor in kept.trunk.items()}
        tensors |= {f"tail.{name}": tensor for name, tensor in kept.tail.items()}
        flat = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        header = json.dumps({"base": self._base, "text": kept.text, "voice": kept.voice})
        try:
            with storage_errors(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._path(conversation)) as path:
                save_file(flat, path, {"header": header})
        except (StorageError, SafetensorError):
            return  # it only spares time, and a full disk is told by what must be written
        self._make_room()

    def take(self, conversation: int) -> Kept | None:
        """Return what was kept of a conversation, if it was read by this very base."""
        try:
            data = self._path(conversation).read_bytes()
            tensors = load(data)
            length = int.from_bytes(data[:8], "little")
            header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["header"])
            if header["base"] != self._base:
                return None
            read = _under("trunk.", tensors), _under("tail.", tensors)
            return Kept(tensors["tokens"].tolist(), header["text"], header["voice"], tensors["states"], *read)
        except (OSError, SafetensorError, ValueError, KeyError):
            return None

    def drop(self, conversation: int) -> None:
        """Forget a conversation."""
        with storage_errors(self._folder):
            self._path(conversation).unlink(missing_ok=True)

    def _path(self, conversation: int) -> Path:
        return self._folder / f"{conversation}.safetensors"

    def _make_room(self) -> None:
        with storage_errors(self._folder):
            files = [(path.stat(), path) for path in self._folder.glob("*.safetensors")]
            files.sort(key=lambda pair: pair[0].st_mtime_ns, reverse=True)
            held = 0
            for stat, path in files:
                held += stat.st_size
                if held > self._room:
                    path.unlink(missing_ok=True)


def _under(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(name): tensor for key, tensor in tensors.items() if key.startswith(name)}
