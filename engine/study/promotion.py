"""When a wish becomes a lesson of the slot: by its own words, by being said again elsewhere, or by the user's approval.

Said once without words that mark it as lasting, it is proposed and waits. Said again in a second conversation of the
slot it is taken for good, and its provenance says that this was inferred.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ...schemas.records import Evidence, Lesson, LessonState, Provenance, Scope, SignalKind
from .draft import MAYBE_HERE, MAYBE_ONCE, LessonDraft, settled
from .relations import nearly_same

REPEATED = 0.8
"""Confidence in a wish that was made in two conversations."""
AGAIN = "You asked for this in another conversation as well, so it is taken for good."
SAID_TWICE = "You asked for this in two conversations."
IMPORTED = "It comes from an imported conversation: approve it if it is to be learned."

_REACH = {Scope.REPLY: 0, Scope.CONVERSATION: 1, Scope.SLOT: 2}


def same_rule(one: Lesson | LessonDraft, other: Lesson | LessonDraft) -> bool:
    """Whether two ask for the same: by their steps where both have any, else by their words."""
    if one.steps or other.steps:
        return nearly_same(one, other)
    return _words(one.rule) == _words(other.rule) != ""


def said_again(lesson: LessonDraft, again: LessonDraft, *, elsewhere: bool) -> LessonDraft:
    """Return a lesson after the same was said again; ``elsewhere``: in another conversation than before."""
    wider = again if _REACH[again.scope] > _REACH[lesson.scope] else lesson
    evidence: list[Evidence] = [*lesson.evidence, *(e for e in again.evidence if e not in lesson.evidence)]
    merged = replace(
        wider,
        kind=lesson.kind,
        evidence=evidence,
        confidence=max(lesson.confidence, again.confidence),
        steps=again.steps,
        expires=again.expires,
        provenance=lesson.provenance,
    )
    if lesson.state is LessonState.APPROVED:
        return replace(merged, state=LessonState.APPROVED)
    return promoted(merged) if elsewhere else settled(merged)


def promoted(draft: LessonDraft) -> LessonDraft:
    """Return a draft that two conversations support; how it is to be read may still be the user's to say."""
    if draft.scope is Scope.SLOT or draft.state is LessonState.REJECTED:
        return settled(draft)
    draft = replace(draft, scope=Scope.SLOT, provenance=Provenance.INFERRED)
    if draft.reason in ("", MAYBE_ONCE, MAYBE_HERE):
        draft = replace(draft, confidence=max(draft.confidence, REPEATED), reason=AGAIN)
    return settled(draft)


def explicit(draft: LessonDraft) -> bool:
    """Whether the user said in so many words that it is for good, and how."""
    said = draft.kind is SignalKind.RULE and draft.provenance is not Provenance.INFERRED
    return said and draft.state is LessonState.APPROVED


def unconfirmed(draft: LessonDraft) -> LessonDraft:
    """Return what a conversation from elsewhere teaches unasked: only what was said in so many words."""
    if draft.state is not LessonState.APPROVED or explicit(draft):
        return draft
    again = draft.provenance is Provenance.INFERRED and draft.kind is not SignalKind.EDIT
    reason = f"{SAID_TWICE} {IMPORTED}" if again else IMPORTED
    return replace(draft, state=LessonState.PROPOSED, reason=reason)


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
