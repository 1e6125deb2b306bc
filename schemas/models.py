"""The bases a profile has and could have: the catalogue's facts, and what is on this machine."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .records import Record


class CatalogBase(Record):
    """One base of the catalogue; ``engine/base/catalog.json`` holds them.

    ``source`` is what ``library.prepare`` takes: ``default``, or a name on the Hugging Face hub.
    """

    name: str
    title: str
    source: str
    family: str
    parameters: int
    head: int = Field(description="Entries of the head: vocabulary times width. Part of ``parameters`` also if tied.")
    download: int = Field(description="Bytes of its files on the hub; 0: it came with Night School.")
    licence: str = Field(description="SPDX name, LicenseRef-... where SPDX has none.")
    languages: str
    gated: bool = Field(default=False, description="The hub asks to log in and to accept its terms first.")
    thinks: bool = Field(default=False, description="It thinks aloud before it answers.")
    note: str = Field(description="What it is good for, in one sentence.")


class Fit(StrEnum):
    """Whether a base fits this machine's memory."""

    WELL = "well"
    """With room for other programs."""
    TIGHTLY = "tightly"
    """If little else runs."""
    NOT = "not"


class KnownBase(Record):
    """A base as a list shows it: known from the catalogue, on this machine, or both. None and "" are not known."""

    spec: str = Field(description="What pull, use and remove take.")
    title: str
    source: str
    family: str = ""
    parameters: int | None = None
    download: int | None = None
    memory: int | None = Field(default=None, description="Bytes of its weights in memory, at 4 bits.")
    fit: Fit | None = None
    licence: str = ""
    languages: str = ""
    gated: bool = False
    note: str = ""
    installed: bool = False
    partial: int = Field(default=0, description="Bytes that a pull which was broken off left; the next one goes on.")
    size: int = Field(default=0, description="Bytes it takes on the disk.")
    folder: str = ""
    fingerprint: str = ""
    upper: int | None = Field(default=None, description="How many of its blocks are here, from the top; None: all.")
    chosen: bool = Field(default=False, description="The profile starts with it.")
    loaded: bool = Field(default=False, description="It answers now.")
    slots: list[str] = Field(default_factory=list, description="Slots whose current generation was learned on it.")
    trouble: str = Field(default="", description="Why it cannot be used, where that is known.")


class PulledTail(Record):
    """A tail that was fetched: its row, and bytes."""

    base: KnownBase
    moved: int = Field(description="That went either way now; less than the tail where an earlier pull was broken off.")
    tail: int = Field(description="Of the tail's weights.")
    whole: int = Field(description="Of all weights of the base.")
    chosen: bool = Field(default=False, description="The profile starts with it from now on.")


class KnownBases(Record):
    """Every base that is known, and the machine's memory in bytes."""

    rows: list[KnownBase]
    memory_total: int
    memory_available: int
    suggestion: str = Field(
        default="",
        description="While the default base is in use: ``spec`` of the largest that fits well, is free for everybody "
        "and answers without thinking aloud first; empty if there is none.",
    )
