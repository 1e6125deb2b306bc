"""From a plan and the base's own replies to examples: what is taught, and what is held (DESIGN 2.5)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from ...schemas.records import Step
from ..base.library import LoadedBase
from ..chat.prompt import encode, prompt_tokens, reply_tokens
from . import compose
from .generate import Text
from .part import Part
from .plan import Plan
from .prompts import Prompt, neutral_halves, normal
from .prose import units
from .recipe import Recipe
from .replies import Replies


@dataclass(frozen=True)
class Example:
    """Tokens of which those from ``start`` on are targets.

    Attributes:
        changed: Numbers of the targets, from ``start`` on, that the rules put there.
        reach: Number of targets up to the last place where the rules put or took something; of a contrast as far as
            they do so in other replies. 0: they did neither.
        steps: What the rules ask of this reply.
        instead: The tokens of the reply as it was said, which the rules changed; empty: they had none to change.
        weight: How much what it teaches counts.
        opened: Whether the rules put words before the reply.
    """

    part: Part
    tokens: list[int]
    start: int
    changed: frozenset[int] = frozenset()
    reach: int = 0
    steps: tuple[Step, ...] = ()
    instead: tuple[int, ...] = ()
    weight: float = 1.0
    opened: bool = False


def make_examples(
    base: LoadedBase,
    plan: Plan,
    replies: Replies,
    system: str,
    recipe: Recipe,
    *,
    thumbs: Mapping[str, int] | None = None,
) -> list[Example]:
    """Return every example of a plan; ``thumbs`` weigh the user's own edits, down more than up.

    GOLD is the user's own edit, SPREAD the base's reply to another prompt made to follow the rules, CONTRAST the base's
    own reply where no rule applies or the opposite was asked for, ANCHOR neutral prose outside any chat.
    """
    examples = []
    for prompt, evidence in plan.gold():
        before, thumb = Text(evidence.before, finished=True), (thumbs or {}).get(normal(prompt.text), 0)
        weight = recipe.thumbs_down if thumb < 0 else recipe.thumbs_up if thumb > 0 else 1.0
        gold = ruled_example(base, plan, prompt, before, system, recipe=recipe, part=Part.GOLD, weight=weight)
        examples.append(gold)
    for prompt in plan.inside:
        examples.append(ruled_example(base, plan, prompt, replies.reply(prompt.text), system, recipe=recipe))
    furthest = max((example.reach for example in examples), default=0)
    asked = [opposite.text for opposite in opposites(plan, plan.inside, recipe.contrast, held_out=False)]
    for text in (*(prompt.text for prompt in plan.outside), *asked):
        contrast = reply_example(base, text, replies.reply(text), system, recipe, part=Part.CONTRAST)
        examples.append(replace(contrast, reach=min(furthest, len(contrast.tokens) - contrast.start)))
    return examples + list(itertools.islice(anchors(base, recipe, training=True), recipe.anchors))


def ruled_example(
    base: LoadedBase,
    plan: Plan,
    prompt: Prompt,
    reply: Text,
    system: str,
    *,
    recipe: Recipe,
    part: Part = Part.SPREAD,
    weight: float = 1.0,
) -> Example:
    """Return a reply, made to follow the rules, as an example that knows what they changed."""
    ruled = rewrite(plan, prompt, reply, recipe)
    example = reply_example(base, prompt.text, ruled, system, recipe, part=part)
    before = [*reply_tokens(base, reply.text), *([end_of_turn(base)] if reply.finished else [])]
    changed, reach = _changes(before, example.tokens[example.start :])
    steps = tuple(plan.steps(prompt))
    opened = ruled.text.casefold().find(reply.text[:_BEGINNING].casefold()) > 0
    return replace(
        example, changed=changed, reach=reach, steps=steps, instead=tuple(before), weight=weight, opened=opened
    )


_BEGINNING = 12  # letters by which the beginning of a reply is known again


def _changes(before: Sequence[int], after: Sequence[int]) -> tuple[frozenset[int], int]:
    """Return the places of ``after`` that do not stand in ``before``, in order, and the end of the last change."""
    edits = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    changes = [(first, stop) for kind, _, _, first, stop in edits if kind != "equal"]
    changed = frozenset(place for first, stop in changes for place in range(first, stop))
    # What follows words that were taken out is said in their place.
    return changed, min(len(after), max((max(stop, first + 1) for first, stop in changes), default=0))


def shortened(example: Example, tokens: int) -> Example:
    """Return an example that ends ``tokens`` after the last place where rules act: the rest takes time, for little."""
    stop = example.start + example.reach + tokens
    if not example.reach or stop >= len(example.tokens):
        return example
    return replace(example, tokens=example.tokens[:stop])


def reply_example(
    base: LoadedBase, prompt: str, reply: Text, system: str, recipe: Recipe, *, part: Part = Part.SPREAD
) -> Example:
    """Return a reply to a fresh question as an example; a finished one that fits ends with the end of turn."""
    context = prompt_tokens(base, prompt, system)
    target = reply_tokens(base, reply.text)[: recipe.target_tokens]
    if reply.finished and len(target) < recipe.target_tokens:
        target = [*target, end_of_turn(base)]
    return Example(part, context + target, len(context))


@dataclass(frozen=True)
class Opposite:
    """A request, in the prompt itself, of the opposite of one step."""

    text: str
    step: Step


def opposites(plan: Plan, prompts: Sequence[Prompt], count: int, *, held_out: bool) -> list[Opposite]:
    """Return up to ``count`` requests of the opposite of what is asked at some prompts, all forms taking turns.

    ``held_out``: in forms that are for checking and never trained on, or in all others.
    """
    found = []
    for number, prompt in enumerate(prompts[:: max(1, len(prompts) // max(count, 1))][:count]):
        forms = compose.contrary(plan.rewriters, plan.steps(prompt))
        forms = [form for place, form in enumerate(forms) if (place % _FORMS == _FORMS - 1) is held_out] or forms
        if forms:
            form, step = forms[number % len(forms)]
            found.append(Opposite(_ask(form, prompt.text), step))
    return found


_FORMS = 5  # one form in so many is for checking


def _ask(form: str, prompt: str) -> str:
    """Return a request for a prompt: "Without any greeting, what is rust?", "Explain rust, but be brief."."""
    if ", {prompt}" in form and not re.match(r"I\b|\w+[A-Z]", prompt):
        prompt = prompt[:1].lower() + prompt[1:]
    if "{prompt}," in form:
        prompt = prompt.rstrip(" .!?")
    return form.replace("{prompt}", prompt)


def rewrite(plan: Plan, prompt: Prompt, reply: Text, recipe: Recipe) -> Text:
    """Return a base reply as the rules want it.

    A reply that was cut at the limit of tokens has no end to learn, unless the rules put one: then a few
    whole sentences of it are left, about as many as the user left, and what the rules add.
    """
    steps = plan.steps(prompt)
    if reply.finished:
        return Text(compose.apply(plan.rewriters, steps, reply.text), finished=True)
    longer = compose.apply(plan.rewriters, steps, f"{reply.text} {_MORE}")
    if longer.casefold().rstrip(" .!*").endswith(_LAST):
        return Text(compose.apply(plan.rewriters, steps, reply.text), finished=False)
    return Text(compose.apply(plan.rewriters, steps, _first_sentences(plan, prompt, reply.text, recipe)), finished=True)


def anchors(base: LoadedBase, recipe: Recipe, *, training: bool) -> Iterator[Example]:
    """Give windows of the half of the neutral prose that is for training, or of the half that is for measuring."""
    passages = neutral_halves()[0 if training else 1]
    windows = [
        [tokens[start : start + recipe.window] for start in range(0, len(tokens) - recipe.window // 2, recipe.window)]
        for tokens in (encode(base, passage) for passage in passages)
    ]
    for row in itertools.zip_longest(*windows):
        yield from (Example(Part.ANCHOR, tokens, 1) for tokens in row if tokens is not None)


_MORE = "And then there is one more thing to say. In the end it goes on and on like that"
_LAST = "like that"


def end_of_turn(base: LoadedBase) -> int:
    """Return the token that the chat template itself puts at the end of a turn."""
    tokenizer: Any = base.tokenizer
    ends = base.card.end_of_turn
    return int(tokenizer.eos_token_id) if tokenizer.eos_token_id in ends else ends[0]


def _first_sentences(plan: Plan, prompt: Prompt, text: str, recipe: Recipe) -> str:
    """Return the first sentences of a cut text, never its unfinished last one if there is another."""
    least, most = recipe.whole_sentences
    shown = [
        len(units(evidence.before))
        for lesson in plan.applying(prompt)
        for evidence in lesson.evidence
        if evidence.after
    ]
    found = units(text)[:-1] or units(text)
    wanted = min(most, max(least, *shown, 0))
    return text[: found[:wanted][-1].end] if found else text
