"""A lesson before it has a number and a slot, and when it is sure enough to be studied unasked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ...schemas.records import Evidence, LessonState, Provenance, Scope, SignalKind, Step

SURE = 0.5
"""From this confidence on a lesson is studied without being asked for."""
MAYBE_ONCE = "This may have been meant for one reply: approve it if it is for good."
MAYBE_HERE = "This may have been meant for that conversation: approve it if it is for good."
TEACHING = frozenset({SignalKind.RULE, SignalKind.STYLE, SignalKind.CORRECTION, SignalKind.EDIT})
"""Kinds of signals that a lesson can come from; the others only say how a reply was received."""


@dataclass(frozen=True)
class LessonDraft:
    """A lesson before it has a number and a slot. ``text`` is the user's own words or edited reply.

    ``rule`` is empty where the signal is only noted and teaches nothing by itself.
    """

    kind: SignalKind
    text: str
    rule: str
    steps: list[Step] = field(default_factory=list)
    when: str = ""
    evidence: list[Evidence] = field(default_factory=list)
    scope: Scope = Scope.SLOT
    provenance: Provenance = Provenance.SAID
    confidence: float = 0.0
    state: LessonState = LessonState.PROPOSED
    reason: str = ""
    expires: float | None = None


def settled(draft: LessonDraft) -> LessonDraft:
    """Return the draft approved where it is sure, meant for good and has a form, else proposed; rejected stays so."""
    if draft.state is LessonState.REJECTED:
        return draft
    if draft.steps and draft.confidence >= SURE and draft.scope is Scope.SLOT:
        return replace(draft, state=LessonState.APPROVED)
    return replace(draft, state=LessonState.PROPOSED)
