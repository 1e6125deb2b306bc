"""What a slot's lessons together ask of the reply to a prompt, and on which prompts that is taught and checked."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...schemas.records import Evidence, Lesson, Step
from . import compose
from .contracts import Rewriter
from .facts import FACT, Fact, fact_of
from .prompts import Prompt, bank, divide, in_scope, nearest_first, normal
from .recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """The lessons that the candidate shall know, and the prompts they are taught and checked on.

    Attributes:
        rewriters: What steps are made of.
        lessons: Those to learn now, after those already known; in conflicts the later one counts.
        new: The ids of those to learn now.
        inside: Prompts to train on where at least one lesson applies; as made, all there are, the best first.
        outside: Prompts to train on where none applies; empty if every lesson is unconditional.
        held_inside: Prompts that are never trained on, where at least one lesson applies; as ``inside``.
        held_outside: The same, where none applies.
        held_opposite: Prompts that are never trained on, for requests of the opposite.
        unlearnable: Why lessons were left out, by id.
        forgotten: Lessons that the candidate shall know no more.
        held_forgotten: Prompts that are never trained on, where one of those applied.
    """

    rewriters: Sequence[Rewriter]
    lessons: list[Lesson]
    new: list[int]
    inside: list[Prompt]
    outside: list[Prompt]
    held_inside: list[Prompt]
    held_outside: list[Prompt]
    held_opposite: list[Prompt]
    unlearnable: dict[int, str] = field(default_factory=dict)
    forgotten: list[Lesson] = field(default_factory=list)
    held_forgotten: list[Prompt] = field(default_factory=list)

    def applying(self, prompt: Prompt) -> list[Lesson]:
        """Return the lessons that apply to a prompt of the bank or of their own evidence."""
        return [lesson for lesson in self.lessons if applies(lesson, prompt)]

    def steps(self, prompt: Prompt) -> list[Step]:
        """Return what all lessons together ask of the reply to a prompt."""
        steps: list[Step] = []
        for lesson in self.applying(prompt):
            steps = compose.merge(self.rewriters, steps, lesson.steps)
        return steps

    def asks(self, lesson: Lesson, prompt: Prompt) -> bool:
        """Whether a lesson asks something at a prompt that no later lesson has replaced."""
        return applies(lesson, prompt) and any(step in self.steps(prompt) for step in lesson.steps)

    def followed(self, lesson: Lesson, prompt: Prompt, reply: str) -> bool:
        """Whether a reply follows what a lesson still asks at a prompt, seen under what other lessons add."""
        steps = self.steps(prompt)
        asked = [step for step in lesson.steps if step in steps]
        return bool(reply) and all(compose.follows(self.rewriters, steps, step, reply) for step in asked)

    def shows(self, lesson: Lesson, reply: str) -> bool:
        """Whether a reply follows every step of a lesson that is not among ours."""
        return bool(reply) and compose.holds(self.rewriters, lesson.steps, reply)

    def gold(self) -> list[tuple[Prompt, Evidence]]:
        """Return the user's own edits, with their prompts."""
        return [
            (Prompt(evidence.prompt), evidence)
            for lesson in self.lessons
            for evidence in lesson.evidence
            if evidence.before and evidence.after
        ]


def make_plan(
    rewriters: Sequence[Rewriter],
    known: Sequence[Lesson],
    new: Sequence[Lesson],
    recipe: Recipe,
    forgotten: Sequence[Lesson] = (),
) -> Plan:
    """Choose prompts of the bank for lessons; a lesson that cannot be taught is left out with the reason."""
    names = {rewriter.name for rewriter in rewriters}
    unlearnable: dict[int, str] = {}
    for lesson in new:
        reason = _why_not(lesson, names, recipe)
        if reason:
            unlearnable[lesson.id] = reason
    learn = [lesson for lesson in new if lesson.id not in unlearnable]
    lessons = [lesson for lesson in known if not _why_not(lesson, names, recipe)] + learn
    used = {normal(evidence.prompt) for lesson in lessons for evidence in lesson.evidence}
    divided = divide((prompt for prompt in bank() if normal(prompt.text) not in used), recipe.seed)
    asked = [fact for lesson in lessons if (fact := fact_of(lesson)) is not None]
    train_in, train_out = sides(lessons, [*_training(asked), *divided.train])
    held_in, held_out = sides(lessons, [*_checking(asked), *divided.held_out])
    fresh = [lesson in learn for lesson in lessons]
    return Plan(
        rewriters,
        lessons,
        [lesson.id for lesson in learn],
        inside=_by_share(lessons, train_in, shares(fresh, recipe.spread)),
        outside=train_out[: recipe.contrast],
        held_inside=_by_share(lessons, held_in, held_shares(fresh, recipe)),
        held_outside=held_out[: recipe.held_out // 2],
        held_opposite=held_in[-recipe.held_opposite :],
        unlearnable=unlearnable,
        forgotten=list(forgotten),
        held_forgotten=_by_share(
            forgotten, sides(forgotten, divided.held_out)[0], shares([True] * len(forgotten), recipe.held_out)
        )[: recipe.held_out],
    )


def shares(fresh: Sequence[bool], count: int) -> list[int]:
    """Return of how many of ``count`` prompts each lesson has its turn; ``fresh``: whether it is to be learned now.

    Half of them are for what is to be learned, however much is known: a few more prompts keep what is there.
    """
    new = sum(fresh)
    each = -(-count // max(1, len(fresh)))
    if not 0 < new < len(fresh):
        return [each] * len(fresh)
    mine = max(each, -(-count // (2 * new)))
    theirs = max(1, -(-(count - mine * new) // (len(fresh) - new)))
    return [mine if one else theirs for one in fresh]


def held_shares(fresh: Sequence[bool], recipe: Recipe) -> list[int]:
    """Return on how many held-out prompts each lesson is looked at: enough to tell, for what is to be learned."""
    each = -(-recipe.held_out // max(1, len(fresh)))
    known = max(1, min(_HELD_KNOWN, recipe.held_most // max(1, len(fresh) - sum(fresh))))
    return [max(each, recipe.held_each) if one else max(each, known) for one in fresh]


_HELD_KNOWN = 2


def applies(lesson: Lesson, prompt: Prompt) -> bool:
    """Whether a lesson applies to a prompt: by its condition, being asked for, or because the user taught it there."""
    fact = fact_of(lesson)
    if fact is not None:
        return fact.is_asked(prompt)
    if any(normal(evidence.prompt) == normal(prompt.text) for evidence in lesson.evidence):
        return True
    return bool(in_scope(lesson.when, prompt))


def _why_not(lesson: Lesson, names: set[str], recipe: Recipe) -> str:
    if not lesson.steps:
        return lesson.reason or "It has no form that can be taught and checked: edit a reply the way you want it."
    missing = sorted({step.rewriter for step in lesson.steps} - names)
    if any(step.rewriter == FACT for step in lesson.steps) and fact_of(lesson) is None:
        return "Night School does not know how one would ask for it: word it as a sentence like “My name is Ada.”"
    if missing:
        return f"It needs the rewriter {missing[0]}, which no plugin supplies now: install that plugin again."
    if lesson.when:
        if in_scope(lesson.when, Prompt("")) is None:
            return f"Night School cannot tell when “{lesson.when}” is the case: re-word the condition or drop it."
        found = sum(bool(in_scope(lesson.when, prompt)) for prompt in bank())
        if found < recipe.least_prompts:
            return f"Only {found} prompts at hand fit “{lesson.when}”, too few to teach it: widen the condition."
    return ""


def _training(facts: Sequence[Fact]) -> list[Prompt]:
    """Return the questions of facts to train on, and what sounds like them."""
    return [prompt for fact in facts for prompt in (*fact.asked, *fact.strangers[_CHECKED:])]


def _checking(facts: Sequence[Fact]) -> list[Prompt]:
    """Return the same to check on."""
    return [prompt for fact in facts for prompt in (*fact.held_out, *fact.strangers[:_CHECKED])]


_CHECKED = 2  # of what sounds like a question for a fact


def sides(lessons: Sequence[Lesson], prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[Prompt]]:
    """Return the prompts where any of the lessons applies, and the others."""
    inside = [prompt for prompt in prompts if any(applies(lesson, prompt) for lesson in lessons)]
    chosen = set(inside)
    return inside, [prompt for prompt in prompts if prompt not in chosen]


def _by_share(lessons: Sequence[Lesson], prompts: Sequence[Prompt], counts: Sequence[int]) -> list[Prompt]:
    """Order prompts so that the first ones give each lesson its share: half like those it was taught on."""
    orders = []
    for lesson, share in zip(lessons, counts, strict=True):
        fitting = [prompt for prompt in prompts if applies(lesson, prompt)]
        near = nearest_first(fitting, [evidence.prompt for evidence in lesson.evidence])[: share // 2]
        orders.append(in_turns(near, [prompt for prompt in fitting if prompt not in near]))
    first = in_turns(*(order[:share] for order, share in zip(orders, counts, strict=True)))
    rest = in_turns(*(order[share:] for order, share in zip(orders, counts, strict=True)))
    return list(dict.fromkeys((*first, *rest, *prompts)))


def in_turns(*orders: Sequence[Prompt]) -> list[Prompt]:
    """Return the first of each, then the second of each, and so on."""
    return [prompt for row in itertools.zip_longest(*orders) for prompt in row if prompt is not None]
