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
from .choices import kept

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
        return kept(
            self.name,
            found,
            recipe,
            most_rise=recipe.most_capability_rise,
            most_drop=recipe.most_capability_drop,
            loss=f"The loss over {found.count} general questions",
            share="General questions answered rightly",
        )
