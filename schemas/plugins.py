"""Plugins as they are listed, and what is kept of them: what the user decided, and what was seen of each."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .records import Record

LOCK_FORMAT = 1
MOST_FAULTS = 5
"""Faults that are remembered of a plugin, the latest."""


class PluginState(StrEnum):
    """How a plugin stands."""

    UNTRUSTED = "untrusted"
    """Installed; its code was never allowed to run, or it has changed since it was."""
    BLOCKED = "blocked"
    """The user turned it off, or Night School did after it did harm; or this start was told to load no plugins."""
    TRUSTED = "trusted"
    """Allowed, and loaded with the next start of the engine."""
    INCOMPATIBLE = "incompatible"
    """Written for another version of Night School or of its hooks."""
    LOADED = "loaded"
    FAILED = "failed"
    """Allowed, and it did not load."""
    MISSING = "missing"
    """In ``plugins.lock``, and not installed."""


class PluginFault(Record):
    """Something that a plugin did wrong; ``hook`` is empty where it did not load."""

    text: str
    hook: str = ""
    traceback: str = ""
    at: float = Field(default=0.0, description="Seconds since the epoch, UTC.")


class PluginCommand(Record):
    """A command that a plugin supplies: ``nightschool NAME``, and with a title in the palette."""

    name: str
    about: str = ""
    title: str = ""


class Decision(Record):
    """What was decided about one plugin; a line of ``plugins.lock``.

    Attributes:
        version: That was trusted.
        sha256: Of its RECORD, the list of its files with their hashes; another one is asked about again.
        requirement: What brings it back, as pip takes it; empty: its name and version.
        hook_api: Of Night School when it was trusted.
        enabled: Whether it is loaded.
        reason: Why not, where Night School turned it off.
    """

    version: str
    sha256: str
    requirement: str = ""
    hook_api: int = 1
    enabled: bool = True
    reason: str = ""


class PluginsLock(Record):
    """The file ``plugins.lock``: decisions by the name of the distribution."""

    format: int = LOCK_FORMAT
    plugins: dict[str, Decision] = Field(default_factory=dict)


class Sighting(Record):
    """What an engine last saw of one plugin; a part of ``seen.json``, and nothing that could not be seen again."""

    sha256: str
    state: PluginState
    reason: str = ""
    load_ms: float = 0.0
    hooks: list[str] = Field(default_factory=list)
    commands: list[PluginCommand] = Field(default_factory=list)
    faults: list[PluginFault] = Field(default_factory=list)
    strikes: int = 0


class Sightings(Record):
    """The file ``seen.json``: sightings by the name of the distribution."""

    plugins: dict[str, Sighting] = Field(default_factory=dict)


class PluginRow(Record):
    """One plugin as it is listed."""

    name: str = Field(description="Of its distribution, normalised.")
    version: str
    state: PluginState
    reason: str = ""
    summary: str = ""
    requirement: str = ""
    points: list[str] = Field(default_factory=list, description="Its entry points: name = module.")
    hooks: list[str] = Field(default_factory=list)
    commands: list[PluginCommand] = Field(default_factory=list)
    load_ms: float = 0.0
    strikes: int = 0
    faults: list[PluginFault] = Field(default_factory=list, description="The latest last.")
    sha256: str = ""
    trusted_version: str = Field(default="", description="The version in plugins.lock; empty: none was ever trusted.")


class PluginList(Record):
    """All plugins of others, and how many are built in."""

    plugins: list[PluginRow] = Field(default_factory=list)
    built_in: int = 0
