"""Slots, their versions, what these are made of, and in what forms they leave."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .record import Record
from .studies import StudyReport


class Slot(Record):
    """One personality. ``name`` is its folder and its handle; generation 0 is the untouched base."""

    name: str
    title: str
    description: str = ""
    system_prompt: str = ""
    temperature: float = Field(default=0.0, ge=0.0, le=5.0)
    base: str = Field(default="", description="The one base it answers with; empty: whichever the profile has.")
    blend: dict[str, float] = Field(
        default_factory=dict, description="Slots it speaks with, each with a weight, in place of its own; empty: alone."
    )
    provider: str = Field(
        default="", description="Where its lower blocks compute: a server's name or local; empty: as the profile does."
    )
    archived: float | None = Field(default=None, description="Since when it is out of sight and not studied at night.")
    deleted: float | None = Field(default=None, description="When it was deleted; it can come back for 30 days.")
    current: int = 0
    waiting: int = Field(default=0, description="Approved lessons that the next study would take.")


class VersionKind(StrEnum):
    """How a generation came to be."""

    BASE = "base"
    STUDY = "study"
    ROLLBACK = "rollback"
    MERGE = "merge"
    IMPORT = "import"
    FORK = "fork"


class MergeOptions(Record):
    """How far a merge may go; each strategy says which of these it takes. None: the strategy's own."""

    rank: int | None = Field(default=None, ge=1, le=1024, description="Of the adapter that comes out.")
    energy: float | None = Field(default=None, gt=0.0, le=1.0, description="Share of its sum of squares to keep.")
    density: float | None = Field(default=None, gt=0.0, le=1.0, description="Share of the numbers to keep.")
    seed: int = Field(default=0, description="Of what is drawn by chance.")


class Parent(Record):
    """A generation that a merge was made of, and how much of it."""

    slot: str
    number: int
    weight: float
    adapter_sha256: str


class MergeFacts(Record):
    """How a generation was merged."""

    strategy: str
    options: MergeOptions = MergeOptions()
    parents: list[Parent]
    rank: int
    error: float = Field(description="Distance from what the strategy wanted, relative, in the Frobenius norm.")


class BundleOrigin(Record):
    """A bundle whose weights are in a generation: as it came, or blended or trained on since."""

    id: str = Field(description="sha256 of what its publisher signed.")
    publisher: str
    slot: str = Field(description="As the publisher calls it.")
    version: str
    seq: int
    signers: list[str] = Field(description="Fingerprints of the keys that signed it.")
    threshold: int = Field(description="How many of them must have.")


class Version(Record):
    """One immutable generation of a slot."""

    slot: str
    number: int
    kind: VersionKind
    parent: int | None
    base: str = Field(description="Fingerprint of the base that the adapter belongs to.")
    created: float
    restores: int | None = Field(default=None, description="For a rollback: the generation it went back to.")
    lessons: list[int] = Field(default_factory=list)
    adapter_sha256: str | None = Field(default=None, description="None: no adapter, the plain base answers.")
    adapter_bytes: int = 0
    report: StudyReport | None = None
    merge: MergeFacts | None = Field(default=None, description="For a merge: of what, and how.")
    origins: list[BundleOrigin] = Field(default_factory=list, description="The bundles whose weights are in it.")
    source: str = Field(default="", description="For an import that was no bundle: where its weights came from.")
    current: bool = False
    pinned: bool = Field(default=False, description="Its files stay, however many generations are kept.")
    removed: bool = Field(default=False, description="Its files were removed; what is said here stays.")


class GateChange(Record):
    """A gate's figure in two generations; None: it was not measured there."""

    name: str
    one: float | None
    other: float | None


class SamplePair(Record):
    """The same prompt answered by two generations."""

    prompt: str
    one: str
    other: str


class VersionPreview(Record):
    """The same questions answered by the generation in effect and by another one, before that one is activated.

    Attributes:
        one: The generation in effect.
        other: The one that may take its place.
        stopped: Whether it was stopped before every question was answered.
    """

    slot: str
    one: int
    other: int
    samples: list[SamplePair]
    stopped: bool = False


class BlockNorms(Record):
    """How far two generations moved the weights of a block, and how far they lie apart, in the Frobenius norm."""

    block: int
    one: float
    other: float
    change: float


class VersionDiff(Record):
    """What lies between two generations of a slot. ``came`` and ``went`` are rules that the other knows, or the one."""

    slot: str
    one: int
    other: int
    came: list[str]
    went: list[str]
    gates: list[GateChange]
    samples: list[SamplePair]
    blocks: list[BlockNorms]


class AdapterForm(StrEnum):
    """How a generation is written for other programs."""

    PEFT = "peft"
    GGUF = "gguf"
    MERGED = "merged"


class ExportedAdapter(Record):
    """A generation that was written for other programs; ``number`` 0: it is none of a slot here."""

    folder: str
    form: AdapterForm
    number: int
    bytes: int
