"""Making a bundle. The same version, packed by the same program with the same keys, is the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ...engine.files import replacing, storage_errors
from ...schemas.bundle import (
    FORMAT,
    PAYLOAD_TYPE,
    PREDICATE,
    STATEMENT,
    AdapterPart,
    BasePart,
    CardPart,
    FilePart,
    Gate,
    GatePart,
    Manifest,
    Metrics,
    MetricsPart,
    Predicate,
    ProvenancePart,
    PublisherPart,
    SafetyPart,
    ScanPart,
    SlotConfig,
    SlotPart,
    Subject,
)
from ...schemas.errors import UsageError
from .. import dsse, strict_json
from ..keys import PrivateKey, PublicKey
from . import manifest, ustar
from .codecs import Stored, store
from .manifest import PATHS, Signed, read_card
from .scan import scan
from .span import Span
from .tensors import Header, parse_header

SUITE = "nightschool-gates-1"


@dataclass(frozen=True)
class Draft:
    """What a bundle shall say, but for what follows from its files.

    Attributes:
        alpha: Of the adapter; None: its rank, so that its scale is 1.
        gates: How the study that made it ended; empty: none did.
        curve: Its training, as (step, loss, kl).
        card_text: ``card.md``; empty: there is none.
    """

    slot: SlotPart
    publisher: str
    base: BasePart
    card: CardPart
    provenance: ProvenancePart
    gates: Sequence[Gate] = ()
    curve: Sequence[tuple[float, float, float]] = ()
    card_text: str = ""
    alpha: float | None = None
    rslora: bool = False
    threshold: int = 1
    also_keys: Sequence[PublicKey] = field(default=())
    """Keys of the publisher that do not sign this time."""


def pack(target: Path, weights: Path, draft: Draft, keys: Sequence[PrivateKey], *, best: bool = False) -> Signed:
    """Write a bundle, whole or not at all; a file of that name is replaced.

    Args:
        target: The file.
        weights: ``adapter_model.safetensors`` of the version.
        draft: What it shall say.
        keys: That sign it.
        best: Whether to spend a hundred times as long on the weights, for a file that is 3 % smaller.

    Returns:
        What was signed.

    Raises:
        UsageError: If fewer keys are given than must sign.
        Refused: If importing it would be refused: nothing is published that nobody could take.
        DiskFull, StorageError: If it cannot be written.
    """
    if not keys or draft.threshold > len(keys):
        raise UsageError(
            f"{max(1, draft.threshold)} keys must sign this bundle, and {len(keys)} were given; give more."
        )
    with storage_errors(weights):
        raw = weights.read_bytes()
    read_card(draft.card_text.encode())
    header = parse_header(raw[8 : 8 + int.from_bytes(raw[:8], "little")], len(raw))
    with ThreadPoolExecutor(1) as beside:  # a third of the time is this look
        looking = beside.submit(_look, weights, header, draft)
        stored = {
            role: store(data, weights=role == "weights", best=best) for role, data in _files(raw, header, draft).items()
        }
        found = looking.result()
    keys = sorted(keys, key=lambda key: key.public.raw)
    said = _manifest(header, draft, stored, found, [key.public for key in keys])
    member = dsse.sign(manifest.dump(said), PAYLOAD_TYPE, keys)
    signed = manifest.verified(member)
    with replacing(target) as part:
        with part.open("wb") as stream:
            _write(stream, member, stored)
        part.chmod(0o644)  # it is made for others
    return signed


def _files(raw: bytes, header: Header, draft: Draft) -> dict[str, bytes]:
    """Return the files by role, in the order of the bundle."""
    config = SlotConfig(
        format=FORMAT,
        type="lora",
        task="CAUSAL_LM",
        r=header.rank,
        alpha=_alpha(header, draft),
        rslora=draft.rslora,
        bias="none",
        dtype=header.dtype,  # type: ignore[arg-type]
        targets=header.targets,
        layers=header.layers,
    )
    metrics = Metrics(format=FORMAT, gates=[*draft.gates], curve=[[*point] for point in draft.curve])
    files = {
        "config": strict_json.dumps(config.model_dump(mode="json")),
        "metrics": strict_json.dumps(metrics.model_dump(mode="json")),
        "card": draft.card_text.encode(),
        "weights": raw,
    }
    return {role: data for role, data in files.items() if data}


def _look(weights: Path, header: Header, draft: Draft) -> ScanPart:
    scale = _alpha(header, draft) / (header.rank**0.5 if draft.rslora else header.rank)
    with weights.open("rb") as stream:
        return scan(Span(stream.fileno(), 0, header.size), header, scale)


def _manifest(
    header: Header, draft: Draft, stored: Mapping[str, Stored], found: ScanPart, keys: list[PublicKey]
) -> Manifest:
    suite = hashlib.sha256(strict_json.dumps([[gate.name, gate.limit] for gate in draft.gates])).hexdigest()
    files = [
        FilePart(
            path=PATHS[role],  # type: ignore[arg-type]
            role=role,  # type: ignore[arg-type]
            raw_size=one.raw_size,
            raw_sha256=one.raw_sha256,
            blob=one.blob,
            blob_size=one.blob_size,
            codec=one.codec,
        )
        for role, one in stored.items()
    ]
    publisher = PublisherPart(
        name=draft.publisher,
        keys=manifest.key_parts(list(dict.fromkeys([*keys, *draft.also_keys]))),
        threshold=draft.threshold,
    )
    predicate = Predicate(
        format=FORMAT,
        requires=[],
        slot=draft.slot,
        publisher=publisher,
        base=draft.base,
        adapter=_adapter(header, draft),
        files=files,
        card=draft.card,
        metrics=MetricsPart(suite=SUITE, suite_sha256=suite, values={gate.name: gate.value for gate in draft.gates}),
        safety=SafetyPart(
            scan=found, gate=GatePart(suite_sha256=suite, results=[*draft.gates]) if draft.gates else None
        ),
        provenance=draft.provenance,
    )
    subject = [Subject(name=file.path, digest={"sha256": file.raw_sha256}) for file in files]  # type: ignore[arg-type]
    return Manifest(_type=STATEMENT, subject=subject, predicateType=PREDICATE, predicate=predicate)


def _adapter(header: Header, draft: Draft) -> AdapterPart:
    return AdapterPart(
        type="lora",
        r=header.rank,
        alpha=_alpha(header, draft),
        rslora=draft.rslora,
        targets=header.targets,
        dtype=header.dtype,  # type: ignore[arg-type]
        tensors=header.tensors,
        params=header.numbers,
    )


def _alpha(header: Header, draft: Draft) -> float:
    return float(header.rank if draft.alpha is None else draft.alpha)


def _write(stream: BinaryIO, member: bytes, stored: Mapping[str, Stored]) -> None:
    stream.write(ustar.header(ustar.MANIFEST_NAME, len(member)) + member)
    stream.write(bytes(ustar.padded(len(member)) - len(member)))
    for one in stored.values():
        stream.write(ustar.header(ustar.blob_name(one.blob), one.blob_size))
        for piece in one.pieces:
            stream.write(piece)
        stream.write(bytes(ustar.padded(one.blob_size) - one.blob_size))
    stream.write(ustar.END)
