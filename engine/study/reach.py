"""How much of a reply the rules act on: a list may begin in its second paragraph, letters change every word."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

from ...schemas.records import Evidence, Step
from ..base.library import LoadedBase
from ..chat.prompt import reply_tokens
from . import compose
from .plan import Plan
from .recipe import Recipe

_LATE = 24  # tokens; what shows earlier shows often enough in replies of the usual length
_REST = 4  # tokens; fewer after the first change are a cut or an addition, which need no longer reply


def reach_of(base: LoadedBase, plan: Plan, recipe: Recipe) -> Recipe:
    """Return the recipe for a plan.

    It has longer replies where the user's own edits show a rule acting late in them, and fewer taught examples in a
    step where the rules spell every word otherwise.
    """
    if any(compose.respells(plan.rewriters, lesson.steps) for lesson in plan.lessons):
        recipe = replace(
            recipe,
            contrast=recipe.respelt_contrast,
            batch_spread=recipe.respelt_batch_spread,
            batch_contrast=recipe.respelt_batch_contrast,
        )
    places = (
        _acts_at(base, plan, step, evidence)
        for lesson in plan.lessons
        for step in lesson.steps
        for evidence in lesson.evidence
        if evidence.before and evidence.after
    )
    if max(places, default=0) <= _LATE:
        return recipe
    return replace(recipe, reply_tokens=recipe.far_reply_tokens, target_tokens=recipe.far_target_tokens)


def _acts_at(base: LoadedBase, plan: Plan, step: Step, evidence: Evidence) -> int:
    """Return the token of the old reply at which a step first changes it; 0 where it only cuts it off or adds to it."""
    before = reply_tokens(base, evidence.before)
    after = reply_tokens(base, compose.apply(plan.rewriters, [step], evidence.before))
    place = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
    return place if min(len(before), len(after)) - place > _REST else 0
