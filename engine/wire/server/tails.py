"""What a server gives of its base: the files beside the weights, the list of all tensors, the tensors of the tail.

Weights are read from the disk piece by piece, so that no request holds more than that in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ....schemas.cards import BaseCard
from ....schemas.errors import ModelError
from ....schemas.hsp import Code, Contents, SideFile
from ...base import default_model
from ...base.installed import HUB
from ...base.library import SIDE_FILES
from ...base.safetensors_file import Place, read_places
from ...base.tensor_list import is_tied, kept_list, tail_of
from ...base.weights import CARD, shard_files
from .keys import Key
from .refused import Refused

_PIECE = 1 << 20
_WAIT = 20.0
"""Seconds that a request waits for the list, which is made when it is first asked for if it is not there."""


@dataclass(frozen=True)
class Body:
    """Bytes to send: of a file, or as they are."""

    size: int
    data: bytes = b""
    path: Path | None = None
    begin: int = 0

    async def pieces(self, first: int, stop: int) -> AsyncIterator[bytes]:
        """Give the bytes ``first`` to ``stop`` of it."""
        if self.path is None:
            yield self.data[first:stop]
            return
        with self.path.open("rb") as file:
            file.seek(self.begin + first)
            while first < stop:
                piece = await asyncio.to_thread(file.read, min(_PIECE, stop - first))
                if not piece:
                    raise Refused(Code.INTERNAL, "The weights on this server have changed; tell its owner.")
                first += len(piece)
                yield piece


class Tails:
    """Answers for the parts of one base. Used in the loop's thread only."""

    def __init__(self, folder: Path, card: BaseCard, upper: int) -> None:
        """Prepare; nothing is read. ``upper``: how many blocks are given, counted from the top."""
        self._folder, self._upper = folder, upper
        self._card = card if _is_public(card) else card.model_copy(update={"source": ""})
        self._reading: asyncio.Task[_Read] | None = None
        self._sending: dict[str, int] = {}

    async def contents(self) -> Contents:
        """Return the list.

        Raises:
            Refused: If it is still being made, or cannot be.
        """
        return (await self._read()).contents

    async def file(self, name: str) -> Body:
        """Return a file beside the weights.

        Raises:
            Refused: If it is none of the list.
        """
        found = (await self._read()).files.get(name)
        if found is None:
            raise Refused(Code.NOT_OFFERED, "There is no such file; the list of contents says which there are.")
        return found

    async def tensor(self, name: str) -> Body:
        """Return a tensor of the tail.

        Raises:
            Refused: If it is none.
        """
        found = (await self._read()).tensors.get(name)
        if found is None:
            raise Refused(
                *(Code.NOT_OFFERED, f"Of the tensors those of the last {self._upper} blocks, norm and head are given."),
                limit=self._upper,
            )
        return found

    @contextmanager
    def sending(self, key: Key) -> Iterator[None]:
        """Count what is being sent to a key.

        Raises:
            Refused: If that is as much as it may have at once.
        """
        count = self._sending.get(key.name, 0)
        if count >= key.allowance.tails:
            raise Refused(
                *(Code.TOO_MANY, f"This key may fetch {key.allowance.tails} tensors at once; wait for one."),
                retry_after=1.0,
            )
        self._sending[key.name] = count + 1
        try:
            yield
        finally:
            self._sending[key.name] -= 1

    async def _read(self) -> _Read:
        if self._reading is None or (self._reading.done() and self._reading.exception() is not None):
            self._reading = asyncio.ensure_future(asyncio.to_thread(_read, self._folder, self._card, self._upper))
        try:
            async with asyncio.timeout(_WAIT):
                return await asyncio.shield(self._reading)
        except TimeoutError as error:
            raise Refused(
                Code.BUSY, "The weights are being looked at, this once; ask again soon.", retry_after=1.0
            ) from error
        except (ModelError, OSError) as error:
            raise Refused(Code.INTERNAL, "The weights on this server do not read; tell its owner.") from error


@dataclass(frozen=True)
class _Read:
    """All that can be given."""

    contents: Contents
    files: dict[str, Body]
    tensors: dict[str, Body]


def _read(folder: Path, card: BaseCard, upper: int) -> _Read:
    tied = is_tied(folder)
    entries = kept_list(folder, card, tied=tied)
    files = {name: (folder / name).read_bytes() for name in SIDE_FILES if (folder / name).is_file()}
    files[CARD] = card.model_dump_json().encode()
    contents = Contents(
        fingerprint=card.fingerprint,
        tied=tied,
        upper=upper,
        files=[
            SideFile(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in files.items()
        ],
        tensors=entries,
    )
    wanted = {entry.name for entry in tail_of(entries, layers=card.layers, upper=upper, tied=tied)}
    places = {
        name: (path, place)
        for path in shard_files(folder)
        for name, place in read_places(path).items()
        if name in wanted
    }
    return _Read(
        contents,
        {name: Body(len(data), data) for name, data in files.items()},
        {name: _body(path, place) for name, (path, place) in places.items()},
    )


def _body(path: Path, place: Place) -> Body:
    return Body(place.end - place.begin, path=path, begin=place.begin)


def _is_public(card: BaseCard) -> bool:
    """Whether the source of a card may be told: a folder of this machine is nobody's business."""
    return card.source.startswith(HUB) or card.source == default_model.SOURCE
