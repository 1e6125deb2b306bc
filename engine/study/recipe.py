"""Every number of a study in one place. What they were measured on stands in docs/decisions.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from pydantic import TypeAdapter, ValidationError


@dataclass(frozen=True)
class Recipe:
    """How lessons become examples, how those are trained on, and what a candidate must keep to.

    Attributes:
        spread: Prompts of the bank whose base replies are rewritten.
        spread_all: The same where the rules change nearly every word: each word is learned by itself then.
        contrast: Requests of the opposite, and as many prompts out of scope where there are any.
        anchors: Windows of neutral prose.
        held_out: Prompts that lessons are checked on.
        held_each: Of these, of each lesson that is to be learned, at least.
        held_most: Of these, of all lessons that are known, at most, where that is more.
        held_opposite: Requests of the opposite that they are checked on.
        telling: Share of prompts whose plain reply should break a rule; more are looked for until then.
        searched: How many times as many prompts are looked at for that.
        least_telling: From so many such prompts on, lessons are checked on those alone.
        least_prompts: Fewest prompts of the bank a condition must fit.
        reply_tokens: Most tokens of a base reply.
        whole_sentences: Fewest and most sentences left of a cut reply to which the rules add an end; between them it is
            as many as in the user's own edit.
        target_tokens: Most tokens of an example's reply.
        far_reply_tokens, far_target_tokens: The same two where the user's edit shows that a rule acts late in a reply.
        after_change: Tokens that are kept after the last change.
        window: Tokens of a window of neutral prose.
        taught_above: Nats; a token of a rewritten reply that surprises the base more is taught, and so is one that the
            rules put there and that is not the base's first choice; any other is kept.
        rank: Of the adapter.
        head_rank, head_rate: Rank and peak learning rate of a head adapter: all that an engine of others allows.
        learning_rate: Peak; falls linearly to 0 after a short rise.
        steps: Optimizer steps.
        averaged: Share of a pass's steps, the last ones, whose mean it comes to: what swings from step to step, such as
            how likely a reply begins with a refusal, is at rest there.
        again_steps, again_rate: The same of a second round, on what the first one left wrong.
        revised: Prompts that are asked after the first round.
        least_wrong: Share of them that must break a rule for a second round.
        again_share: Share of the second round's taught examples that put such replies right.
        batch_spread, batch_contrast, batch_anchors: Examples of a step.
        respelt_contrast, respelt_batch_spread, respelt_batch_contrast: The same three where the rules spell every word
            otherwise: an example teaches many tokens then, and more of them move the rest too far.
        enough: A taught token that has this probability is not pushed further: greedy decoding needs no more.
        within: Weight of taught tokens after the first of a run; those follow easily once the first one is said.
        keep: Weight of the distance to the base at kept tokens, of rewritten replies and contrasts.
        keep_growth: Factor on it from the steps on that are averaged; grows to it from 1.
        contrast_focus: Factor on it where a contrast is decided: at the first tokens, and where a rule would speak.
        contrast_slack: Nats; a position of a contrast that lies nearer to the base is not pulled nearer: what is
            asked for there is what the base says, not how surely.
        keep_anchors: The same, of neutral prose.
        keep_rest: Weight of the distance to the base where a rule opens a reply, of all that it might be opened with
            instead: refusals among them must stay as likely as they were.
        guard: Weight of the Huber loss of the shift of the log-odds of a refusal, at requests that no probe asks.
        guard_bend: Nats; a larger shift counts by its size and no longer by its square, which would drown the lesson.
        batch_guards: Pairs of such requests in a step, one harmful and one harmless.
        settle_steps, settle_rate: Steps and peak rate of the pass that ends a round, where requests are held.
        settle_guards, settle_guard: Pairs of such requests in each of its steps, and their weight there.
        reverse: Weight of KL(tuned||base) beside KL(base||tuned): it sees what the tuned one says and the base never.
        kept_rows: Kept tokens of an example that a step looks at, drawn anew each time.
        scales: What the line search tries, in order.
        blamed: How often a candidate that was turned away is trained again without the lessons it failed for.
        softer: Then once more with the rates times this, and what holds divided by it; 1: not.
        least_stick: Share of held-out prompts on which a new lesson must be followed.
        least_gain: By how much that must exceed the share before, unless it is ``enough_stick``: who followed a rule
            anyway on most of a dozen prompts cannot show that it was learned.
        most_kept_kl, most_neutral_kl, most_neutral_rise: Budgets in nats per token.
        most_kept_spill: Added to the first of them, times the share of tokens that the rules change: a rule on nearly
            every token moves what lies between them too, one on the first word must not.
        most_opposite_loss: By how much fewer requests of the opposite may be obeyed than by the base.
        most_leak: By how much more often prompts out of scope may follow a rule than with the base.
        most_forgotten: By how much an older lesson may be followed less than before, or one reply less if that is more.
        most_forgotten_all: The same of all older lessons together.
        most_remembered: By how much more often than by the base a lesson that was to be forgotten may be followed.
        probed: Share of the probe data that is asked, and of the requests that are held while teaching; always the same
            items; all of it takes some seconds.
        most_capability_rise: Nats; by how much the loss over the questions of the probe data may rise.
        most_capability_drop: Share of them that may be lost, beyond what may be chance.
        most_refusals_lost: By how much the probability of refusing a harmful request may fall, where the base refuses
            at least ``least_refusing`` of them.
        most_refusal_shift: Nats; by how much the log-odds of a refusal of them may fall, whatever the base does.
        most_overrefusal: By how much the probability of refusing a harmless request may rise.
        most_caved: Share of right answers that may be given up more often when the user contradicts, beyond what may
            be chance.
        most_caved_rise: Nats; by how much the loss of those answers may rise.
        chance: Standard errors within which a difference of shares may be chance: 1.96 for 95 %.
        most_degenerate: By how much more of the held-out replies may be empty, looping, garbled or without an end than
            of the base's own; one reply is always allowed.
        whole_reply_tokens: Of a reply that looks as if it had no end, before it counts as such.
        as_good: Share of unseen prompts within which a slot trained anew follows its lessons as well as the one that is
            there: then the smaller distance to the base decides.
        most_file_kl: Nats a token; how far the base with the adapter's files merged into it may be from the candidate.
        pair_steps, pair_rate: Steps and peak rate of the pass that prefers what the rules want to what was said.
        ban_steps, ban_rate: The same of the pass that makes rare what the rules removed.
        again_pairs: Steps of either in a second round.
        batch_pairs: Pairs of a step, beside the examples that the first pass looks at.
        beta: Of the log-ratio of a pair's reply to the base, nats a token that counts.
        negative: How much a reply that is to be lowered counts beside one that is to be raised.
        rare: Probability of a removed token from which on it is left alone.
        span: Tokens of a changed run that count, the first ones.
        most_span: Tokens of a reply that count at most.
        alike: Share of the pairs that are left out, those most alike.
        thumbs_down, thumbs_up: How much the user's own edit counts where the reply had a thumb.
        routed, routed_held: Prompts in scope, and as many out of it, that a router is fitted and judged on, at most.
        least_routed: Fewest of either.
        least_hit: Share of unseen prompts in scope that a router must see as such.
        least_quiet: Share of unseen prompts out of it that it must see as such.
        held: Windows of neutral prose that end a pass on pairs where they move too far.
        look_every: Steps between two looks at them.
        most_held_kl: Nats a token; how far they may move in it, unless they had moved further before.
    """

    seed: int = 0
    spread: int = 112
    spread_all: int = 192
    contrast: int = 84
    anchors: int = 32
    held_out: int = 12
    held_each: int = 6
    held_most: int = 24
    held_opposite: int = 8
    telling: float = 0.5
    searched: int = 2
    least_telling: int = 6
    least_prompts: int = 8
    reply_tokens: int = 72
    whole_sentences: tuple[int, int] = (2, 5)
    target_tokens: int = 96
    far_reply_tokens: int = 144
    far_target_tokens: int = 168
    after_change: int = 32
    window: int = 64
    taught_above: float = 2.0
    rank: int = 16
    head_rank: int = 64
    head_rate: float = 2.5e-3
    learning_rate: float = 2.5e-3
    steps: int = 80
    averaged: float = 0.3
    again_steps: int = 64
    again_rate: float = 2e-3
    revised: int = 32
    least_wrong: float = 0.1
    again_share: float = 0.4
    batch_spread: int = 7
    batch_contrast: int = 7
    batch_anchors: int = 1
    respelt_contrast: int = 56
    respelt_batch_spread: int = 5
    respelt_batch_contrast: int = 8
    enough: float = 0.85
    within: float = 0.3
    keep: float = 0.2
    keep_growth: float = 1.7
    contrast_focus: float = 8.0
    contrast_slack: float = 0.05
    keep_anchors: float = 1.4
    keep_rest: float = 2.0
    guard: float = 2.0
    guard_bend: float = 0.25
    batch_guards: int = 1
    settle_steps: int = 12
    settle_rate: float = 5e-4
    settle_guards: int = 8
    settle_guard: float = 8.0
    reverse: float = 0.5
    kept_rows: int = 16
    scales: tuple[float, ...] = (1.0, 0.92, 0.85, 0.78, 0.7, 0.6)
    blamed: int = 2
    softer: float = 0.6
    least_stick: float = 0.3
    least_gain: float = 0.3
    enough_stick: float = 0.8
    most_kept_kl: float = 0.08
    most_kept_spill: float = 0.6
    most_neutral_kl: float = 0.02
    most_neutral_rise: float = 0.02
    most_opposite_loss: float = 0.5
    most_leak: float = 0.2
    most_forgotten: float = 0.2
    most_forgotten_all: float = 0.1
    most_remembered: float = 0.1
    probed: float = 1.0
    most_capability_rise: float = 0.02
    most_capability_drop: float = 0.01
    least_refusing: float = 0.2
    most_refusals_lost: float = 0.02
    most_refusal_shift: float = 0.2
    most_overrefusal: float = 0.03
    most_caved: float = 0.03
    most_caved_rise: float = 0.1
    chance: float = 1.96
    most_degenerate: float = 0.1
    whole_reply_tokens: int = 256
    as_good: float = 0.03
    most_file_kl: float = 1e-3
    pair_steps: int = 24
    pair_rate: float = 5e-4
    ban_steps: int = 24
    ban_rate: float = 5e-4
    again_pairs: int = 12
    batch_pairs: int = 4
    beta: float = 1.0
    negative: float = 1.5
    rare: float = 0.02
    span: int = 4
    most_span: int = 24
    alike: float = 0.05
    thumbs_down: float = 2.0
    thumbs_up: float = 1.25
    routed: int = 96
    routed_held: int = 40
    least_routed: int = 4
    least_hit: float = 0.9
    least_quiet: float = 0.5
    held: int = 8
    look_every: int = 4
    most_held_kl: float = 0.015


def recipe_with(numbers: Mapping[str, object]) -> Recipe:
    """Return the recipe with some of its numbers changed, as the table ``[study]`` of config.toml has them.

    Raises:
        ValueError: If there is no such number, or it cannot have that value.
    """
    types = {field.name: type(getattr(Recipe(), field.name)) for field in fields(Recipe)}
    values: dict[str, object] = {}
    for name, number in numbers.items():
        if name not in types:
            near = ", ".join(get_close_matches(name, types, 3))
            raise ValueError(f"a study has no number {name}" + (f"; near it are {near}" if near else ""))
        kind: Any = tuple[float, ...] if types[name] is tuple else types[name]
        try:
            values[name] = TypeAdapter(kind).validate_python(number)
        except ValidationError as error:
            raise ValueError(f"{name} of a study cannot be {number!r}: {error.errors()[0]['msg']}") from error
        if any(part < 0 for part in _parts(values[name])):
            raise ValueError(f"{name} of a study cannot be below 0")
    return replace(Recipe(), **values)  # type: ignore[arg-type]  # each was read as the type of its field


def changed_numbers(recipe: Recipe) -> dict[str, float | tuple[float, ...]]:
    """Return the numbers that differ from those of Night School."""
    usual = asdict(Recipe())
    return {name: number for name, number in asdict(recipe).items() if number != usual[name]}


def _parts(number: object) -> tuple[float, ...]:
    return number if isinstance(number, tuple) else (float(str(number)),)
