"""What users show and say they want: signals, notes, lessons, and how lessons stand to each other."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from .record import LAST_MOMENT, Record


def _shown(end: float) -> float:
    """Return the nearest moment that has a day before it in every calendar and time zone."""
    return max(1.0, min(LAST_MOMENT, end))


End = Annotated[float, AfterValidator(_shown)]
"""Seconds since the epoch. A file, or a profile from before, may say any number; none of them locks the profile."""


class SignalKind(StrEnum):
    """A raw event in a chat (DESIGN section 1).

    What the user says next is one of: ``CORRECTION`` (says what is wrong, or what it should be), ``CORRECT_BARE``
    (only that it is wrong), ``REPHRASE`` (asks the same again), ``CLARIFY`` (doubts it), ``STYLE`` (wants this reply
    in another form), ``RULE`` (says how replies shall be), ``PRAISE`` (is content), ``ACCEPT`` (wants it to go on),
    ``FACT`` (says something of themselves). ``ACCEPT`` without words: the reply was copied. ``ABANDON``: it was
    stopped before its end.
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
    ABANDON = "abandon"
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
    expires: End | None = Field(default=None, description="When it ends to count; None: it counts until taken back.")
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
