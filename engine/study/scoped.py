"""Fitting the router of a slot whose lessons all have a condition: which prompts are theirs, and which are not.

It is fitted on prompts of the bank that may be trained on, and judged on those that never are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...schemas.records import Role, RouterResult
from ..chat.prompt import Turn, encode, render
from ..chat.routing import Routing, asked_tokens, features
from .contracts import Router
from .cut_base import CutBase
from .plan import Plan, sides
from .prompts import Prompt, bank, divide, normal
from .proof import prove
from .recipe import Recipe

_EVERYWHERE = "A lesson of the slot is for every reply, so there is nothing to tell apart."


async def fit_router(whole: CutBase, plan: Plan, router: Router, recipe: Recipe) -> tuple[Routing | None, RouterResult]:
    """Return what tells the prompts of a plan's lessons from others, and how well; None where it is of no use."""
    result = RouterResult(name=router.name)
    if not all(lesson.when for lesson in plan.lessons):
        return None, result.model_copy(update={"reason": _EVERYWHERE})
    evidence = [Prompt(one.prompt) for lesson in plan.lessons for one in lesson.evidence]
    used = {normal(prompt.text) for prompt in evidence}
    divided = divide((prompt for prompt in bank() if normal(prompt.text) not in used), recipe.seed)
    trained, held = (sides(plan.lessons, part) for part in (divided.train, divided.held_out))
    inside, outside = [*evidence, *trained[0]][: recipe.routed], trained[1][: recipe.routed]
    held_in, held_out = held[0][: recipe.routed_held], held[1][: recipe.routed_held]
    proof = prove((p.text for p in (*inside, *outside)), (p.text for p in (*held_in, *held_out)))
    result = result.model_copy(update={"prompts": proof})
    if min(len(inside), len(outside), len(held_in), len(held_out)) < recipe.least_routed:
        few = "Too few prompts at hand lie in its scope, or out of it, to tell them apart."
        return None, result.model_copy(update={"reason": few})
    rows = await _features(whole, [*inside, *outside, *held_in, *held_out])
    ins, outs, held_ins, held_outs = torch.split(rows, [len(inside), len(outside), len(held_in), len(held_out)])
    fitted = router.fit(ins, outs)
    hit, quiet = _share(router, fitted, held_ins), 1 - _share(router, fitted, held_outs)
    kept = hit >= recipe.least_hit and quiet >= recipe.least_quiet
    reason = "" if kept else "It does not tell unseen prompts apart well enough, so it is not used."
    result = result.model_copy(update={"kept": kept, "reason": reason, "hit": hit, "quiet": quiet})
    return (Routing(router, fitted) if kept else None), result


async def _features(whole: CutBase, prompts: list[Prompt]) -> Tensor:
    """Return what a router sees of fresh questions, ``(n, f)``."""
    texts = [render(whole.base, [Turn(Role.USER, prompt.text)], whole.system) for prompt in prompts]
    states = await whole.provider.states([encode(whole.base, text) for text in texts], whole.cut)
    return torch.stack(
        [
            features(given.rows, asked_tokens(whole.base, text, prompt.text))
            for given, text, prompt in zip(states, texts, prompts, strict=True)
        ]
    )


def _share(router: Router, fitted: dict[str, Tensor], rows: Tensor) -> float:
    return sum(router.applies(fitted, row) for row in rows) / len(rows)
