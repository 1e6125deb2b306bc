"""The plain records that travel between the rooms: chats, signals, lessons, studies, slots and versions.

They are immutable; a change is a new record. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """An immutable record; unknown fields are refused, so that a newer profile is never half-read."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


# -- chats ------------------------------------------------------------------------------------------------------------


class Role(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"


class Finish(StrEnum):
    """Why a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Conversation(Record):
    """One chat in one slot."""

    id: int
    slot: str
    title: str
    created: float
    updated: float
    messages: int = 0
    origin: str = Field(default="", description="Name of the importer that brought it; empty: it was had here.")


class Message(Record):
    """One turn. ``original`` is the model's own text where the user has edited the reply."""

    id: int
    conversation: int
    role: Role
    text: str
    created: float
    version: int | None = Field(default=None, description="Generation of the slot that answered; None for users.")
    finish: Finish | None = None
    tokens: int = 0
    original: str | None = None
    thumb: int = Field(default=0, ge=-1, le=1)


class SearchHit(Record):
    """One message that matches a full-text query, with the words around the match."""

    conversation: int
    message: int
    title: str
    slot: str
    role: Role
    excerpt: str = Field(description="Plain text; the match stands between U+E000 and U+E001.")


# -- signals and lessons ----------------------------------------------------------------------------------------------


class SignalKind(StrEnum):
    """A raw event in a chat (DESIGN section 1).

    What the user says next is one of: ``CORRECTION`` (says what is wrong, or what it should be), ``CORRECT_BARE``
    (only that it is wrong), ``REPHRASE`` (asks the same again), ``CLARIFY`` (doubts it), ``STYLE`` (wants this reply
    in another form), ``RULE`` (says how replies shall be), ``PRAISE`` (is content), ``ACCEPT`` (wants it to go on),
    ``FACT`` (says something of themselves).
    """

    EDIT = "edit"
    CORRECTION = "correction"
    CORRECT_BARE = "correct_bare"
    REPHRASE = "rephrase"
    CLARIFY = "clarify"
    STYLE = "style"
    RULE = "rule"
    PRAISE = "praise"
    ACCEPT = "accept"
    REGENERATE = "regenerate"
    THUMB_UP = "thumb_up"
    THUMB_DOWN = "thumb_down"
    FACT = "fact"


class Scope(StrEnum):
    """How far a wish reaches: this reply, this conversation, or every conversation of the slot."""

    REPLY = "reply"
    CONVERSATION = "conversation"
    SLOT = "slot"


class Provenance(StrEnum):
    """Whose evidence a lesson rests on: the user's words, the user's edit, or what was inferred from either."""

    SAID = "said"
    EDITED = "edited"
    INFERRED = "inferred"


class Signal(Record):
    """One event that may teach something. ``message`` is the message it was made on or in."""

    id: int
    conversation: int
    message: int
    kind: SignalKind
    text: str = Field(default="", description="The user's words, where there are any.")
    scope: Scope | None = Field(default=None, description="How far the words reach; None where that was not asked.")
    lesson: int | None = None
    undone: bool = False
    created: float = 0.0


class MemoryNote(Record):
    """Something that is known of the user, in words; the model is told it, and it is never taught.

    ``message`` is the one it was said in; ``slot`` None: every slot is told it.
    """

    id: int
    slot: str | None = None
    text: str
    created: float = 0.0
    message: int | None = None


class LessonState(StrEnum):
    """``approved`` waits for the next study; ``learned`` is part of the current version of the slot."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    LEARNED = "learned"
    REJECTED = "rejected"
    DISMISSED = "dismissed"


class Step(Record):
    """One rewriting step: the name of a rewriter and its arguments, e.g. ``opening {"text": "Captain, "}``."""

    rewriter: str
    args: dict[str, Any] = Field(default_factory=dict)


class Evidence(Record):
    """What a lesson rests on: the prompt, the model's reply, and what the user made of it or said about it."""

    prompt: str
    before: str = ""
    after: str = ""
    said: str = ""


class Lesson(Record):
    """What a signal teaches, in words the user can read."""

    id: int
    slot: str
    state: LessonState
    rule: str = Field(description="The rule in words, as it is shown and can be edited.")
    steps: list[Step] = Field(default_factory=list, description="What to do to a reply; empty: not learnable yet.")
    when: str = Field(default="", description="Condition in the user's words; empty: every reply of the slot.")
    evidence: list[Evidence] = Field(default_factory=list)
    scope: Scope = Field(default=Scope.SLOT, description="How far the user means it; only ``slot`` is studied unasked.")
    provenance: Provenance = Field(default=Provenance.SAID, description="Whose evidence it rests on.")
    confidence: float = Field(default=1.0, ge=0.0, le=1.0)
    created: float = 0.0
    version: int | None = Field(default=None, description="Generation that first knew it.")
    reason: str = Field(default="", description="Why it was rejected, or cannot be learned.")
    expires: float | None = Field(default=None, description="When it ends to count; None: it counts until taken back.")
    merged: int | None = Field(default=None, description="The lesson that says the same and counts in its place.")


class RelationKind(StrEnum):
    """How two lessons of a slot stand to each other."""

    SAME = "same"
    CONTRADICTS = "contradicts"


class LessonRelation(Record):
    """Two lessons that ask for the same, or of which only one can be followed: the later one then.

    ``earlier_says`` and ``later_says`` are the parts that they differ in, or have in common, in words.
    """

    kind: RelationKind
    slot: str
    earlier: int
    later: int
    earlier_says: str
    later_says: str


# -- studies ----------------------------------------------------------------------------------------------------------


class StudyState(StrEnum):
    """How a study stands or ended."""

    RUNNING = "running"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"


class GateResult(Record):
    """One measured yes or no. ``text`` says it in a sentence for the morning report."""

    name: str
    passed: bool
    value: float
    limit: float
    text: str


class Sample(Record):
    """One held-out prompt answered without the rule in the context, before and after."""

    prompt: str
    before: str
    after: str
    followed: bool


class LessonOutcome(Record):
    """How one lesson fared on held-out prompts; rates are shares 0..1."""

    lesson: int
    rule: str
    before: float
    after: float
    samples: list[Sample] = Field(default_factory=list)


class CurvePoint(Record):
    """One point of the training curve; loss in nats per taught token, kl in nats per kept token."""

    step: int
    loss: float
    kl: float


class PromptProof(Record):
    """That no prompt was both trained and checked on (``shared`` is 0): how many of each, and what they hash to."""

    trained: int
    checked: int
    shared: int
    trained_sha256: str
    checked_sha256: str


class RouterResult(Record):
    """How well a router tells a slot's prompts from others, on prompts that it was not fitted on."""

    name: str
    kept: bool = Field(default=False, description="Whether it lies beside the adapter and is asked in chats.")
    reason: str = Field(default="", description="Why it is not kept.")
    hit: float | None = Field(default=None, description="Share of prompts in scope where the adapter answers.")
    quiet: float | None = Field(default=None, description="Share of prompts out of it where the plain base does.")
    prompts: PromptProof | None = None


class Standing(Record):
    """What counts when two versions are compared: rates are shares 0..1, distances in nats a token."""

    stick: float = Field(description="Mean share of held-out prompts that follow each lesson, over all lessons.")
    kept_kl: float
    neutral_kl: float


class Comparison(Record):
    """A version made anew from all lessons beside the one that grew night by night, on the same prompts."""

    rebuilt: Standing
    continued: Standing
    rebuilt_is_better: bool


class StudyReport(Record):
    """What one study did, whether it was accepted, and why (DESIGN 2.6)."""

    accepted: bool
    reason: str
    outcomes: list[LessonOutcome] = Field(default_factory=list)
    forgotten: list[LessonOutcome] = Field(default_factory=list, description="How lessons taken back still show.")
    gates: list[GateResult] = Field(default_factory=list)
    curve: list[CurvePoint] = Field(default_factory=list)
    steps: int = 0
    examples: int = 0
    comparison: Comparison | None = Field(default=None, description="Of a rebuild with what it was to replace.")
    scale: float = Field(default=1.0, description="Factor the line search left on the adapter; 1 is as trained.")
    seconds: float = 0.0
    adapter_bytes: int = 0
    trainer: str = ""
    prompts: PromptProof | None = None
    router: RouterResult | None = Field(default=None, description="None: none was asked for.")
    numbers: dict[str, int | float | tuple[float, ...]] = Field(
        default_factory=dict, description="Numbers of the recipe that the user had changed."
    )


class Study(Record):
    """One run from approved lessons to a candidate."""

    id: int
    slot: str
    state: StudyState
    lessons: list[int]
    started: float
    finished: float | None = None
    version: int | None = None
    report: StudyReport | None = None
    reason: str = ""
    rebuild: bool = Field(default=False, description="It trained the slot anew from all its lessons.")


class Night(Record):
    """One night: the slots that had something to learn, studied one after the other."""

    id: int
    started: float
    finished: float | None = Field(default=None, description="None: it is under way, or was cut off.")
    studies: list[int] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list, description="Why a slot, or all of them, were not studied.")


# -- slots ------------------------------------------------------------------------------------------------------------


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


class Compared(Record):
    """What one of several slots said to the same question."""

    slot: str
    version: int
    text: str
    finish: Finish
    tokens: int


class GivenTurn(Record):
    """What one side said, in a chat whose history lies with the caller."""

    role: Role
    text: str


class Answered(Record):
    """A reply to a chat whose history lies with the caller. Nothing of it was stored."""

    text: str
    finish: Finish
    tokens: int = Field(description="Of the reply.")
    prompt_tokens: int = Field(default=0, description="Of all that was read, system prompt and turn markers included.")
    held_tokens: int = Field(default=0, description="Of these, what was still in memory from an earlier request.")
    version: int = Field(default=0, description="Generation of the slot that answered.")


class AdapterForm(StrEnum):
    """How a generation is written for other programs."""

    PEFT = "peft"
    GGUF = "gguf"
    MERGED = "merged"


class ExportedAdapter(Record):
    """A generation that was written for other programs."""

    folder: str
    form: AdapterForm
    number: int
    bytes: int


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
