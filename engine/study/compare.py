"""A slot that was trained anew beside the one that grew night by night: which of them follows its lessons better.

Learning one lesson after the other lets older ones fade (sequential edits: SEAL, arXiv 2506.10943, kept 1 % of a
hundred), so that now and then a version is made from all of them at once, and the better one counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...schemas.records import Comparison, LessonOutcome, Standing
from ..slots.adapter import Adapter
from .candidate import Candidate, HeldOut
from .cut_base import CutBase
from .recipe import Recipe


def standing_of(whole: CutBase, adapter: Adapter, held: HeldOut, recipe: Recipe) -> Standing:
    """Measure how far an adapter is from the base; its ``stick`` comes with the candidate's outcomes. Leaves it on."""
    measured = Candidate(whole, adapter, held, recipe)
    return Standing(stick=0.0, kept_kl=measured.kept_kl(), neutral_kl=measured.neutral()[0])


def compare(rebuilt: Candidate, continued: Standing) -> Comparison:
    """Compare on the candidate's own held-out prompts: by how lessons are followed, and by distance where alike."""
    outcomes = rebuilt.outcomes()
    was = continued.model_copy(update={"stick": _mean([one.before for one in outcomes])})
    now = Standing(
        stick=_mean([one.after for one in outcomes]), kept_kl=rebuilt.kept_kl(), neutral_kl=rebuilt.neutral()[0]
    )
    return Comparison(rebuilt=now, continued=was, rebuilt_is_better=_better(now, was, rebuilt.recipe.as_good))


def words_of(comparison: Comparison, outcomes: Sequence[LessonOutcome]) -> str:
    """Return one sentence that says which of the two counts, and why."""
    now, was = comparison.rebuilt, comparison.continued
    which = "it counts from now on" if comparison.rebuilt_is_better else "the one that is there stays"
    return (
        f"Trained anew from all {len(outcomes)} lessons the slot follows {now.stick:.0%} of unseen prompts, "
        f"{was.stick:.0%} as it grew, at {now.kept_kl:.3f} and {was.kept_kl:.3f} nats a token from the base: {which}."
    )


def _better(one: Standing, other: Standing, alike: float) -> bool:
    if abs(one.stick - other.stick) > alike:
        return one.stick > other.stick
    return one.kept_kl + one.neutral_kl < other.kept_kl + other.neutral_kl


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
