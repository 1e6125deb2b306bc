"""Lessons from another profile: those that are not here yet, checked before they are believed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...schemas.records import Lesson, LessonState, Step
from ..records import Records
from ..study import compose
from ..study.contracts import Rewriter
from ..study.lessons import lesson_from_rule
from .turns import moment

if TYPE_CHECKING:
    from ..host.plugins import PluginHost

UNKNOWN_FORM = "It was taught in a way that this Night School does not know: say the rule in other words."
PROBE = "A reply of two sentences. This is the second, with one comma."

Key = tuple[str, str, str, str]


class Lessons:
    """The lessons of a profile, and the numbers here of those that a file holds."""

    def __init__(self, records: Records, plugins: PluginHost) -> None:
        self._records, self._plugins = records, plugins
        self._rewriters: list[Rewriter] = plugins.collect("nightschool_rewriters")
        self._here = {_key(lesson, lesson.slot): lesson.id for lesson in records.lessons()}
        self.numbers: dict[int, int] = {}
        """The number here by the number in the file."""

    def is_new(self, found: Lesson, slot: str) -> bool:
        """Whether a lesson is not in the slot yet; asked again it is not new any more."""
        key = _key(found, slot)
        new = key not in self._here
        self._here.setdefault(key, 0)
        return new

    def add(self, found: Lesson, slot: str) -> bool:
        """Store a lesson unless it is here; whether it was stored.

        One that was learned there waits for the next study here, for no generation here knows it. What may not be
        taught stays refused, and what cannot be read as it stands is only proposed.
        """
        key = _key(found, slot)
        if key not in self._here:
            state, steps, reason = found.state, found.steps, found.reason
            if state is LessonState.LEARNED:
                state, reason = LessonState.APPROVED, ""
            read = lesson_from_rule(self._plugins, found.rule)
            if read.state is LessonState.REJECTED:
                state, reason = LessonState.REJECTED, read.reason
            elif not self._can_be_used(steps):
                steps = []
                state, reason = (
                    (LessonState.PROPOSED, UNKNOWN_FORM) if state is LessonState.APPROVED else (state, reason)
                )
            with self._records.transaction():
                added = self._records.add_lesson(
                    slot,
                    found.rule,
                    state=state,
                    steps=steps,
                    when=found.when,
                    evidence=found.evidence,
                    scope=found.scope,
                    provenance=found.provenance,
                    confidence=found.confidence,
                    reason=reason,
                    created=moment(found.created),
                    expires=found.expires,
                )
            self._here[key] = added.id
            self.numbers[found.id] = added.id
            return True
        self.numbers[found.id] = self._here[key]
        return False

    def _can_be_used(self, steps: list[Step]) -> bool:
        names = {rewriter.name for rewriter in self._rewriters}
        if any(step.rewriter not in names for step in steps):
            return False
        try:
            compose.say(self._rewriters, steps)
            compose.holds(self._rewriters, steps, compose.apply(self._rewriters, steps, PROBE))
        except Exception:  # noqa: BLE001 (arguments from a file may break a rewriter in any way)
            return False
        return True


def _key(lesson: Lesson, slot: str) -> Key:
    steps = json.dumps([step.model_dump() for step in lesson.steps], sort_keys=True)
    return slot, lesson.rule, lesson.when, steps
