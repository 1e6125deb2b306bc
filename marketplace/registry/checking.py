"""A whole look at a registry: what a reader would be shown, every file hashed, and how long it will be believed."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ...schemas.errors import NightSchoolError
from ...schemas.registry import ListedSlot
from ..trust.store import TrustStore
from . import layout
from .client import Client, look, open_source
from .source import Source

SOON_DAYS = 7


@dataclass(frozen=True)
class Finding:
    """Something about a registry that its keeper should know; ``wrong``: readers are refused because of it."""

    wrong: bool
    text: str


@dataclass(frozen=True)
class Report:
    """What a look found."""

    slots: int
    bundles: int
    publishers: int
    bytes: int
    expires: float
    findings: tuple[Finding, ...]


def check(address: str, tell: Callable[[float], None] = lambda share: None) -> Report:
    """Look at everything of a registry, in a folder or behind an address, as a reader who meets it now.

    Raises:
        MarketError: If a reader would not get as far as its catalog.
    """
    with tempfile.TemporaryDirectory(prefix="nightschool-check-") as folder:
        face, _ = look(address)
        client = Client.meet(Path(folder) / "registries", address, confirmed=face.root)
        source = open_source(address)
        fetched = client.refresh(TrustStore(Path(folder) / "trust"), source).fetched
        index = client.index()
        slots = index.slots()
        findings = [*_age(fetched.expires), *_publishers(client, source)]
        count, size = 0, 0
        total = sum(len(slot.versions) for slot in slots)
        for number, finding in enumerate(_bundles(source, slots), start=1):
            count, size = number, size + finding[0]
            findings += finding[1]
            tell(number / total)
    return Report(len(slots), count, len(index.publishers), size, fetched.expires, tuple(findings))


def _age(expires: float) -> list[Finding]:
    days = (expires - datetime.now(UTC).timestamp()) / 86400
    until = f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%d}"
    if days <= 0:
        return [Finding(True, f"It was to be believed until {until}; `nightschool registry publish` makes it fresh.")]
    if days < SOON_DAYS:
        return [Finding(False, f"It is believed until {until} only; `nightschool registry publish` makes it longer.")]
    return []


def _publishers(client: Client, source: Source) -> list[Finding]:
    found = []
    for name in client.index().publishers:
        try:
            client.publisher(name, source)
        except NightSchoolError as error:
            found.append(Finding(True, f"Publisher {name}: {error}"))
    return found


def _bundles(source: Source, slots: Sequence[ListedSlot]) -> Iterator[tuple[int, list[Finding]]]:
    """Hash every bundle; give its size and what is wrong with it."""
    for slot in slots:
        for version in slot.versions:
            digest, size = hashlib.sha256(), 0
            wrong: list[Finding] = []
            try:
                for piece in source.read(layout.bundle(slot.name, version.version, version.sha256), version.length):
                    digest.update(piece)
                    size += len(piece)
                if (digest.hexdigest(), size) != (version.sha256, version.length):
                    wrong = [Finding(True, f"The file of {slot.name} {version.version} is not the one that is listed.")]
            except NightSchoolError as error:
                wrong = [Finding(True, f"{slot.name} {version.version}: {error}")]
            if version.verdict == "review":
                wrong.append(Finding(False, f"{slot.name} {version.version}: the look at its weights asks for review."))
            yield size, wrong
