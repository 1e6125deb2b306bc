"""Gates on what was to be learned: it is followed, older lessons still are, and only where they apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Gate
from ...schemas.records import GateResult

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
        """Return one result for each lesson."""
        recipe, new = candidate.recipe, set(candidate.held.plan.new)
        results = []
        for outcome in candidate.outcomes():
            if outcome.lesson in new:
                limit = max(recipe.least_stick, min(1.0, outcome.before + recipe.least_gain))
                name, what = self.name, "Followed"
            else:
                limit = outcome.before - recipe.most_forgotten
                name, what = "remembers", "Still followed"
            text = f"{what} on {outcome.after:.0%} of unseen prompts, {outcome.before:.0%} before: {outcome.rule}"
            results.append(
                GateResult(
                    name=name,
                    passed=outcome.after >= limit,
                    value=outcome.after,
                    limit=limit,
                    text=text,
                )
            )
        return results


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
