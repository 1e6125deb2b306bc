"""What a freshly trained adapter still gets wrong on prompts it was trained on, put right as further examples.

Rewritten replies of the base teach a rule where the base goes; an adapter that half knows it goes elsewhere. Its own
replies, put right, teach it there (the idea of DAgger: Ross, Gordon and Bagnell, arXiv 1011.0686).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..slots.adapter import Adapter, attach
from .cut_base import CutBase
from .examples import Example, ruled_example
from .plan import Plan
from .recipe import Recipe


def put_right(
    whole: CutBase, plan: Plan, adapter: Adapter, recipe: Recipe, *, limit: int, tell: Callable[[float], None]
) -> list[Example]:
    """Return the adapter's own replies that break a rule, as the rules want them; [] if too few do to matter.

    The tail is plain again afterwards. ``limit`` is the most tokens of a reply.
    """
    asked = plan.inside[: recipe.revised]
    attach(whole.tail, adapter)
    try:
        said = whole.say([prompt.text for prompt in asked], limit=limit, tell=tell)
    finally:
        attach(whole.tail, None)
    wrong = [
        (prompt, reply)
        for prompt, reply in zip(asked, said, strict=True)
        if reply.text
        and not all(plan.followed(lesson, prompt, reply.text) for lesson in plan.lessons if plan.asks(lesson, prompt))
    ]
    if len(wrong) < recipe.least_wrong * len(asked):
        return []
    return [ruled_example(whole.base, plan, prompt, reply, whole.system, recipe=recipe) for prompt, reply in wrong]


def mixed(first: Sequence[Any], further: Sequence[Any], share: float) -> list[Any]:
    """Return both, the further ones repeated until they are about ``share`` of the whole."""
    wanted = share / (1 - share) * len(first)
    return [*first, *(one for _ in range(max(1, round(wanted / len(further)))) for one in further)]
