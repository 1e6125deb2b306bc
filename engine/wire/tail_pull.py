"""Fetching a tail: the last blocks of a base, final norm, head and tokenizer, from a server or the hub.

The server says what its base consists of. What can be computed from that is, and compared with the fingerprint,
before a byte of weights is asked for; each tensor is compared with the list, whoever gives it; and in the end the tail
that came must, with the server's trunk, predict what the card says. Only then does the folder take its name. Of what
does not fit nothing is kept; what was cut off goes on where it ended.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from ...schemas.cards import BaseCard
from ...schemas.errors import (
    BadFrame,
    BaseMismatch,
    DiskFull,
    ModelDamaged,
    RemoteError,
    UnsupportedFamily,
    UsageError,
)
from ...schemas.hsp import Contents, Description, TensorEntry
from ..base import hub
from ..base.card import fingerprint_of
from ..base.hub_ranges import Read, hub_reader, locate, read_index
from ..base.library import SIDE_FILES
from ..base.numbers import Numbers
from ..base.proof import check_config, proven_card
from ..base.safetensors_file import size_of
from ..base.size import check_cut, default_cut
from ..base.staging import Tell, one_at_a_time, staged
from ..base.tail_file import TailFile
from ..base.tensor_list import bytes_of, hash_of, keep_list, tail_of
from ..base.weights import CARD, read_manifest, verify, write_manifest
from ..files import storage_errors, write_atomic
from ..paths import Home
from .client import Client
from .named import client_of
from .patience import Patience
from .tail_asked import Pulled, Wanted

if TYPE_CHECKING:
    from ..base.library import LoadedBase

WEIGHTS = "model.safetensors"
_TRIES = 11
"""About half a minute without a byte, in which a server may be started again."""
_MOST_FILE = 64 << 20
_WEIGHTS_SHARE = 0.9
_TAIL = "tail"

Prove = Callable[["LoadedBase"], Awaitable[object]]
"""Runs the probe of a loaded tail through the server. Raises BaseMismatch, or RemoteError."""


class Source(Protocol):
    """Whoever gives tensors."""

    async def fetch(self, entries: Sequence[TensorEntry], start: int, take: Callable[[bytes], None]) -> None:
        """Take the bytes of tensors one after another, those of the first from ``start`` on.

        Raises:
            RemoteError: If that breaks off; what was taken is kept.
        """
        ...


async def pull_tail(wanted: Wanted, home: Home, tell: Tell, prove: Prove) -> Pulled:
    """Fetch a tail into the profile's models and return its folder.

    Raises:
        RemoteError: If the server cannot be asked or refuses; the next pull goes on.
        UsageError: If it gives no such tail.
        BaseMismatch: If what it says or computes is not what its fingerprint names.
        UnsupportedFamily, ModelDamaged, ModelNotFound: If the base cannot be used or does not come whole.
        DiskFull, StorageError: If it cannot be written.
    """
    client, patience = client_of(wanted.server), Patience(tries=_TRIES)
    try:
        tell(f"Asking {client.address}", None)
        offer = await _offer(client, patience, wanted)
        with one_at_a_time(home, tell):
            return await _fetch(_Way(client, patience, wanted, tell), offer, home, prove)
    finally:
        await client.aclose()


@dataclass(frozen=True)
class _Way:
    """How it is asked, and who hears of it."""

    client: Client
    patience: Patience
    wanted: Wanted
    tell: Tell


@dataclass(frozen=True)
class _Offer:
    """What a server has, as far as its own words fit each other."""

    description: Description
    contents: Contents
    upper: int
    tail: list[TensorEntry]

    @property
    def folder(self) -> str:
        """Name of the folder: words of a server are no path."""
        base = self.description.base
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", base.name).strip(".-")[:60] or base.family
        return f"{name}-{_TAIL}{self.upper}-{base.fingerprint[:8]}"


async def _offer(client: Client, patience: Patience, wanted: Wanted) -> _Offer:
    description = await patience.trying(client.describe)
    base = description.base
    if _TAIL not in description.verbs:
        raise UsageError(f"{client.address} gives no tail; ask its owner, or fetch the whole model.")
    upper = _chosen(description, wanted.cut, client.address)
    contents = await patience.trying(client.contents)
    hashes = (base.config_hash, base.tokenizer_hash, base.template_hash, hash_of(contents.tensors))
    if hashes[3] != base.tensors_hash or fingerprint_of(hashes) != base.fingerprint:
        raise BaseMismatch(f"What {client.address} lists is not the base that it names; ask another server.")
    if not base.fingerprint.startswith(wanted.fingerprint):
        raise BaseMismatch(
            f"{client.address} has {base.name} ({base.fingerprint[:12]}), not {wanted.fingerprint[:12]}; ask another."
        )
    if upper > contents.upper:
        raise UsageError(f"{client.address} gives the last {contents.upper} blocks; ask for no more with --cut.")
    tail = tail_of(contents.tensors, layers=base.layers, upper=upper, tied=contents.tied)
    return _Offer(description, contents, upper, tail)


def _chosen(description: Description, cut: int | None, address: str) -> int:
    """Return how many blocks to fetch: with which the server can be asked afterwards."""
    cuts, layers = sorted(description.cuts), description.base.layers
    if cut is None:
        usual = default_cut(layers)
        return usual if usual in cuts or not cuts else max([one for one in cuts if one < usual], default=cuts[0])
    check_cut(cut, layers)
    if cut not in cuts:
        raise UsageError(f"{address} computes for the cuts {', '.join(map(str, cuts[:20]))}; choose one with --cut.")
    return cut


async def _fetch(way: _Way, offer: _Offer, home: Home, prove: Prove) -> Pulled:
    final = home.models / offer.folder
    if (manifest := read_manifest(final)) is not None:
        verify(final, manifest)
        return _pulled(way, offer, final)
    try:
        with staged(final, resume=True) as part:
            with _damage_as_mismatch():
                card = await _read_beside(way, offer, part)
            await _read_weights(way, offer, part)
            keep_list(part, offer.contents.tensors)
            write_atomic(part / CARD, card.model_dump_json())
            write_manifest(part, final.name, offer.upper)
            way.tell("Comparing with the server", None)
            with _damage_as_mismatch():
                await _prove(part, prove)
    except (BaseMismatch, UnsupportedFamily):
        shutil.rmtree(final.with_name(f".{final.name}.part"), ignore_errors=True)
        raise
    way.tell("Ready", 1.0)
    return _pulled(way, offer, final)


@contextmanager
def _damage_as_mismatch() -> Iterator[None]:
    """Say that what came is no base, where it came as it was listed and yet cannot be used: then none of it is kept.

    Raises:
        BaseMismatch: With the reason.
    """
    try:
        yield
    except ModelDamaged as error:
        raise BaseMismatch(f"What the server gives as a base is none: {error}") from error


def _pulled(way: _Way, offer: _Offer, folder: Path) -> Pulled:
    whole = bytes_of(offer.contents.tensors)
    return Pulled(folder, offer.upper, way.client.moved, bytes_of(offer.tail), whole)


# -- beside the weights -----------------------------------------------------------------------------------------------


async def _read_beside(way: _Way, offer: _Offer, part: Path) -> BaseCard:
    """Fetch configuration and tokenizer, and return the card that they and the list give.

    The configuration comes first, so that nothing is fetched of what cannot be cut.
    """
    claimed, files = offer.description.base, {file.name: file for file in offer.contents.files}
    names = [name for name in SIDE_FILES if name in files]
    for name in ("config.json", CARD):
        if name not in files:
            raise BadFrame(f"{way.client.address} lists no {name}; ask another server.")
    for name in names:
        if files[name].size > _MOST_FILE:
            raise BadFrame(f"{way.client.address} has a {name} of {files[name].size} bytes, which is none.")
        way.tell(f"Fetching {name}", None)
        path = part / name
        if not _is_there(path, files[name].sha256):
            write_atomic(path, await _file(way, offer, name))
        if name == "config.json":
            check_config(part, claimed)
    for path in part.iterdir():  # of an earlier, broken pull
        if path.name not in (*names, WEIGHTS):
            path.unlink()
    try:
        card = BaseCard.model_validate_json(await _file(way, offer, CARD))
    except ValidationError as error:
        raise BadFrame(f"{way.client.address} sent no card of a base; ask another server.") from error
    return proven_card(part, claimed, card, offer.contents)


def _is_there(path: Path, sha256: str) -> bool:
    with storage_errors(path):
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


async def _file(way: _Way, offer: _Offer, name: str) -> bytes:
    entry = next(file for file in offer.contents.files if file.name == name)
    if entry.size > _MOST_FILE:
        raise BadFrame(f"{way.client.address} has a {name} of {entry.size} bytes, which is none.")
    data = await way.patience.trying(lambda: way.client.file(entry))
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise BadFrame(f"{way.client.address} sent another {name} than it lists; ask another server.")
    return data


# -- the weights ------------------------------------------------------------------------------------------------------


class _FromServer:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def fetch(self, entries: Sequence[TensorEntry], start: int, take: Callable[[bytes], None]) -> None:
        """Ask for one after another."""
        for entry in entries:
            size = size_of(entry.dtype, entry.shape)
            if size > start:
                await self._client.tensor(entry.name, start, size, take)
            start = 0


async def _read_weights(way: _Way, offer: _Offer, part: Path) -> None:
    """Fill the file of the weights until it is whole."""
    name = f"the last {offer.upper} blocks of {offer.description.base.name}"
    file = TailFile(part / WEIGHTS, offer.tail)
    way.tell("Looking at what is there", None)
    file.resume()
    _check_room(file, part, name)
    told = hub.Told(way.tell, name, 0, file.total)
    told(file.done)

    def take(piece: bytes) -> None:
        file.append(piece)
        told(file.done)

    source, failed = await _source(way, offer), 0
    while file.rest[0]:
        before = file.done
        try:
            await source.fetch(*file.rest, take)
        except RemoteError as error:
            failed = 1 if file.done > before else failed + 1
            await way.patience.wait(failed, error)


async def _source(way: _Way, offer: _Offer) -> Source:
    if not way.wanted.hub:
        return _FromServer(way.client)
    way.tell(f"Asking the hub for {way.wanted.hub}", None)
    found = hub.resolve(hub.parse(way.wanted.hub))
    read = _counted(hub_reader(found), way.client)
    return locate(offer.tail, read, read_index(found, read))


def _counted(read: Read, client: Client) -> Read:
    """Return the same reader, whose bytes are counted with those of the server."""

    def counted(file: str, begin: int, end: int) -> Iterator[bytes]:
        for piece in read(file, begin, end):
            client.moved += len(piece)
            yield piece

    return counted


def _check_room(file: TailFile, part: Path, name: str) -> None:
    free, missing = shutil.disk_usage(part).free, file.total - file.done
    if missing > free:
        raise DiskFull(
            f"T{name[1:]} take {missing // 1_000_000} MB more and {part.parent} has {free // 1_000_000} MB; free "
            "some, ask for fewer blocks with --cut, or set NIGHTSCHOOL_HOME to a larger disk."
        )


# -- the proof --------------------------------------------------------------------------------------------------------


async def _prove(part: Path, prove: Prove) -> None:
    """Load what came and run the card's probe through it and the server."""
    from ..base.halves import open_tail
    from ..base.library import load

    base = load(part)
    base = base.computing_in(_numbers(base))
    try:
        open_tail(base, base.cut)  # every tensor is there, and has its shape
        await prove(base)
    finally:
        base.kept.clear()


def _numbers(base: LoadedBase) -> Numbers:
    """Return the numbers for the proof: the finest, unless the tail would fill the memory in them."""
    import psutil

    from ..base.installed import sizes

    parameters, _ = sizes(base.folder)
    return Numbers.FP32 if 4 * parameters <= 0.6 * psutil.virtual_memory().available else Numbers.BF16
