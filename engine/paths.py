"""Where every file of ours lies: under ``NIGHTSCHOOL_HOME`` if it is set, else in the platform's own folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..schemas.errors import UsageError


@dataclass(frozen=True)
class Home:
    """The folder of one profile and the places in it. Nothing is created by asking for a path."""

    root: Path

    @property
    def database(self) -> Path:
        """SQLite file with everything but weights."""
        return self.root / "night.db"

    @property
    def models(self) -> Path:
        """One folder per prepared base."""
        return self.root / "models"

    @property
    def slots(self) -> Path:
        """One folder per slot, with its versions."""
        return self.root / "slots"

    @property
    def cache(self) -> Path:
        """What can be computed again: states, base replies."""
        return self.root / "cache"

    @property
    def readings(self) -> Path:
        """What was read of conversations, put away for the next start."""
        return self.cache / "conversations"

    def reading(self, conversation: int) -> Path:
        """What was put away of one conversation: its words in plain text, and states."""
        return self.readings / f"{conversation}.safetensors"

    @property
    def studies(self) -> Path:
        """One folder per running or finished study: its job, its progress, its candidate."""
        return self.root / "studies"

    @property
    def logs(self) -> Path:
        """Log files of the engine and of studies."""
        return self.root / "logs"

    @property
    def lock(self) -> Path:
        """Held by the one engine process that may write here."""
        return self.root / "engine.lock"

    @property
    def serve_keys(self) -> Path:
        """Hashes of the keys that `nightschool serve` accepts."""
        return self.root / "serve-keys.json"

    @property
    def api_keys(self) -> Path:
        """Hashes of the keys that `nightschool api` accepts."""
        return self.root / "api-keys.json"

    @property
    def provider_keys(self) -> Path:
        """One file with the key of each server elsewhere that was given one; for the user's eyes alone."""
        return self.root / "provider-keys"

    @property
    def trust(self) -> Path:
        """Which publishers are believed, and what was revoked."""
        return self.root / "trust"

    @property
    def keys(self) -> Path:
        """The user's own private keys, encrypted."""
        return self.root / "keys"

    @property
    def quarantine(self) -> Path:
        """Where a stranger's bundle lies while it is checked; nothing of it stays there."""
        return self.root / "quarantine"

    @property
    def registries(self) -> Path:
        """One folder per registry that is looked at."""
        return self.root / "registries"

    @property
    def plugins(self) -> Path:
        """What was decided about plugins and seen of them, and marks of processes that call them."""
        return self.root / "plugins"

    @property
    def night_due(self) -> Path:
        """There while a night waits for the engine that has the profile open."""
        return self.root / "night.due"

    @property
    def config(self) -> Path:
        """The user's settings, TOML."""
        return self.root / "config.toml"


def find_home() -> Home:
    """Return the profile folder: ``$NIGHTSCHOOL_HOME`` if set, else the platform's data folder.

    Raises:
        UsageError: If that names a user who is not there.
    """
    moved = os.environ.get("NIGHTSCHOOL_HOME")
    if moved:
        try:
            return Home(Path(moved).expanduser().absolute())
        except RuntimeError as error:
            raise UsageError(f"NIGHTSCHOOL_HOME is {moved}, the home of nobody here; set it to a folder.") from error
    import platformdirs

    return Home(Path(platformdirs.user_data_dir("nightschool", appauthor=False)))
