"""The gate on what was to be forgotten: it shows no more often than by chance."""

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
    """Supply the gate on what was to be forgotten."""
    return [Forgets()]


class Forgets:
    """A lesson that the user took back is followed no more often than by the plain base."""

    name = "forgets"
    shrinking_helps = False

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Return one result for each lesson that was to be forgotten; none in any other study."""
        results = []
        for outcome in candidate.forgotten():
            base = candidate.base_shows(outcome)
            limit = base + candidate.recipe.most_remembered
            text = (
                f"Shows in {outcome.after:.0%} of the replies, {outcome.before:.0%} before and {base:.0%} by the base: "
                f"{outcome.rule}"
            )
            passed = outcome.after <= limit
            results.append(GateResult(name=self.name, passed=passed, value=outcome.after, limit=limit, text=text))
        return results
