"""A registry with bundles of a publisher, a profile that reads it, and a clock that both look at."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nightschool.marketplace.registry.client import Client, look
from nightschool.marketplace.registry.keeping import Keeper
from nightschool.marketplace.registry.listing import list_bundle
from nightschool.marketplace.trust.key_set import KeySet
from nightschool.marketplace.trust.store import TrustStore
from nightschool.schemas.bundle import CardPart, SlotPart
from nightschool.tests.marketplace.bundle.making import make
from nightschool.tests.marketplace.people import key, keys, publisher

ROOT_KEYS, ONLINE = (101, 102, 103), 110


class World:
    """Everything of a test; ``folder`` is that of the registry."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "registry"
        self.now = datetime(2026, 11, 26, tzinfo=UTC)
        self.keeper = Keeper(self.folder, lambda: self.now)
        self.trust = TrustStore(root / "home" / "trust", self.time)
        self.ada = publisher("ada", (1,))

    def time(self) -> float:
        return self.now.timestamp()

    def wait(self, days: float) -> None:
        self.now += timedelta(days=days)

    def begin(self) -> World:
        root = KeySet.of([key(number).public for number in ROOT_KEYS], 2)
        self.keeper.begin("home", "Home registry", root, keys(*ROOT_KEYS[:2]), key(ONLINE))
        self.keeper.introduce(self.ada)
        return self

    def bundle(self, name: str = "captain", seq: int = 1, *, signing: int = 1, publisher: str = "ada", **card) -> Path:
        place = self.root / "made"
        place.mkdir(exist_ok=True)
        said = {
            "title": name.capitalize(),
            "summary": f"It is {name}.",
            "language": ["en"],
            "tags": ["style"],
            "license": "Apache-2.0",
            "samples": [],
            "warnings": [],
        }
        return make(
            place,
            name=f"{name}-{seq}.slot",
            keys=(key(signing),),
            publisher=publisher,
            slot=SlotPart(name=name, version=f"1.{seq}.0", seq=seq, prev=None, created=1_700_000_000),
            card=CardPart(**{**said, **card}),
        )

    def add(self, name: str = "captain", seq: int = 1, **card) -> None:
        file = self.bundle(name, seq, **card)
        self.keeper.add(file, list_bundle(file, self.ada))

    def publish(self) -> None:
        self.keeper.publish(key(ONLINE))

    def client(self, name: str = "home", address: str = "", home: str = "home") -> Client:
        """A client that has met the registry; the same each time that it is asked for."""
        registries = self.root / home / "registries"
        if not (registries / name / "source.json").exists():
            address = address or str(self.folder)
            face, _ = look(address)
            return Client.meet(registries, address, name=name, confirmed=face.root, clock=self.time)
        return Client(registries / name, self.time)

    def keep_copy(self) -> Path:
        """Copy the registry as it is now, to be shown again later."""
        copy = self.root / f"copy-{len(list(self.root.glob('copy-*')))}"
        shutil.copytree(self.folder, copy)
        return copy

    def show_again(self, copy: Path, *places: str) -> None:
        """Put the registry, or some files of it, back to an older copy."""
        if not places:
            shutil.rmtree(self.folder)
            shutil.copytree(copy, self.folder)
        for place in places:
            shutil.copy2(copy / place, self.folder / place)
