"""The gate on what the base could do before: arithmetic, facts, common sense, grammar, words, code, reading.

At a hundred million parameters most benchmarks are near chance, where no loss can show. The project's own questions are
small ones, and what decides is the log-probability of the right ending among those given: it moves before answers do.
"""

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
    """Supply the gate on capability."""
    return [KeepsCapability()]


class KeepsCapability:
    """Questions outside all lessons are answered as well as before."""

    name = "capability"
    shrinking_helps = True

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Return two results: the rise of the loss over the questions in nats, and the share that is right."""
        recipe, found = candidate.recipe, candidate.capability()
        most = recipe.most_capability_rise
        least = found.before - recipe.most_capability_drop - recipe.chance * found.error
        return [
            GateResult(
                name="capability_loss",
                passed=found.rise.value <= most,
                value=found.rise.value,
                limit=most,
                text=f"The loss over {found.count} general questions rose by {found.rise.value:.3f} nats "
                f"(± {found.rise.error:.3f}), {most:.3f} allowed.",
            ),
            GateResult(
                name=self.name,
                passed=found.after >= least,
                value=found.after,
                limit=least,
                text=f"{found.after:.1%} of the general questions are answered rightly, {found.before:.1%} by the "
                f"base; {least:.1%} would do.",
            ),
        ]
