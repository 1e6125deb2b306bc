"""Lessons as the user reads, re-words, approves and dismisses them."""

from __future__ import annotations

import asyncio
from typing import Any

from ...schemas.errors import NotLearnable, UsageError
from ...schemas.messages import ListLessons, UpdateLesson
from ...schemas.records import Lesson, LessonState, Scope
from ..study.lessons import lesson_from_rule
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
        return self._rooms.records.lessons(request.slot, request.states)

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
            changes |= {"state": LessonState.APPROVED, "reason": "", "confidence": 1.0, "scope": Scope.SLOT}
        self._rooms.leave_studied(lesson.id)
        return self._rooms.records.update_lesson(lesson.id, **changes) if changes else lesson

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
        }
