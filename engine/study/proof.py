"""That nothing a candidate is checked on was trained on, in figures that anybody can compute again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ...schemas.records import PromptProof
from .plan import Plan
from .prompts import normal


def prove(trained: Iterable[str], checked: Iterable[str]) -> PromptProof:
    """Compare prompts without case, spacing and final marks; the hashes are of the sorted ones, a line each."""
    one, other = ({normal(text) for text in texts} for texts in (trained, checked))
    return PromptProof(
        trained=len(one),
        checked=len(other),
        shared=len(one & other),
        trained_sha256=_digest(one),
        checked_sha256=_digest(other),
    )


def prove_plan(plan: Plan) -> PromptProof:
    """Return the proof of a chosen plan: the user's own prompts were trained on, too."""
    trained = (*plan.inside, *plan.outside, *(prompt for prompt, _ in plan.gold()))
    checked = (*plan.held_inside, *plan.held_outside, *plan.held_opposite, *plan.held_forgotten)
    return prove((prompt.text for prompt in trained), (prompt.text for prompt in checked))


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()
