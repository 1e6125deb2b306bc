"""The bases that lie prepared in a profile, and what broken pulls left there. Reads no weights, imports no torch."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ...schemas.cards import BaseCard
from ...schemas.errors import ModelDamaged
from ..files import storage_errors
from ..paths import Home
from . import default_model
from .catalog import DEFAULT, source_of
from .weights import CARD, Manifest, read_config, read_manifest, shard_files

HUB = "huggingface.co/"
"""How the source of a card begins whose base came from the hub; owner/name@commit follows."""
_PROJECTION = re.compile(r"model\.layers\.(?P<block>[0-9]+)\.(?P<path>.+)\.weight")
_PART = re.compile(r"\.(?P<name>.+)-(?P<digits>[0-9a-f]{8})(-\d+)?\.part")


@dataclass(frozen=True)
class Installed:
    """One prepared base.

    Attributes:
        folder: Its place under the profile's models.
        manifest: What it consists of; None if that does not read, and ``trouble`` says why.
        card: What it is; None if that does not read.
        size: Bytes that removing it gives back; files that are only linked are not counted.
    """

    folder: Path
    manifest: Manifest | None
    card: BaseCard | None
    size: int
    trouble: str = ""

    @property
    def spec(self) -> str:
        """What ``library.prepare`` takes to get just this base again, with the commit where there is one."""
        if self.manifest is None or self.upper is not None:
            return self.folder.name
        if self.from_hub and self.card is not None:
            return self.card.source.removeprefix(HUB)
        return self.manifest.source

    @property
    def upper(self) -> int | None:
        """How many of its blocks are here, where not all are."""
        return self.manifest.upper if self.manifest is not None else None

    @property
    def from_hub(self) -> bool:
        """Whether it was fetched from the hub."""
        return self.card is not None and self.card.source.startswith(HUB)

    def answers_to(self, spec: str) -> bool:
        """Return whether ``spec``, as a user writes it, means this base; without a revision, any is meant.

        A base of which only the upper blocks are here answers to its folder alone: any other name means a whole one.
        """
        source = source_of(spec)
        path = Path(source).expanduser().resolve()
        known = {self.folder.name, self.spec, self.manifest.source if self.manifest else ""}
        if self.from_hub and self.upper is None:
            known.add(self.spec.partition("@")[0])
        return source in known or str(path) in known or path == self.folder.resolve()

    def sizes(self) -> tuple[int, int]:
        """Return its parameters, and those of its head; see :func:`sizes`."""
        return sizes(self.folder)


def sizes(folder: Path) -> tuple[int, int]:
    """Return the parameters of the base in a folder, and those of its head, from what its files say of themselves.

    Raises:
        ModelDamaged: If they do not say.
    """
    config = read_config(folder)
    tied = bool(config.get("tie_word_embeddings"))
    parameters = sum(count for name, count in _counts(folder) if not (tied and name == "lm_head.weight"))
    return parameters, int(config.get("vocab_size", 0)) * int(config.get("hidden_size", 0))


def projections(folder: Path) -> dict[tuple[int, str], tuple[int, int]]:
    """Return ``(out, in)`` of the matrices in the blocks of a base, by block and path in it.

    Raises:
        ModelDamaged: If its files do not say.
    """
    found = {}
    for name, shape in _shapes(folder):
        match = _PROJECTION.fullmatch(name)
        if match is not None and len(shape) == 2:
            found[int(match["block"]), match["path"]] = (shape[0], shape[1])
    return found


def whole_spec(card: BaseCard) -> str:
    """Return what ``library.prepare`` takes to get the whole of a base, as far as its card tells."""
    return card.source.removeprefix(HUB) if card.source.startswith(HUB) else DEFAULT if _is_default(card) else "MODEL"


def _is_default(card: BaseCard) -> bool:
    return card.source == default_model.SOURCE


def installed(home: Home) -> list[Installed]:
    """Return the prepared bases of a profile, by folder name."""
    if not home.models.is_dir():
        return []
    with storage_errors(home.models):
        folders = [path for path in sorted(home.models.iterdir()) if path.is_dir() and not path.name.startswith(".")]
        return [found for folder in folders if (found := _look(folder)) is not None]


def find_installed(spec: str, home: Home) -> Installed | None:
    """Return the prepared base that ``spec`` means, without asking anybody; None if it is not prepared.

    Of several commits of one name, the one that was asked for by just this name.
    """
    found = [one for one in installed(home) if one.answers_to(spec)]
    return min(found, key=lambda one: one.manifest is None or one.manifest.source != source_of(spec), default=None)


def leftovers(home: Home) -> dict[str, tuple[Path, int]]:
    """Return what pulls that were broken off left, by the name of the model: the folder and its bytes."""
    if not home.models.is_dir():
        return {}
    with storage_errors(home.models):
        found = ((_PART.fullmatch(path.name), path) for path in sorted(home.models.iterdir()))
        return {match["name"]: (path, _size(path)) for match, path in found if match and path.is_dir()}


def remove(folder: Path) -> int:
    """Remove a prepared base or a leftover and return the bytes that came free.

    It loses its name first, so that a removal that is broken off leaves a leftover and never half a base.

    Raises:
        StorageError: If it cannot be removed.
    """
    with storage_errors(folder):
        freed = _size(folder)
        if not folder.name.startswith("."):
            gone = folder.with_name(f".{folder.name}.part")
            if gone.exists():
                freed += _size(gone)
                shutil.rmtree(gone)
            folder = folder.rename(gone)
        shutil.rmtree(folder)
    return freed


def _look(folder: Path) -> Installed | None:
    """Return what a folder holds, None if it is no prepared base."""
    size = _size(folder)
    try:
        manifest = read_manifest(folder)
    except ModelDamaged as error:
        return Installed(folder, None, None, size, str(error))
    if manifest is None:
        return None
    try:
        card = BaseCard.model_validate_json((folder / CARD).read_bytes())
    except (ValidationError, OSError):
        return Installed(folder, manifest, None, size, f"{folder / CARD} does not read; remove the model and pull it.")
    return Installed(folder, manifest, card, size)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def _counts(folder: Path) -> Iterator[tuple[str, int]]:
    """Give name and number of entries of every tensor."""
    for name, shape in _shapes(folder):
        yield name, math.prod(shape)


def _shapes(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Give name and shape of every tensor, from the headers of the safetensors files alone."""
    from safetensors import SafetensorError, safe_open

    for path in shard_files(folder):
        try:
            with safe_open(path, framework="np") as shard:
                for name in shard.keys():  # noqa: SIM118 - a reader, not a dictionary
                    yield name, shard.get_slice(name).get_shape()
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelDamaged(f"{path} does not say what it holds ({error}); fetch the model again.") from error
