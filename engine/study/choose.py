"""Which prompts of the bank a study uses: those whose plain reply breaks a rule tell most about it.

A rule that any reply breaks (an opening, a length) finds enough among the first prompts. One that few replies touch (a
word never to be used, no numbered lists) is looked for further down, as long as that takes bearable time (none where
the replies ship); taught and checked on replies that follow it anyway it would neither be learned nor seen to be.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ...schemas.records import Lesson
from . import compose
from .examples import rewrite
from .plan import Plan, held_shares, in_turns, shares
from .prompts import Prompt
from .recipe import Recipe
from .replies import Replies
from .variety import varied

Tell: TypeAlias = Callable[[float], None]

_MOST_WORDS = 0.6  # share of the words of ruled replies that the base did not say


def choose_prompts(plan: Plan, recipe: Recipe, replies: Replies, tell: Tell) -> Plan:
    """Return the plan with the prompts to train on and to check on chosen; ``tell`` gets the share done."""

    def ask(prompts: Sequence[Prompt], tell: Tell) -> None:
        replies.compute([prompt.text for prompt in prompts], tell)

    # Nearly every study needs these; together they take less time than one kind after the other.
    fresh = [lesson.id in plan.new for lesson in plan.lessons]
    checked = held_shares(fresh, recipe)
    checks = max(recipe.held_out, min(sum(checked), recipe.held_most + recipe.held_each * sum(fresh)))
    ask([*plan.inside[: recipe.spread], *plan.held_inside[:checks]], _within(tell, 0.0, 0.6))
    search = _Search(plan, recipe, replies, ask)
    spread = recipe.spread_all if search.change_all(plan.inside[: recipe.spread]) else recipe.spread
    inside = search.choose(plan.inside, spread, shares(fresh, spread), _within(tell, 0.6, 0.9), taught=True)
    held = search.choose(plan.held_inside, checks, checked, _within(tell, 0.9, 1.0))
    breaking = [prompt for prompt in held if any(search.breaking([prompt]))]
    if len(breaking) >= recipe.least_telling:
        held = breaking
    return dataclasses.replace(plan, inside=inside, held_inside=held)


@dataclasses.dataclass(frozen=True)
class _Search:
    plan: Plan
    recipe: Recipe
    replies: Replies
    ask: Callable[[Sequence[Prompt], Tell], None]

    def choose(
        self, pool: Sequence[Prompt], count: int, counts: Sequence[int], tell: Tell, *, taught: bool = False
    ) -> list[Prompt]:
        """Return ``count`` prompts of a pool: for each lesson first its share of those whose plain reply breaks it.

        Lessons take turns, so that any beginning of what is returned is about all of them. ``taught``: they are trained
        on, and should show what there is to learn.
        """
        free = sum(self.replies.ships(prompt.text) for prompt in pool)
        most = min(len(pool), max(free, self.recipe.searched * count))
        stop = 0
        while stop < most:
            start, stop = stop, min(most, stop + count)
            self.ask(pool[start:stop], _within(tell, start / most, stop / most))
            broken = zip(self.breaking(pool[:stop]), counts, strict=True)
            if all(found is None or len(found) >= self.recipe.telling * share for found, share in broken):
                break
        sorted_out = self.breaking(pool[:stop])
        if taught:
            known = [prompt for place, prompt in enumerate(pool) if place < stop or self.replies.ships(prompt.text)]
            lessons = zip(self.plan.lessons, sorted_out, counts, strict=True)
            sorted_out = [found and self._with_varied(lesson, found, known, share) for lesson, found, share in lessons]
        turns = in_turns(*(found[:share] for found, share in zip(sorted_out, counts, strict=True) if found))
        chosen = {prompt.text: prompt for prompt in turns[:count]}
        for prompt in pool[:stop]:
            if len(chosen) >= count:
                break
            chosen.setdefault(prompt.text, prompt)
        return list(chosen.values())

    def _with_varied(self, lesson: Lesson, found: list[Prompt], known: Sequence[Prompt], count: int) -> list[Prompt]:
        """Return what was found; of a lesson that spells every word otherwise half by the words that they show."""
        plan = self.plan
        if not compose.respells(plan.rewriters, lesson.steps):
            return found
        asked = [prompt for prompt in known if plan.asks(lesson, prompt)]
        spell = functools.partial(compose.respell, plan.rewriters, lesson.steps)
        rich = varied(asked, lambda prompt: self.replies.reply(prompt.text).text, spell, count // 2)
        return list(dict.fromkeys(in_turns(rich, found)))

    def change_all(self, prompts: Sequence[Prompt]) -> bool:
        """Whether the rules change most words of the replies to prompts that were asked, as capital letters do."""
        words = changed = 0
        for prompt in prompts:
            reply = self.replies.reply(prompt.text)
            said = Counter(reply.text.split())
            ruled = Counter(rewrite(self.plan, prompt, reply, self.recipe).text.split())
            words += ruled.total()
            changed += (ruled - said).total()
        return changed > _MOST_WORDS * words

    def breaking(self, prompts: Sequence[Prompt]) -> list[list[Prompt] | None]:
        """Return for each lesson the prompts whose plain reply breaks it; None where it asks nothing at any."""
        plan = self.plan
        asked = [[prompt for prompt in prompts if plan.asks(lesson, prompt)] for lesson in plan.lessons]
        return [
            [prompt for prompt in some if not plan.followed(lesson, prompt, self.replies.reply(prompt.text).text)]
            if some
            else None
            for lesson, some in zip(plan.lessons, asked, strict=True)
        ]


def _within(tell: Tell, low: float, high: float) -> Tell:
    """Return what says a share of the stretch from ``low`` to ``high``."""
    return lambda share: tell(low + (high - low) * share)
