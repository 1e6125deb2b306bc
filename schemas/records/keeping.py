"""What is kept and cleaned up: backups, checks, garbage, and how good generations were."""

from __future__ import annotations

from pydantic import Field

from .record import Record
from .slots import VersionKind


class BackupSummary(Record):
    """A profile in one file."""

    file: str
    bytes: int
    created: float
    slots: int
    generations: int


class StoreFinding(Record):
    """Something wrong in the store; ``number`` None: with the slot itself."""

    slot: str
    number: int | None
    repaired: bool
    text: str


class StoreCheck(Record):
    """What a look at every file of the store found."""

    files: int
    bytes: int = Field(description="Of the files that are whole.")
    findings: list[StoreFinding] = Field(default_factory=list)


class Garbage(Record):
    """Something that nothing needs; ``slot`` None: it belongs to none, ``number`` None: to no generation."""

    slot: str | None = None
    number: int | None = None
    bytes: int = Field(default=0, description="That come free with it.")
    text: str


class Collected(Record):
    """What was removed because nothing needs it, or would be."""

    bytes: int
    dry_run: bool
    removed: list[Garbage] = Field(default_factory=list)


class GenerationUse(Record):
    """How a generation of a slot fared in chats: replies it gave, and those that were edited, corrected or rejected."""

    version: int
    replies: int
    corrected: int


class GenerationQuality(Record):
    """One generation over time: what its study measured, and how it fared. None: not measured, or never used."""

    version: int
    created: float
    kind: VersionKind
    lessons: int
    replies: int = 0
    corrected: int = 0
    stick: float | None = Field(default=None, description="Mean share of held-out prompts that follow its lessons.")
    kept_kl: float | None = Field(default=None, description="Nats a token, on what the rules do not ask to change.")
    neutral_kl: float | None = None
    capability: float | None = Field(default=None, description="Share of the capability items, where a gate has it.")
