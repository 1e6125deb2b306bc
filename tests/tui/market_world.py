"""A registry in a folder and a profile beside it, for the screens of the market."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nightschool.engine.paths import Home
from nightschool.marketplace import key_file
from nightschool.marketplace.keys import words_of
from nightschool.marketplace.registry.client import look
from nightschool.schemas.bundle import SampleTurn
from nightschool.tests.marketplace.registry.world import World
from nightschool.tui.market import meet

SAMPLE = SampleTurn(prompt="Where is the sea?", before="There.", after="Ahoy, there.")


class Market(World):
    """A world whose registry is as old as today, and a profile that the app opens."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.now = datetime.now(UTC)
        self.home = Home(root / "home")
        self.begin()

    @property
    def words(self) -> str:
        """Of the publisher."""
        return str(self.ada.keys.words)

    def client_words(self) -> str:
        """Of the registry."""
        return str(words_of(self.keeper.face().root))

    def list_all(self, *names: str, **card: object) -> Market:
        """List a bundle of each name, and publish."""
        for name in names:
            self.add(name, **{"samples": [SAMPLE], **card})
        self.publish()
        return self

    def known(self) -> Market:
        """Have the profile know the registry."""
        meet(self.home, str(self.folder), confirmed=look(str(self.folder))[0].root)
        return self

    def refresh(self) -> None:
        """Have the profile read what is new."""
        self.client().refresh(self.trust)

    def grow_old(self) -> None:
        """Let what the registry said be too old."""
        state = self.home.registries / "home" / "state.json"
        state.write_text(json.dumps({**json.loads(state.read_text()), "expires": 1.0}))

    def in_quarantine(self) -> list[str]:
        """What lies there."""
        folder = self.home.quarantine
        return [path.name for path in folder.iterdir() if path.name != ".lock"] if folder.exists() else []


@pytest.fixture
def market(tmp_path, monkeypatch):
    """A registry with nothing in it, which the profile does not know."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(key_file, "_COST", 16)
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return Market(tmp_path)
