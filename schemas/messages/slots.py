"""Slots and their versions, alone and together."""

from __future__ import annotations

from pydantic import Field

from ..audit import Audit
from ..records import (
    AdapterForm,
    Collected,
    ExportedAdapter,
    GenerationQuality,
    MergeOptions,
    Slot,
    StoreCheck,
    Study,
    Version,
    VersionDiff,
    VersionPreview,
)
from .request import Request

MOST_PROMPTS = 16
"""Of a preview."""


class ListSlots(Request[list[Slot]]):
    """The slots in use, in the order they were made; with the archived ones, or the deleted ones, where asked for."""

    method = "slots.list"
    archived: bool = False
    deleted: bool = False


class CreateSlot(Request[Slot]):
    """Add a slot of the user's own; ``name`` is derived from the title where it is empty."""

    method = "slots.create"
    title: str
    name: str = ""
    description: str = ""
    system_prompt: str = ""


class UpdateSlot(Request[Slot]):
    """Change a slot's settings; None leaves a field as it is.

    An empty ``base`` lets it answer with any, an empty ``blend`` with its own adapter alone; an empty ``provider`` has
    its lower blocks computed where those of the profile are.
    """

    method = "slots.update"
    name: str
    title: str | None = None
    description: str | None = None
    system_prompt: str | None = None
    temperature: float | None = None
    base: str | None = None
    blend: dict[str, float] | None = None
    provider: str | None = None


class RenameSlot(Request[Slot]):
    """Give a slot another title, another name (its folder and handle), or both; None leaves one as it is."""

    method = "slots.rename"
    slot: str
    title: str | None = None
    name: str | None = None


class ArchiveSlot(Request[Slot]):
    """Put a slot out of sight, where it keeps everything and is not studied at night; ``archived`` False: back."""

    method = "slots.archive"
    slot: str
    archived: bool = True


class DeleteSlot(Request[Slot]):
    """Delete a slot with its conversations and lessons; ``slots.undelete`` brings all of it back, for 30 days."""

    method = "slots.delete"
    slot: str


class UndeleteSlot(Request[Slot]):
    """Bring a deleted slot back as it was."""

    method = "slots.undelete"
    slot: str


class BlendSlots(Request[Study]):
    """Merge what several slots have learned into a new generation of a slot, if it passes the gates.

    Told and returned as a study. ``weights`` by slot; ``into`` may be one of them.
    """

    method = "slots.blend"
    weights: dict[str, float]
    into: str
    strategy: str = "exact"
    options: MergeOptions = MergeOptions()


class ForkSlot(Request[Slot]):
    """Make a slot of the user's own that begins where another one is now, with its settings, adapter and lessons."""

    method = "slots.fork"
    slot: str
    title: str
    name: str = ""


class DiffVersions(Request[VersionDiff]):
    """Compare two generations of a slot."""

    method = "versions.diff"
    slot: str
    one: int
    other: int


class PreviewVersion(Request[VersionPreview]):
    """Answer questions with the generation in effect and with another one. Nothing is stored.

    ``prompts`` empty: the held-out prompts of their reports, and where these have none a few of the prompt bank. Told:
    ``versions.preview.delta``; ``slots.compare.cancel`` stops it.
    """

    method = "versions.preview"
    slot: str
    number: int
    prompts: list[str] = Field(default_factory=list, max_length=MOST_PROMPTS)
    max_tokens: int = Field(default=96, ge=1, le=1000)


class AuditVersion(Request[Audit]):
    """Say what a generation of a slot could give away of its user; ``number`` None: the current one.

    Told: ``versions.audit.progress``. What was found once is kept for as long as neither it nor its lessons change.
    """

    method = "versions.audit"
    slot: str
    number: int | None = None


class ExportSlot(Request[ExportedAdapter]):
    """Write a generation of a slot into a new folder; ``number`` None: the current one.

    ``peft`` copies its files, ``gguf`` makes a LoRA for llama.cpp and a Modelfile, ``merged`` a whole model.
    """

    method = "slots.export"
    slot: str
    to: str
    form: AdapterForm = AdapterForm.PEFT
    number: int | None = None


class ImportAdapter(Request[Study]):
    """Make a PEFT LoRA from elsewhere a new generation of a slot, if it passes the gates.

    Told and returned as a study. ``source`` says where it came from, for good; what was fetched for it is removed once
    it was read. ``keep_upper``: of one that reaches below the tail, what it changes in the tail is kept, and the report
    says what that loses.
    """

    method = "slots.import"
    folder: str
    into: str
    source: str = ""
    keep_upper: bool = False


class TeachSlot(Request[Study]):
    """Learn all lessons of a slot, learned and waiting ones, on another base that is on this machine.

    Told and returned as a study. What passes the gates is a generation for that base, which answers where it is loaded;
    where another one is, everything stays as it was. ``base`` as ``models.list`` has it.
    """

    method = "slots.teach"
    slot: str
    base: str


class CheckSlots(Request[StoreCheck]):
    """Hash every file of every generation again; repair what is damaged where a whole copy is at hand."""

    method = "slots.check"


class ListVersions(Request[list[Version]]):
    """All generations of a slot, the newest first; generation 0, the base, is the last."""

    method = "versions.list"
    slot: str


class PinVersion(Request[Version]):
    """Keep the files of a generation, however many are kept; ``pinned`` False: no longer."""

    method = "versions.pin"
    slot: str
    number: int
    pinned: bool = True


class CollectGarbage(Request[Collected]):
    """Remove what nothing needs: deleted slots whose time is over, what was never finished, what studies left.

    ``keep``: of each slot only so many of the newest generations keep their files; None: as the settings say, which is
    all of them where they do not. The current one, what a rollback goes back to and what is pinned stay always.
    """

    method = "slots.gc"
    keep: int | None = Field(default=None, ge=1)
    dry_run: bool = False


class Rollback(Request[Version]):
    """Make a new generation that equals an old one. ``to`` None: the one before the current."""

    method = "versions.rollback"
    slot: str
    to: int | None = None


class GetQuality(Request[list[GenerationQuality]]):
    """How each generation of a slot was measured and how it fared in chats, the oldest first."""

    method = "versions.quality"
    slot: str
