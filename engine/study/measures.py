"""What a candidate will be measured on, made ready before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from ..slots.adapter import Adapter, attach
from .candidate import HeldOut
from .cut_base import CutBase
from .exam import prepare_exams
from .examples import anchors, opposites, rewrite, ruled_example
from .plan import Plan
from .prompts import Prompt
from .recipe import Recipe
from .replies import Replies
from .states_cache import StatesCache
from .targets import prepare_examples

_LONGER = 1.5  # how much longer than the rewritten base reply a reply may get before it counts as never ending
_GLANCE = 48  # tokens that show an opening, a case or a replaced word
_LONGEST = 160
_REPLIES = 0.6  # of the time, the first time; the rest takes the probes


async def prepare_measures(
    whole: CutBase,
    plan: Plan,
    recipe: Recipe,
    replies: Replies,
    *,
    cache: Path | None,
    adapter: Path | None,
    tell: Callable[[float], None],
) -> HeldOut:
    """Ask the base every prompt of a chosen plan and the probes; the slot, as it is, those that it will be checked on.

    Args:
        whole: With a plain tail.
        plan: As it was chosen.
        recipe: The numbers of the study.
        replies: The base's own, those known already.
        cache: Where states are kept; None: nowhere.
        adapter: Folder of the slot's adapter; None: it has none.
        tell: Called with the share done.

    Raises:
        StorageError: If replies or states cannot be kept.
    """
    contrary = opposites(plan, plan.held_opposite, len(plan.held_opposite), held_out=True)
    trained = opposites(plan, plan.inside, recipe.contrast, held_out=False)
    prompts = [*plan.inside, *plan.outside, *plan.held_inside, *plan.held_outside, *plan.held_forgotten]
    asked = [prompt.text for prompt in prompts] + [opposite.text for opposite in (*trained, *contrary)]
    replies.compute(asked, lambda share: tell(_REPLIES * share))
    rewritten = [rewrite(plan, prompt, replies.reply(prompt.text), recipe) for prompt in plan.held_inside]
    kept = [
        ruled_example(whole.base, plan, prompt, replies.reply(prompt.text), whole.system, recipe=recipe)
        for prompt in plan.held_inside
    ]
    neutral = list(islice(anchors(whole.base, recipe, training=False), recipe.anchors))
    ends = [len(example.tokens) - example.start for example, text in zip(kept, rewritten, strict=True) if text.finished]
    limit = min(_LONGEST, max(_GLANCE, round(max(ends, default=0) * _LONGER)))
    taught_above = recipe.taught_above
    return HeldOut(
        plan=plan,
        replies=replies,
        before=say_with(whole, _texts(plan.held_inside, plan.held_forgotten), replies, adapter, limit),
        opposites=contrary,
        kept=await prepare_examples(kept, whole.provider, whole.tail, whole.cut, taught_above),
        neutral=await prepare_examples(neutral, whole.provider, whole.tail, whole.cut, taught_above),
        limit=limit,
        exams=await prepare_exams(
            whole,
            plan,
            states_of(whole, cache),
            recipe.probed,
            lambda share: tell(_REPLIES + (1 - _REPLIES) * share),
        ),
    )


def _texts(*prompts: Sequence[Prompt]) -> list[str]:
    return list(dict.fromkeys(prompt.text for some in prompts for prompt in some))


def states_of(whole: CutBase, folder: Path | None) -> StatesCache:
    """Return where states of a base that is cut there are kept; ``folder``: None, nowhere."""
    return StatesCache(folder, whole.base.card.fingerprint, f"cut {whole.cut} in {whole.base.numbers}")


def say_with(
    whole: CutBase, prompts: Sequence[str], replies: Replies, adapter: Path | None, limit: int
) -> dict[str, str]:
    """Return what a slot with an adapter says to prompts; without one that is what the base says. The tail is plain."""
    if adapter is None:
        return {prompt: replies.reply(prompt).text for prompt in prompts}
    attach(whole.tail, Adapter.load(adapter))
    try:
        said = whole.say(prompts, limit=limit)
    finally:
        attach(whole.tail, None)
    return {prompt: reply.text for prompt, reply in zip(prompts, said, strict=True)}
