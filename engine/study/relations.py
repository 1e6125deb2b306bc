"""How lessons of a slot stand to each other: two that ask for the same, and two of which only one can be followed.

Of contradicting lessons the later one counts, as when their steps are put together (``compose.merge``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ...schemas.records import Lesson, LessonRelation, LessonState, RelationKind, Step
from . import compose
from .contracts import Rewriter
from .draft import LessonDraft
from .prompts import bank, in_scope

ACTIVE = frozenset({LessonState.PROPOSED, LessonState.APPROVED, LessonState.LEARNED})
"""States in which a lesson asks for something, or may come to."""


def relations(rewriters: Sequence[Rewriter], lessons: Sequence[Lesson]) -> list[LessonRelation]:
    """Return the pairs that say the same, then those that contradict each other; ``lessons`` are of any slots."""
    active = sorted(
        (one for one in lessons if one.state in ACTIVE and one.steps), key=lambda one: (one.created, one.id)
    )
    known = {rewriter.name for rewriter in rewriters}
    active = [one for one in active if all(step.rewriter in known for step in one.steps)]
    same: list[LessonRelation] = []
    against: list[LessonRelation] = []
    for place, later in enumerate(active):
        for earlier in active[:place]:
            if earlier.slot != later.slot:
                continue
            if nearly_same(earlier, later):
                said = [compose.say(rewriters, lesson.steps) for lesson in (earlier, later)]
                same.append(_relation(RelationKind.SAME, earlier, later, *said))
            elif pairs := contradiction(rewriters, earlier, later):
                said = [compose.say(rewriters, steps) for steps in zip(*pairs, strict=True)]
                against.append(_relation(RelationKind.CONTRADICTS, earlier, later, *said))
    return [*same, *against]


def nearly_same(one: Lesson | LessonDraft, other: Lesson | LessonDraft) -> bool:
    """Whether two ask for the same but for capitals, spacing and marks."""
    if not one.steps or not other.steps:
        return False
    return _plain(one.when) == _plain(other.when) and _bare(one.steps) == _bare(other.steps)


def contradiction(
    rewriters: Sequence[Rewriter], earlier: Lesson | LessonDraft, later: Lesson | LessonDraft
) -> list[tuple[Step, Step]]:
    """Return the steps of two lessons of which only one of each pair can be followed; none where they never meet."""
    by_name = {rewriter.name: rewriter for rewriter in rewriters}
    pairs = [
        (old, new)
        for old in earlier.steps
        for new in later.steps
        if old.rewriter == new.rewriter
        and _bare([old]) != _bare([new])
        and (compose.undoes(old, new) or by_name[old.rewriter].key(old.args) == by_name[new.rewriter].key(new.args))
    ]
    return pairs if pairs and _meet(earlier.when, later.when) else []


def _relation(kind: RelationKind, earlier: Lesson, later: Lesson, one: str, other: str) -> LessonRelation:
    return LessonRelation(
        kind=kind, slot=earlier.slot, earlier=earlier.id, later=later.id, earlier_says=one, later_says=other
    )


def _meet(one: str, other: str) -> bool:
    """Whether one of two conditions mostly holds where the other does; where that cannot be told, it may.

    A prompt about food and health meets rules for either, which does not make them contradict each other.
    """
    if not one.strip() or not other.strip() or _plain(one) == _plain(other):
        return True
    holding = [(in_scope(one, prompt), in_scope(other, prompt)) for prompt in bank()]
    fewer = min(sum(bool(pair[0]) for pair in holding), sum(bool(pair[1]) for pair in holding))
    return any(None in pair for pair in holding) or 2 * sum(all(pair) for pair in holding) >= max(1, fewer)


def _bare(steps: Sequence[Step]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Return steps without what is only a shade of them: spelling, marks, yes and no."""
    return sorted(
        (step.rewriter, sorted((name, _value(value)) for name, value in step.args.items() if _counts(name, value)))
        for step in steps
    )


def _counts(name: str, value: object) -> bool:
    return name != "mark" and not isinstance(value, bool)


def _value(value: object) -> str:
    text = str(value)
    return _plain(text) or text.strip()


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[\w+#]+", text.lower()))
