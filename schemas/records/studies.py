"""Studies, what they measured, and the nights they were made in."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .record import Record


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
    lesson: int | None = Field(default=None, description="The lesson that it measures; None: all together.")


class Attempt(Record):
    """A scale of the adapter that the line search tried in vain, and what the first gate to fail said there."""

    scale: float
    failed: list[GateResult]


class Blame(Record):
    """A training that was turned away at every scale, and the lessons that the next one went without.

    No lessons: the next one had all of them, and moved less.
    """

    lessons: list[int]
    rules: list[str]
    failed: list[GateResult]


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
    asked: int = Field(default=0, description="Prompts that the shares are of; 0: not noted.")
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


class Projection(Record):
    """What was lost of an adapter of others that reaches below the tail, of which its upper blocks were kept."""

    first: int = Field(description="The first block that it changes.")
    lowest: int = Field(description="The first block of the tail.")
    left_out: float = Field(description="Share of the sum of squares of its updates that lies below the tail.")
    kept_nats: float = Field(description="Distance of what is kept from the whole adapter, in nats a token.")
    plain_nats: float = Field(description="Distance of the plain base from it, on the same tokens.")


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
    tried: list[Attempt] = Field(default_factory=list, description="The larger scales that gates turned away.")
    blamed: list[Blame] = Field(default_factory=list, description="The trainings before it, which were turned away.")
    seconds: float = 0.0
    adapter_bytes: int = 0
    trainer: str = ""
    prompts: PromptProof | None = None
    router: RouterResult | None = Field(default=None, description="None: none was asked for.")
    numbers: dict[str, int | float | tuple[float, ...]] = Field(
        default_factory=dict, description="Numbers of the recipe that the user had changed."
    )
    projection: Projection | None = Field(default=None, description="Of an import, of which a part was kept.")
    base: str = Field(default="", description="Name of the base, where it was not the one that answered then.")


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
