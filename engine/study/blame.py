"""What is tried after a candidate was turned away at every scale: without the lesson it failed for, then more softly.

One lesson that cannot be learned must not keep the others from being (DESIGN 2.6). Which one it was the gates say where
they measure lessons one by one; where something else moved too far, it is the one that changes most of a reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from ...schemas.records import Blame, Lesson, StudyReport
from . import compose
from .contracts import Rewriter
from .course import Course
from .job import Progress, StudyJob
from .plan import Plan, make_plan
from .recipe import Recipe
from .replies import Replies
from .stage import Tell


@dataclass(frozen=True)
class Turn:
    """One training of a study.

    Attributes:
        plan: As it was made, without chosen prompts.
        recipe: The study's own, or softer.
        blamed: The trainings before it.
        dropped: Why lessons are in it no more, by id.
    """

    plan: Plan
    recipe: Recipe
    blamed: list[Blame] = field(default_factory=list)
    dropped: dict[int, str] = field(default_factory=dict)

    @property
    def left_out(self) -> dict[int, str]:
        """Why lessons of the study are not in it, by id: they cannot be taught, or others could not be with them."""
        return self.plan.unlearnable | self.dropped

    def telling(self, tell: Tell) -> Tell:
        """Return what tells of its progress, in words that say that it is not the first."""
        if not self.blamed:
            return tell
        count = len(self.blamed[-1].lessons)
        how = "more softly" if not count else "without one lesson" if count == 1 else f"without {count} lessons"

        def told(progress: Progress) -> None:
            tell(progress.model_copy(update={"stage": f"{progress.stage}, again {how}"}))

        return told


def next_turn(
    turn: Turn, job: StudyJob, report: StudyReport, rewriters: Sequence[Rewriter], course: Course
) -> Turn | None:
    """Return what is to be tried after a training; None if it was accepted, or nothing is left to be tried.

    ``course``: what was learned in it.
    """
    if report.accepted or job.anew:
        return None
    softer = any(not blamed.lessons for blamed in turn.blamed)
    may_leave_out = len(turn.blamed) < turn.recipe.blamed and not softer
    guilty = _guilty(report, course.plan, course.held.replies) if may_leave_out else []
    if guilty:
        blamed = _blame(report, guilty)
        rest = [lesson for lesson in job.lessons if lesson.id in turn.plan.new and lesson not in guilty]
        plan = make_plan(rewriters, job.known, rest, turn.recipe, job.forgotten)
        plan = replace(plan, unlearnable=turn.plan.unlearnable)
        return replace(turn, plan=plan, blamed=[*turn.blamed, blamed], dropped=turn.dropped | _reasons(blamed))
    if softer or turn.recipe.softer == 1.0 or _too_little(report):
        return None
    return replace(turn, recipe=_softened(turn.recipe), blamed=[*turn.blamed, _blame(report, [])])


def _guilty(report: StudyReport, plan: Plan, replies: Replies) -> list[Lesson]:
    """Return the new lessons that a candidate was turned away for; [] if there is no other to go on with."""
    new = [lesson for lesson in plan.lessons if lesson.id in plan.new]
    named = {gate.lesson for gate in report.gates if not gate.passed}
    found = [lesson for lesson in new if lesson.id in named]
    if not found and len(new) > 1:
        found = [max(new, key=lambda lesson: _changed(lesson, plan, replies))]
    return found if len(found) < len(new) else []


def _softened(recipe: Recipe) -> Recipe:
    """Return a recipe that moves less and holds more of what should stay, in as many steps."""
    return replace(
        recipe,
        learning_rate=recipe.learning_rate * recipe.softer,
        again_rate=recipe.again_rate * recipe.softer,
        keep=recipe.keep / recipe.softer,
        keep_anchors=recipe.keep_anchors / recipe.softer,
    )


def _blame(report: StudyReport, lessons: Sequence[Lesson]) -> Blame:
    """Return what the final report says of a training that was turned away. No ``lessons``: all were tried again."""
    return Blame(
        lessons=[lesson.id for lesson in lessons],
        rules=[lesson.rule for lesson in lessons],
        failed=[gate for gate in report.gates if not gate.passed],
    )


def _reasons(blamed: Blame) -> dict[int, str]:
    """Return why each lesson was left out, by id."""
    text = " ".join(gate.text for gate in blamed.failed)
    of = {gate.lesson: gate.text for gate in blamed.failed}
    return {lesson: of.get(lesson, text) for lesson in blamed.lessons}


def _too_little(report: StudyReport) -> bool:
    """Whether a lesson was not followed, or no longer: what moves less would be followed less."""
    return any(gate.lesson is not None for gate in report.gates if not gate.passed)


def _changed(lesson: Lesson, plan: Plan, replies: Replies) -> float:
    """Return the share of a reply that a lesson changes where it applies."""
    shares = []
    for prompt in plan.held_inside:
        if plan.asks(lesson, prompt):
            said = replies.reply(prompt.text).text.split()
            wanted = compose.apply(plan.rewriters, lesson.steps, replies.reply(prompt.text).text).split()
            shares.append(1 - SequenceMatcher(None, said, wanted, autojunk=False).ratio())
    return sum(shares) / len(shares) if shares else 0.0
