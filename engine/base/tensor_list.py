"""Every tensor of a base by name, type, shape and sha256: what ``tensors_hash`` of its card is a hash over.

Who has the list and the card can tell of each single tensor whether it belongs to the base. Making the list reads all
weights, so it is kept beside them. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ...schemas.cards import BaseCard
from ...schemas.errors import ModelDamaged, StorageError
from ...schemas.hsp import TensorEntry
from ..files import storage_errors, write_atomic
from .safetensors_file import Place, read_places, size_of, width_of
from .weights import shard_files

TENSORS = "tensors.json"

_BLOCK = re.compile(r"model\.layers\.(\d+)\.")
_EMBEDDINGS, _HEAD, _NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
_BESIDES = (_HEAD, "lm_head.bias", _NORM)
_PIECE = 1 << 20
_ENTRIES = TypeAdapter(tuple[TensorEntry, ...])


def list_tensors(folder: Path, *, tied: bool) -> list[TensorEntry]:
    """Read all weights of a folder and return their list, by name.

    A head that is tied to the embeddings is left out: some checkpoints store it a second time, some do not.
    """
    found = []
    for path in shard_files(folder):
        for name, place in read_places(path).items():
            if not (tied and name == _HEAD):
                entry = {"name": name, "dtype": place.dtype, "shape": list(place.shape), "sha256": _hash(path, place)}
                found.append(TensorEntry.model_validate(entry))
    return sorted(found, key=lambda entry: entry.name)


def hash_of(entries: Sequence[TensorEntry]) -> str:
    """Return the one hash over a list, whatever its order: the ``tensors_hash`` of a card."""
    rows = sorted((entry.name, entry.dtype, list(entry.shape), entry.sha256) for entry in entries)
    return hashlib.sha256(canonical(rows)).hexdigest()


def kept_list(folder: Path, card: BaseCard, *, tied: bool) -> list[TensorEntry]:
    """Return the list of a base as it is kept beside it; where it is not, or does not fit the card, it is made anew.

    Raises:
        ModelDamaged: If the weights are not those of the card.
    """
    path = folder / TENSORS
    try:
        entries = list(_ENTRIES.validate_json(path.read_bytes()))
        if hash_of(entries) == card.tensors_hash:
            return entries
    except (OSError, ValidationError):
        pass  # made by an earlier version, or not readable: made anew
    entries = list_tensors(folder, tied=tied)
    if hash_of(entries) != card.tensors_hash:
        raise ModelDamaged(f"The weights in {folder} are not those of its card; remove it and fetch it again.")
    with suppress(StorageError):  # a folder of somebody else: it is made again the next time
        keep_list(folder, entries)
    return entries


def keep_list(folder: Path, entries: Sequence[TensorEntry]) -> None:
    """Write a list beside the weights.

    Raises:
        StorageError: If it cannot be written.
    """
    with storage_errors(folder):
        write_atomic(folder / TENSORS, _ENTRIES.dump_json(tuple(entries)))


def tail_of(entries: Sequence[TensorEntry], *, layers: int, upper: int, tied: bool) -> list[TensorEntry]:
    """Return the tensors of the last ``upper`` blocks, final norm and head, in the order in which a file holds them.

    The widest numbers come first, so that each tensor lies where its numbers may begin; then it goes by name. With a
    tied head the table of embeddings is the head.

    Raises:
        ModelDamaged: If one of these parts has no tensor.
    """
    blocks = range(layers - upper, layers)
    found = [entry for entry in entries if _is_tail(entry.name, blocks, tied=tied)]
    seen = {int(block[1]) for entry in found if (block := _BLOCK.match(entry.name))}
    names = {entry.name for entry in found}
    if seen != set(blocks) or _NORM not in names or (_EMBEDDINGS if tied else _HEAD) not in names:
        raise ModelDamaged(
            f"The list of tensors lacks a part of the last {upper} of {layers} blocks; ask another server."
        )
    return sorted(found, key=lambda entry: (-width_of(entry.dtype), entry.name))


def bytes_of(entries: Sequence[TensorEntry]) -> int:
    """Return how many bytes tensors take."""
    return sum(size_of(entry.dtype, entry.shape) for entry in entries)


def is_tied(folder: Path) -> bool:
    """Return whether the head of a base is the table of embeddings, as transformers reads its configuration."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    return bool(config.tie_word_embeddings)


def canonical(value: Any) -> bytes:
    """Return the one spelling of a value in JSON, to be hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode()


def _is_tail(name: str, blocks: range, *, tied: bool) -> bool:
    block = _BLOCK.match(name)
    if block is not None:
        return int(block[1]) in blocks
    return name in _BESIDES or (tied and name == _EMBEDDINGS)


def _hash(path: Path, place: Place) -> str:
    digest = hashlib.sha256()
    for piece in read_pieces(path, place.begin, place.end):
        digest.update(piece)
    return digest.hexdigest()


def read_pieces(path: Path, begin: int, end: int) -> Iterator[bytes]:
    """Give the bytes ``begin`` to ``end`` of a file, as far as it has them."""
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end and (piece := file.read(min(_PIECE, end - begin))):
            begin += len(piece)
            yield piece
