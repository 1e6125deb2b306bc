"""Lessons as the user reads, re-words, approves, dismisses, merges and ends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from ...schemas.errors import NotLearnable, UsageError
from ...schemas.messages import ExpireLesson, ListLessons, ListRelations, MergeLessons, UpdateLesson
from ...schemas.records import Lesson, LessonRelation, LessonState, Scope
from ..study.contracts import Rewriter
from ..study.lessons import lesson_from_rule
from ..study.relations import ACTIVE, nearly_same, relations
from ..study.until import read_end
from .expiry import end_expired, has_ended, until
from .rooms import Rooms, Tell

_BY_HAND = frozenset({LessonState.PROPOSED, LessonState.APPROVED, LessonState.DISMISSED})
"""States that the user may put a lesson in; the others follow from studies."""
_WAY_OUT = "say the rule in other words, or edit a reply the way you want it."


class LessonService:
    """Handlers of ``lessons.*``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list_all(self, request: ListLessons, tell: Tell) -> list[Lesson]:
        """List lessons, the latest first."""
        end_expired(self._rooms)
        hidden = self._rooms.hidden()
        found = self._rooms.records.lessons(request.slot, request.states)
        return [lesson for lesson in found if lesson.slot not in hidden]

    async def update(self, request: UpdateLesson, tell: Tell) -> Lesson:
        """Re-word a lesson, then put it in another state.

        Raises:
            UsageError: If the lesson is learned, or the state is not the user's to give.
            StudyRunning: If it is being studied.
            NotLearnable: If it is approved without a form that can be taught.
        """
        lesson = self._rooms.records.lesson(request.lesson)
        if lesson.state is LessonState.LEARNED and (request.rule is not None or request.state is not lesson.state):
            raise UsageError("This lesson is learned already; roll the slot back to take it out.")
        if request.state is not None and request.state not in _BY_HAND | {lesson.state}:
            raise UsageError(f"A lesson becomes {request.state.value} by a study only; approve or dismiss it.")
        changes: dict[str, Any] = {}
        if request.rule is not None and request.rule.strip() != lesson.rule:
            changes = await self._reworded(lesson, request.rule.strip())
        if request.state is not None and request.state is not lesson.state:
            changes |= {"state": request.state}
        if request.state is LessonState.APPROVED:
            if not changes.get("steps", lesson.steps):
                reason = changes.get("reason", lesson.reason)
                raise NotLearnable(reason or f"This lesson has no form that can be taught; {_WAY_OUT}")
            if has_ended(lesson) and "expires" not in changes:
                raise UsageError(f"This lesson was meant {until(lesson)}; give it another end before you approve it.")
            approved = {"state": LessonState.APPROVED, "reason": "", "confidence": 1.0, "scope": Scope.SLOT}
            changes |= {**approved, "merged": None}
        self._rooms.leave_studied(lesson.id)
        return self._rooms.records.update_lesson(lesson.id, **changes) if changes else lesson

    async def relations(self, request: ListRelations, tell: Tell) -> list[LessonRelation]:
        """Say which lessons say the same, and which contradict each other."""
        end_expired(self._rooms)
        return relations(self._rewriters(), self._rooms.records.lessons(request.slot, ACTIVE))

    async def merge(self, request: MergeLessons, tell: Tell) -> Lesson:
        """Let one lesson count for others that say the same, with their evidence and what supports them.

        Raises:
            UsageError: If they are of several slots, ask for different things, or one asks for nothing any more.
            StudyRunning: If one of them is being studied.
        """
        records = self._rooms.records
        named = [records.lesson(number) for number in dict.fromkeys(request.lessons)]
        _mergeable(named)
        for lesson in named:
            self._rooms.leave_studied(lesson.id)
        kept = next((lesson for lesson in named if lesson.state is LessonState.LEARNED), named[0])
        others = [lesson for lesson in named if lesson is not kept]
        reason = f"It says the same as lesson {kept.id}, which counts in its place."
        with records.transaction():
            for lesson in others:
                for signal in records.signals_of_lesson(lesson.id):
                    records.link_signal(signal.id, kept.id)
                records.update_lesson(
                    lesson.id, state=LessonState.DISMISSED, merged=kept.id, reason=reason, version=None
                )
            return records.update_lesson(kept.id, **_together(kept, others))

    async def expire(self, request: ExpireLesson, tell: Tell) -> Lesson:
        """Say when a lesson ends to count; a learned one is taken out by the night after.

        Raises:
            UsageError: If that is no moment, or none to come.
            StudyRunning: If it is being studied.
        """
        lesson = self._rooms.records.lesson(request.lesson)
        end = None
        if request.end.strip().lower() != "never":
            end = read_end(request.end, time.time())
            if end is None:
                raise UsageError(f"{request.end!r} is no end; say 30d, 2026-12-24, Friday, or never.")
            if end <= time.time():
                raise UsageError(f"{request.end!r} is over already; dismiss the lesson, or forget it if it is learned.")
        self._rooms.leave_studied(lesson.id)
        return self._rooms.records.update_lesson(lesson.id, expires=end)

    def _rewriters(self) -> list[Rewriter]:
        return self._rooms.plugins.collect("nightschool_rewriters")

    async def _reworded(self, lesson: Lesson, rule: str) -> dict[str, Any]:
        """Return what a lesson becomes when its rule is read again from other words."""
        if not rule:
            raise UsageError("A rule needs at least one visible character; write it, or dismiss the lesson.")
        draft = await asyncio.to_thread(lesson_from_rule, self._rooms.plugins, rule)
        # What an edit shows is an example of the old rule; it stays one only if the new words ask for the same.
        same = draft.steps == lesson.steps
        evidence = [shown if same else shown.model_copy(update={"after": ""}) for shown in lesson.evidence]
        state = LessonState.DISMISSED if lesson.state is LessonState.DISMISSED else draft.state
        return {
            "rule": rule,
            "steps": draft.steps,
            "when": draft.when,
            "evidence": evidence,
            "scope": draft.scope,
            "provenance": draft.provenance,
            "confidence": draft.confidence,
            "state": state,
            "reason": draft.reason,
            "expires": draft.expires or lesson.expires,
        }


def _mergeable(lessons: Sequence[Lesson]) -> None:
    """Refuse to merge lessons of which one would be lost."""
    first, *others = lessons
    if not others:
        raise UsageError("A lesson is not merged with itself; name another one that says the same.")
    for lesson in lessons:
        if lesson.state not in ACTIVE:
            raise UsageError(f"Lesson {lesson.id} is {lesson.state.value} and asks for nothing; leave it out.")
    for other in others:
        if other.slot != first.slot:
            raise UsageError(f"Lessons {first.id} and {other.id} are of different slots; each slot learns for itself.")
        if first.steps and other.steps and not nearly_same(first, other):
            raise UsageError(
                f"Lessons {first.id} and {other.id} ask for different things, so that one would be lost; dismiss the "
                "one that shall not count, or re-word it first."
            )


def _together(kept: Lesson, others: Sequence[Lesson]) -> dict[str, Any]:
    """Return what a lesson becomes that counts for others too."""
    every = [kept, *others]
    evidence = list({shown.model_dump_json(): shown for lesson in every for shown in lesson.evidence}.values())
    ends = [lesson.expires for lesson in every]
    changes: dict[str, Any] = {
        "evidence": evidence,
        "confidence": max(lesson.confidence for lesson in every),
        "expires": None if None in ends else max(end for end in ends if end is not None),
    }
    if not kept.steps:
        formed = next((lesson for lesson in others if lesson.steps), kept)
        changes |= {"steps": formed.steps, "when": formed.when, "rule": formed.rule, "reason": formed.reason}
    if kept.state is LessonState.PROPOSED and any(lesson.state is LessonState.APPROVED for lesson in others):
        changes |= {"state": LessonState.APPROVED, "scope": Scope.SLOT, "reason": ""}
    return changes
