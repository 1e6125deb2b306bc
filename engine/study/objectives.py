"""What trainers minimise, as passes: teaching, preferring one reply to another, not saying what was removed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..base.halves import Tail
from ..base.lean.packing import in_order
from .batch import BatchLoss, Share, batch_loss, batches, choose_rows
from .guards import Guard
from .pairs import Pair, Side
from .recipe import Recipe
from .targets import Prepared
from .task import TrainingTask
from .training import Pass

_PART = 512
"""Tokens that go through the tail at once: what is kept for their gradients is half of what a study holds."""


@dataclass(frozen=True)
class Drawn:
    """What one step looks at: examples, the chosen rows of each, requests that are held, and pairs.

    ``holding``: the factor on ``recipe.keep``. ``of``: the step that this is a part of; None: it is the whole.
    """

    examples: Sequence[Prepared]
    rows: Sequence[Tensor]
    guards: Sequence[Guard] = ()
    pairs: Sequence[Pair] = ()
    holding: float = 1.0
    of: Share | None = None

    def parts(self) -> Iterator[Drawn]:
        """Give parts, of about ``_PART`` tokens each, whose losses add up to that of the whole, which has no pairs.

        What begins alike stays together, so that it is computed once.
        """
        share = Share(len(self.examples), len(self.guards))
        order = in_order(len(self.examples), [example.tokens for example in self.examples])
        for part in _filled(order, [len(example.tokens) for example in self.examples]):
            examples, rows = [self.examples[n] for n in part], [self.rows[n] for n in part]
            yield Drawn(examples, rows, holding=self.holding, of=share)
        lengths = [sum(map(len, guard.endings.inputs)) for guard in self.guards]
        for part in _filled(range(len(lengths)), lengths):
            yield Drawn([], [], [self.guards[n] for n in part], of=share)


def teaching(task: TrainingTask) -> Pass[Drawn]:
    """Return the pass that teaches: cross-entropy on what the rules put there, both KL divergences on all else.

    What is kept weighs more with every step: at first the lesson has to be learned, and once its tokens are likely
    enough they ask for nothing more, so that what else has moved can come back.
    """
    recipe = task.recipe
    grown = max(1.0, recipe.steps * (1 - recipe.averaged))  # steps until then; those that are averaged are alike

    def holding(step: int) -> float:
        return 1 + (recipe.keep_growth - 1) * min(1.0, step / grown)

    return Pass(
        steps=recipe.steps,
        rate=recipe.learning_rate,
        draws=lambda generator: _draws(task, generator, holding),
        loss=lambda drawn: teaching_loss(task, drawn),
        seed=recipe.seed,
        parts=Drawn.parts,
        averaged=recipe.averaged,
    )


def teaching_loss(task: TrainingTask, drawn: Drawn) -> BatchLoss:
    """Return what :func:`teaching` minimises, which every pass after it has beside its own: all else stays held."""
    recipe = replace(task.recipe, keep=task.recipe.keep * drawn.holding)
    return batch_loss(task.tail, drawn.examples, drawn.rows, recipe, drawn.guards, of=drawn.of)


def settling(task: TrainingTask) -> Pass[Drawn]:
    """Return the pass that ends a round: small steps on what :func:`teaching` minimises, with many guards in each.

    How likely replies open with a refusal swings while a lesson is taught, whichever request is asked. One guard a step
    keeps it within bounds; here it comes to rest where the base had it.
    """
    recipe = replace(task.recipe, guard=task.recipe.settle_guard, batch_guards=task.recipe.settle_guards)
    settled = replace(task, recipe=recipe)
    return Pass(
        steps=recipe.settle_steps if task.guards else 0,
        rate=recipe.settle_rate,
        draws=lambda generator: _draws(settled, generator),
        loss=lambda drawn: teaching_loss(settled, drawn),
        seed=recipe.seed + 2,
        parts=Drawn.parts,
    )


def preferring(task: TrainingTask) -> Pass[Drawn]:
    """Return the pass that prefers: APO-zero on the changed tokens of pairs, beside what the first pass minimises.

    APO-zero (D'Oosterlinck et al., arXiv 2408.06266) raises the chosen reply and lowers the rejected one, each by
    itself: after a correction the model is always worse than what it is shown. The log-ratios to the plain base are
    means over the tokens that count, so that a long span has no more say than a short one.
    """
    return _on_pairs(task, task.recipe.pair_steps, task.recipe.pair_rate, apo_zero)


def banning(task: TrainingTask) -> Pass[Drawn]:
    """Return the pass that bans: unlikelihood of the tokens that the rules removed, until they are rare.

    After Welleck et al., arXiv 1908.04319, on the removed spans alone.
    """
    return _on_pairs(task, task.recipe.ban_steps, task.recipe.ban_rate, unlikelihood)


def apo_zero(tail: Tail, pairs: Sequence[Pair], recipe: Recipe) -> Tensor:
    """Return the mean over pairs of 1 - s(chosen) + ``recipe.negative`` * s(rejected).

    ``s`` is the sigmoid of ``recipe.beta`` times the mean log-ratio to the plain base.
    """
    said = log_probs(tail, [side for pair in pairs for side in (pair.chosen, pair.rejected)])
    losses = []
    for number, pair in enumerate(pairs):
        for side, logs, sign, weight in (
            (pair.chosen, said[2 * number], -1.0, 1.0),
            (pair.rejected, said[2 * number + 1], 1.0, recipe.negative),
        ):
            ratio = (logs - side.reference.to(logs.device)).mean()
            losses.append(pair.weight * weight * torch.sigmoid(sign * recipe.beta * ratio))
    return torch.stack(losses).sum() / len(pairs)


def unlikelihood(tail: Tail, pairs: Sequence[Pair], recipe: Recipe) -> Tensor:
    """Return the mean over pairs of the mean -log(1 - p) of removed tokens that are not rare yet; 0 if none are."""
    told = [pair for pair in pairs if bool(pair.rejected.removed.any())]
    said = log_probs(tail, [pair.rejected for pair in told])
    losses = []
    for pair, logs in zip(told, said, strict=True):
        wrong = pair.rejected.removed.to(logs.device) & (logs > math.log(recipe.rare))
        chances = logs.exp().clamp(max=1 - 1e-4)
        losses.append(pair.weight * recipe.negative * torch.where(wrong, -torch.log1p(-chances), 0.0).mean())
    return torch.stack(losses).sum() / len(pairs) if losses else torch.zeros((), device=tail.device)


def log_probs(tail: Tail, sides: Sequence[Side]) -> list[Tensor]:
    """Return the log-probabilities ``(m,)`` of what counts of each reply, as the tail speaks now. Differentiable."""
    if not sides:
        return []
    hidden = tail.sequences([side.states for side in sides], [side.tokens for side in sides])
    rows = torch.cat([rows[side.rows.to(rows.device)] for rows, side in zip(hidden, sides, strict=True)])
    wanted = torch.cat([side.targets for side in sides]).to(rows.device)
    logs = tail.head(rows).float().log_softmax(dim=-1).gather(1, wanted[:, None])[:, 0]
    return list(torch.split(logs, [len(side.targets) for side in sides]))


_PairLoss = Callable[[Tail, Sequence[Pair], Recipe], Tensor]


def _on_pairs(task: TrainingTask, steps: int, rate: float, loss: _PairLoss) -> Pass[Drawn]:
    """Return a pass on pairs, with the loss of the first pass beside it and an eye on prose that is never trained on.

    Where the passes before have spent the budget already, this one may not make it worse.
    """
    recipe = task.recipe

    def draws(generator: torch.Generator) -> Iterator[Drawn]:
        order = _endless(len(task.pairs), generator)
        for drawn in _draws(task, generator):
            yield replace(drawn, pairs=[task.pairs[next(order)] for _ in range(recipe.batch_pairs)])

    def both(drawn: Drawn) -> BatchLoss:
        first = teaching_loss(task, drawn)
        return replace(first, total=first.total + loss(task.tail, drawn.pairs, recipe))

    return Pass(
        steps=steps if task.pairs else 0,
        rate=rate,
        draws=draws,
        loss=both,
        seed=recipe.seed + 1,
        averaged=recipe.averaged,
        held=task.held,
        most_held_kl=recipe.most_held_kl,
        look_every=recipe.look_every,
    )


def _draws(
    task: TrainingTask, generator: torch.Generator, holding: Callable[[int], float] | None = None
) -> Iterator[Drawn]:
    """Give what each step looks at. ``holding``: step -> the factor on ``recipe.keep``; None: fully grown."""
    recipe, guards = task.recipe, task.guards
    order = _endless(len(guards), torch.Generator().manual_seed(recipe.seed))
    for step, batch in enumerate(batches(task.examples, recipe, generator)):
        rows = [choose_rows(example, recipe, generator) for example in batch]
        held = [guards[next(order)] for _ in range(recipe.batch_guards if guards else 0)]
        yield Drawn(batch, rows, held, holding=recipe.keep_growth if holding is None else holding(step))


def _endless(count: int, generator: torch.Generator) -> Iterator[int]:
    while True:
        yield from torch.randperm(count, generator=generator).tolist()


def _filled(order: Iterable[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Give numbers in their order, as many at once as have ``_PART`` tokens together; one alone may have more."""
    part: list[int] = []
    for number in order:
        if part and sum(lengths[n] for n in part) + lengths[number] > _PART:
            yield part
            part = []
        part.append(number)
    if part:
        yield part
