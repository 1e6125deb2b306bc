"""The tensors of a model folder as halves want them: read so that no page stays behind, or numbered from a block on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .device import CPU
from .weights import Tensors

if TYPE_CHECKING:
    from torch import Tensor

    from .library import LoadedBase

_BLOCK = re.compile(r"^(model\.layers\.)(\d+)\.")


def copied(base: LoadedBase) -> Mapping[str, Tensor]:
    """Return the tensors of a base where it computes, for who makes matrices of his own of them."""
    return Copied(base.folder) if base.device == CPU else Tensors(base.folder, base.device)


class Copied(Mapping[str, "Tensor"]):
    """The tensors of a checkpoint, those of its blocks as copies.

    Most matrices of a block are copied anyway, side by side with others. Were the rest not, the pages that were read
    for the copies would stay in memory with the mapping; so each block is read from a mapping of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._block, self._read = "", Tensors(folder)
        self._kept = Tensors(folder)

    def __getitem__(self, name: str) -> Tensor:
        block = _BLOCK.match(name)
        if block is None:
            return self._kept[name]
        if block.group() != self._block:
            self._block, self._read = block.group(), Tensors(self._folder)
        return self._read[name].clone()

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


class FromBlock(Mapping[str, "Tensor"]):
    """The tensors of a checkpoint from a block on, that block numbered 0, with updates added."""

    def __init__(self, tensors: Mapping[str, Tensor], first: int, updates: Mapping[str, Tensor] | None = None) -> None:
        self._tensors, self._first, self._updates = tensors, first, updates or {}

    def __getitem__(self, name: str) -> Tensor:
        whole = _BLOCK.sub(lambda found: f"{found[1]}{int(found[2]) + self._first}.", name)
        weight, update = self._tensors[whole], self._updates.get(whole)
        return weight if update is None else weight.float() + update.to(weight.device)

    def __iter__(self) -> Iterator[str]:
        for name in self._tensors:
            block = _BLOCK.match(name)
            if block is None:
                yield name
            elif int(block[2]) >= self._first:
                yield _BLOCK.sub(f"{block[1]}{int(block[2]) - self._first}.", name)

    def __len__(self) -> int:
        return sum(1 for _ in self)
