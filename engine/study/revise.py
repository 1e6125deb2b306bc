"""What a freshly trained adapter still gets wrong on prompts it was trained on, put right as further examples.

Rewritten replies of the base teach a rule where the base goes; an adapter that half knows it goes elsewhere. Its own
replies, put right, teach it there (the idea of DAgger: Ross, Gordon and Bagnell, arXiv 1011.0686).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...schemas.records import Lesson
from ..slots.adapter import Adapter, attach
from .cut_base import CutBase
from .examples import Example, ruled_example
from .plan import Plan, in_turns
from .prompts import Prompt
from .recipe import Recipe


def put_right(
    whole: CutBase, plan: Plan, adapter: Adapter, recipe: Recipe, *, limit: int, tell: Callable[[float], None]
) -> list[Example]:
    """Return the adapter's own replies that break a rule, as the rules want them; [] if too few do to matter.

    Too few are less than ``recipe.least_wrong`` of all, and for no lesson that is to be learned a third of its own. The
    tail is plain again afterwards. ``limit`` is the most tokens of a reply.
    """
    asked = _looked_at(plan, recipe.revised)
    attach(whole.tail, adapter)
    try:
        said = whole.say([prompt.text for prompt in asked], limit=limit, tell=tell)
    finally:
        attach(whole.tail, None)
    replies = [(prompt, reply) for prompt, reply in zip(asked, said, strict=True) if reply.text]
    broken = [
        (lesson, prompt)
        for prompt, reply in replies
        for lesson in plan.lessons
        if plan.asks(lesson, prompt) and not plan.followed(lesson, prompt, reply.text)
    ]
    wrong = [(prompt, reply) for prompt, reply in replies if any(other is prompt for _, other in broken)]
    unlearned = [lesson for lesson in plan.lessons if lesson.id in plan.new and _is_missed(plan, lesson, broken, asked)]
    if len(wrong) < recipe.least_wrong * len(asked) and not unlearned:
        return []
    return [ruled_example(whole.base, plan, prompt, reply, whole.system, recipe=recipe) for prompt, reply in wrong]


def _looked_at(plan: Plan, count: int) -> list[Prompt]:
    """Return some prompts of the training, of each lesson that is to be learned as many as of any other."""
    new = [lesson for lesson in plan.lessons if lesson.id in plan.new]
    own = [[prompt for prompt in plan.inside if plan.asks(lesson, prompt)] for lesson in new]
    turns = in_turns(*own, plan.inside)
    return list({prompt.text: prompt for prompt in turns}.values())[:count]


def _is_missed(plan: Plan, lesson: Lesson, broken: Sequence[tuple[Lesson, Prompt]], asked: Sequence[Prompt]) -> bool:
    missed = sum(other is lesson for other, _ in broken)
    return missed >= max(_MISSED, sum(plan.asks(lesson, prompt) for prompt in asked) / 3)


_MISSED = 2  # replies


def mixed(first: Sequence[Any], further: Sequence[Any], share: float) -> list[Any]:
    """Return both, the further ones repeated until they are about ``share`` of the whole."""
    wanted = share / (1 - share) * len(first)
    return [*first, *(one for _ in range(max(1, round(wanted / len(further)))) for one in further)]
