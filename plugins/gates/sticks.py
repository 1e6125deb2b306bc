"""Gates on what was to be learned: it is followed, older lessons still are, and only where they apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Gate
from ...schemas.records import GateResult, LessonOutcome

if TYPE_CHECKING:
    from ...engine.study.candidate import Candidate


@hookimpl
def nightschool_gates() -> list[Gate]:
    """Supply the gates on what was to be learned."""
    return [Sticks(), InScope(), ObeysTheOpposite()]


class Sticks:
    """New lessons are followed on prompts that were never trained on; older ones as before."""

    name = "sticks"
    shrinking_helps = False

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Return one result for each lesson, and one for all older ones together."""
        recipe, new = candidate.recipe, set(candidate.held.plan.new)
        outcomes = candidate.outcomes()
        results = []
        for outcome in outcomes:
            if outcome.lesson in new:
                limit = max(recipe.least_stick, min(recipe.enough_stick, outcome.before + recipe.least_gain))
                name, what = self.name, "Followed"
            else:
                # Of a few replies one may always be lost; all older lessons together are held to less.
                limit = outcome.before - max(recipe.most_forgotten, _ONE / max(1, outcome.asked))
                name, what = "remembers", "Still followed"
            text = f"{what} on {outcome.after:.0%} of unseen prompts, {outcome.before:.0%} before: {outcome.rule}"
            results.append(_result(name, outcome.after, limit, text, outcome.lesson))
        older = [outcome for outcome in outcomes if outcome.lesson not in new]
        if older:
            before = _mean(older, [outcome.before for outcome in older])
            after = _mean(older, [outcome.after for outcome in older])
            text = f"{len(older)} older lessons are followed on {after:.0%} of unseen prompts, {before:.0%} before."
            results.append(_result("remembers", after, before - recipe.most_forgotten_all, text))
        return results


_ONE = 1.5  # replies: more than one, less than two


def _result(name: str, value: float, limit: float, text: str, lesson: int | None = None) -> GateResult:
    return GateResult(name=name, passed=value >= limit, value=value, limit=limit, text=text, lesson=lesson)


def _mean(outcomes: Sequence[LessonOutcome], shares: Sequence[float]) -> float:
    """Return the share over all prompts that lessons were looked at."""
    counts = [max(1, outcome.asked) for outcome in outcomes]
    return sum(share * count for share, count in zip(shares, counts, strict=True)) / sum(counts)


class InScope:
    """Prompts that no lesson speaks of are not answered by one."""

    name = "scope"
    shrinking_helps = True

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Return one result; none if every lesson is unconditional."""
        if not candidate.held.plan.held_outside:
            return []
        base, now = candidate.leak()
        limit = base + candidate.recipe.most_leak
        text = f"On prompts it does not speak of, a rule shows in {now:.0%} of the replies, {base:.0%} without it."
        return [GateResult(name=self.name, passed=now <= limit, value=now, limit=limit, text=text)]


class ObeysTheOpposite:
    """Who asks for the contrary in the prompt itself still gets it."""

    name = "opposite"
    shrinking_helps = True

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Return one result."""
        base, now = candidate.opposites()
        limit = base - candidate.recipe.most_opposite_loss
        text = f"Requests of the opposite are obeyed in {now:.0%} of the replies, {base:.0%} by the base."
        return [GateResult(name=self.name, passed=now >= limit, value=now, limit=limit, text=text)]
