"""What a registry lists of a bundle: read from it after every check that an import would make."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ...schemas.registry import ListedBase, ListedSlot, ListedVersion
from ..bundle.importing import taken
from ..bundle.manifest import Signed, public_keys
from ..refusals import refuse
from ..trust.key_set import KeySet
from ..trust.publisher import Publisher


def list_bundle(file: Path, publisher: Publisher) -> ListedSlot:
    """Return what is listed of a bundle of a publisher.

    Raises:
        Refused: If the bundle breaks any rule of an import, or is not signed with the publisher's keys of today.
        NotFound, StorageError: If it cannot be read.
    """

    def trust(signed: Signed) -> None:
        said = signed.manifest.publisher
        if said.name != publisher.name or KeySet.of(public_keys(said), said.threshold) != publisher.keys:
            raise refuse("key-changed", f"{said.name} signed it, {publisher.name} has {publisher.keys.words}")

    with (
        tempfile.TemporaryDirectory(prefix="nightschool-list-") as quarantine,
        taken(file, Path(quarantine), trust=trust, find_base=lambda base: None) as found,
    ):
        return _listed(found.signed, found.sha256, file.stat().st_size, found.scan.verdict)


def _listed(signed: Signed, sha256: str, length: int, verdict: str) -> ListedSlot:
    said = signed.manifest.predicate
    version = ListedVersion(
        version=said.slot.version,
        seq=said.slot.seq,
        id=signed.id,
        sha256=sha256,
        length=length,
        created=said.slot.created,
        license=said.card.license,
        base=ListedBase(id=said.base.id, fingerprint=said.base.fingerprint, arch=said.base.arch),
        rank=said.adapter.r,
        verdict="review" if verdict == "review" else "nothing-found",
    )
    return ListedSlot(
        name=said.slot.name,
        publisher=said.publisher.name,
        title=said.card.title,
        summary=said.card.summary,
        tags=said.card.tags,
        language=said.card.language,
        versions=[version],
    )
