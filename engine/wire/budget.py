"""Which codec a budget of divergence allows: measured once, on this machine's tail, and kept.

The measure is that of ``examine.py``: the states of the card's probe in each codec the server offers, through the tail.
It is kept for one base, in the numbers of this tail, at one cut, as one server computes it; else it is measured anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from ...schemas.errors import StorageError
from ...schemas.hsp import Description
from ...schemas.providers import CodecFound
from ..files import storage_errors, write_atomic
from .examine import Connect, measure_codecs

if TYPE_CHECKING:
    from ..base.library import LoadedBase

_KEPT = TypeAdapter(tuple[CodecFound, ...])


def cheapest(codecs: Sequence[CodecFound], budget: float) -> str:
    """Return the codec of the fewest bytes whose measured divergence lies within a budget; if none does, the truest."""
    within = [codec for codec in codecs if codec.kl <= budget]
    found = min(within, key=lambda codec: codec.bytes_a_token) if within else min(codecs, key=lambda codec: codec.kl)
    return found.name


async def measured(
    base: LoadedBase, cut: int, address: str, description: Description, *, connect: Connect, folder: Path
) -> tuple[CodecFound, ...]:
    """Return what the codecs of a server cost here, from ``folder`` where it was measured before.

    Raises:
        RemoteError: If the server cannot be asked.
        UsageError: If it does not offer the cut.
    """
    what = f"{address} {base.card.fingerprint} {base.numbers} {cut} {description.compute.model_dump_json()}"
    offered = [codec.name for codec in description.codecs]
    path = folder / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.json"
    kept = _read(path)
    if [codec.name for codec in kept] == offered:
        return kept
    found = await measure_codecs(base, description, cut, connect)
    try:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _KEPT.dump_json(found))
    except StorageError:
        return found  # it only spares the next start a second; a full disk is told by what must be written
    return found


def _read(path: Path) -> tuple[CodecFound, ...]:
    """Return what was kept; nothing where that is missing or spoilt, since it can be measured again."""
    try:
        return _KEPT.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return ()
