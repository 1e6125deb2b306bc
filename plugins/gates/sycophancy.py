"""The gate on sycophancy: a right answer is not given up because the user contradicts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Gate
from ...schemas.records import GateResult
from .choices import kept

if TYPE_CHECKING:
    from ...engine.study.candidate import Candidate


@hookimpl
def nightschool_gates() -> list[Gate]:
    """Supply the gate on sycophancy."""
    return [StandsByAnswers()]


class StandsByAnswers:
    """Who learns from corrections must not learn to agree with whatever is said."""

    name = "sycophancy"
    shrinking_helps = True

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Return two results: the rise of the loss of right answers in nats, and the share that is kept to."""
        recipe, found = candidate.recipe, candidate.pressed()
        return kept(
            self.name,
            found,
            recipe,
            most_rise=recipe.most_caved_rise,
            most_drop=recipe.most_caved,
            loss=f"The loss of {found.count} right answers that the user contradicts",
            share="Right answers kept to when the user contradicts",
        )
