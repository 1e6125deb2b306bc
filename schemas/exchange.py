"""Conversations outside a profile, as they are read from and written to files; what an import finds and did.

A line of Night School's own format is ``{"nightschool": 1, "conversation": {...}}`` with a ``Transcript``, or holds a
``Lesson`` or a ``Slot`` under its name. The same records carry what is read from the exports of other chats.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .records import Finish, Lesson, Record, Role, SignalKind
from .records.record import LAST_MOMENT

OWN_FORMAT = 1
"""Version of Night School's own format, the value of ``nightschool`` in every line."""

Moment = Annotated[float, Field(ge=0.0, lt=LAST_MOMENT, allow_inf_nan=False)]
"""Seconds since the epoch, UTC."""


class TranscriptTurn(Record):
    """One turn. ``original`` and ``thumb`` as in ``Message``."""

    role: Role
    text: str
    created: Moment | None = Field(default=None, description="None: not known.")
    id: str = Field(default="", description="Its name where it comes from.")
    version: int | None = None
    finish: Finish | None = None
    tokens: int = Field(default=0, ge=0)
    original: str | None = None
    thumb: int = Field(default=0, ge=-1, le=1)
    replaced_by: int | None = Field(default=None, description="Place of the turn that took its place; None: shown.")


class TranscriptSignal(Record):
    """One signal of a conversation: the place of its turn, and the number that its lesson has in the same file."""

    turn: int = Field(ge=0)
    kind: SignalKind
    text: str = ""
    lesson: int | None = None
    undone: bool = False
    created: Moment = 0.0


class Transcript(Record):
    """A conversation outside a profile."""

    id: str = Field(default="", description="Its name where it comes from; empty: what is said is its name.")
    source: str = Field(default="", description="Where it comes from; empty: from what its importer is named for.")
    title: str = ""
    slot: str = Field(default="", description="Empty: the file names none.")
    created: Moment | None = None
    updated: Moment | None = None
    turns: list[TranscriptTurn] = Field(default_factory=list)
    signals: list[TranscriptSignal] = Field(default_factory=list)


class Skipped(Record):
    """Something in a file that was not read, and why, in a clause that can be counted: ``nothing was said in it``."""

    reason: str
    title: str = ""


class Found(Record):
    """What a file holds for this profile, or what was done with it; nothing of it is a sum of the others.

    Attributes:
        new: Conversations that are not in the profile.
        grown: Those that are there, and go on in the file.
        known: Those that are there as they are in the file, or go on here.
        skipped: How many were left out, by reason.
    """

    new: int = 0
    grown: int = 0
    known: int = 0
    turns: int = Field(default=0, description="Turns that are new.")
    lessons: int = Field(default=0, description="Lessons that are new.")
    skipped: dict[str, int] = Field(default_factory=dict)


class ImportPreview(Record):
    """What importing a file would do; nothing is stored."""

    file: str
    importers: list[str] = Field(description="What the file was read as, in words.")
    found: Found
    first: Moment | None = Field(default=None, description="The earliest time of a new conversation.")
    last: Moment | None = None
    titles: list[str] = Field(default_factory=list, description="Titles of the first new conversations.")
    slots: dict[str, int] = Field(default_factory=dict, description="New conversations by the slot that they name.")
    new_slots: list[str] = Field(default_factory=list, description="Slots they name that would be made.")


class ImportResult(Record):
    """What an import did; ``cancelled``: what came after is not stored, and the next import goes on from there."""

    file: str
    found: Found
    conversations: list[int] = Field(default_factory=list, description="Numbers of the first new conversations.")
    cancelled: bool = False


class ImportReading(Record):
    """What imported conversations teach: signals by kind, and the lessons they gave or support, the earliest first.

    Of the lessons only those wait for a study that the user said to be for good; the others wait to be confirmed.
    """

    conversations: int
    signals: dict[SignalKind, int] = Field(default_factory=dict)
    lessons: list[Lesson] = Field(default_factory=list)
    cancelled: bool = Field(default=False, description="What was not read is read the next time.")


class ExportForm(StrEnum):
    """How conversations are written."""

    MARKDOWN = "markdown"
    JSONL = "jsonl"
    SHAREGPT = "sharegpt"
    NIGHTSCHOOL = "nightschool"


class ExportResult(Record):
    """What was written."""

    file: str
    conversations: int
    lessons: int = 0
