"""Optimizer steps on a LoRA of the tail, in one pass after another; what every trainer shares, whatever it minimises.

A pass is one objective with a number of steps and a rate of its own. Where it may move what should stay, it is looked
at every few steps on texts that nothing was trained on, and ends at the last look that was within its budget. What a
pass comes to is the mean of its last steps (Polyak and Juditsky, 1992; for networks Izmailov et al., arXiv 1803.05407).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ...schemas.errors import StudyError
from ...schemas.records import CurvePoint
from ..base.halves import Tail
from ..slots.adapter import Adapter, attach, detach, new_adapter
from .batch import BatchLoss
from .checkpoint import EVERY, Checkpoint
from .losses import kept_loss
from .targets import Prepared
from .task import TrainingTask

_RISE = 5  # steps from nothing to the full learning rate
_SMOOTH = 0.8  # of the curve that is shown
_MOMENTS = ("exp_avg", "exp_avg_sq")  # what Adam keeps of each parameter
_MEAN = "mean"  # of each parameter, over the last steps so far
_PLACE = "pass"  # (pass, steps made in it)
_LIMIT = "limit"  # how far its held texts may move

Tell = Callable[[CurvePoint, int], None]
D = TypeVar("D")


@dataclass(frozen=True)
class Pass(Generic[D]):
    """One objective's share of a training.

    Attributes:
        steps: How many at most.
        rate: Peak of the learning rate; falls linearly to 0 after a short rise.
        draws: What each step looks at, drawn with the generator, without an end.
        loss: Of what was drawn, as the tail speaks now.
        seed: Of the generator.
        parts: Of what was drawn, whose losses add up to that of the whole; less is held in memory at once.
        averaged: Share of the steps, the last ones, whose mean is what comes of the pass.
        held: Texts that nothing was trained on; the pass ends where they move too far. Empty: it is not looked.
        most_held_kl: Nats a token; how far they may move, or as far as they had when the pass began.
        look_every: Steps between two looks.
    """

    steps: int
    rate: float
    draws: Callable[[torch.Generator], Iterator[D]]
    loss: Callable[[D], BatchLoss]
    seed: int
    parts: Callable[[D], Iterable[D]] = lambda drawn: [drawn]
    averaged: float = 0.0
    held: Sequence[Prepared] = ()
    most_held_kl: float = math.inf
    look_every: int = EVERY


def run_passes(task: TrainingTask, passes: Sequence[Pass[D]], tell: Tell) -> Adapter:
    """Train an adapter in passes, going on at the task's checkpoint; the tail is plain again afterwards.

    Raises:
        StudyError: If a loss is no longer a number.
    """
    start = task.start or new_adapter(task.tail, task.recipe.rank, task.projections, task.recipe.seed)
    layers = attach(task.tail, start)
    parameters = [factor for layer in layers.values() for factor in (layer.down, layer.up)]
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        _Training(task, parameters, sum(one.steps for one in passes), tell).run(passes)
        return detach(layers)
    finally:
        attach(task.tail, None)


def held_kl(tail: Tail, held: Sequence[Prepared]) -> float:
    """Return the mean KL(base||now) over all targets of some texts, nats a token; 0 if there are none."""
    if not held:
        return 0.0
    # Not under ``no_grad``: there a tail keeps what it has fused of its updates, and would not see them move.
    hidden = tail.sequences([text.states for text in held], [text.tokens for text in held])
    rows = torch.cat([rows[-len(text.targets) :] for rows, text in zip(hidden, held, strict=True)])
    expected = torch.cat([text.expected for text in held]).to(rows.dtype)
    return kept_loss(tail, rows, expected, torch.ones(len(rows), device=tail.device), reverse=0.0).mean


class _Training:
    """Where a training is: the parameters, the curve, and in which step of which pass."""

    def __init__(self, task: TrainingTask, parameters: Sequence[Tensor], steps: int, tell: Tell) -> None:
        self._task, self._parameters, self._steps, self._tell = task, parameters, steps, tell
        self._curve: list[CurvePoint] = []
        self._limit = math.inf
        self._means: list[Tensor] = []

    def run(self, passes: Sequence[Pass[D]]) -> None:
        place, done, moments = self._resume()
        for number, one in enumerate(passes):
            if number < place:
                continue
            optimizer = torch.optim.AdamW(self._parameters, lr=one.rate, betas=(0.9, 0.99), weight_decay=0.0)
            if number == place and moments:
                for parameter, values in zip(self._parameters, moments, strict=True):
                    optimizer.state[parameter] = {"step": torch.tensor(float(done)), **values}
            self._run(number, one, optimizer, done if number == place else 0)

    def _run(self, number: int, one: Pass[D], optimizer: torch.optim.Optimizer, done: int) -> None:
        generator = torch.Generator().manual_seed(one.seed)
        good = self._values() if one.held else []
        if not done:
            self._limit = max(one.most_held_kl, self._held(one))
            self._means = self._values()
        first = one.steps - round(one.steps * one.averaged)
        for step, drawn in zip(range(one.steps), one.draws(generator), strict=False):
            if step < done:
                continue  # made before; only the dice are thrown again
            for group in optimizer.param_groups:
                group["lr"] = one.rate * min(1.0, (step + 1) / _RISE) * (1 - step / one.steps)
            optimizer.zero_grad(set_to_none=True)
            means = descended(map(one.loss, one.parts(drawn)))
            torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
            optimizer.step()
            if step >= first:
                self._average(step + 1 - first)
            self._curve.append(_smoothed(self._curve[-1] if self._curve else None, *means))
            self._tell(self._curve[-1], self._steps)
            if (step + 1) % one.look_every and step + 1 < one.steps:
                continue
            if one.held:
                if self._held(one) > self._limit:
                    self._put_back(good)
                    return
                good = self._values()
            self._keep(number, step + 1, optimizer)
        if first < one.steps:
            self._put_back(self._means)

    def _held(self, one: Pass[D]) -> float:
        return held_kl(self._task.tail, one.held)

    def _values(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self._parameters]

    def _average(self, count: int) -> None:
        for mean, parameter in zip(self._means, self._parameters, strict=True):
            mean.lerp_(parameter.detach(), 1 / count)

    def _put_back(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.data.copy_(value)

    # -- what is on disk ----------------------------------------------------------------------------------------------

    def _keep(self, number: int, done: int, optimizer: torch.optim.Optimizer) -> None:
        """Keep values, means and moments by the parameters' numbers, where there is a place to keep them."""
        if self._task.checkpoint is None:
            return
        tensors = {_PLACE: torch.tensor([number, done]), _LIMIT: torch.tensor([self._limit], dtype=torch.float64)}
        for place, parameter in enumerate(self._parameters):
            tensors[f"{place}.value"] = parameter.detach()
            tensors[f"{place}.{_MEAN}"] = self._means[place]
            tensors |= {f"{place}.{name}": optimizer.state[parameter][name] for name in _MOMENTS}
        self._task.checkpoint.keep(len(self._curve), tensors, self._curve)

    def _resume(self) -> tuple[int, int, list[dict[str, Tensor]]]:
        """Put the parameters where an equal training was cut; return pass, steps made in it, and Adam's moments."""
        checkpoint: Checkpoint | None = self._task.checkpoint
        kept = checkpoint.load() if checkpoint is not None else None
        if kept is None or kept.step != len(kept.curve):
            return 0, 0, []
        names = ("value", _MEAN, *_MOMENTS)
        shapes = {f"{n}.{name}": p.shape for n, p in enumerate(self._parameters) for name in names}
        if {name: tensor.shape for name, tensor in kept.tensors.items()} != {
            **shapes,
            _PLACE: torch.Size([2]),
            _LIMIT: torch.Size([1]),
        }:
            return 0, 0, []
        moments = []
        for number, parameter in enumerate(self._parameters):
            parameter.data.copy_(kept.tensors[f"{number}.value"])
            moments.append({name: kept.tensors[f"{number}.{name}"].to(parameter.device) for name in _MOMENTS})
            self._means.append(kept.tensors[f"{number}.{_MEAN}"].to(parameter.device))
        self._curve = kept.curve
        for point in kept.curve:
            self._tell(point, self._steps)
        place, done = kept.tensors[_PLACE].tolist()
        self._limit = float(kept.tensors[_LIMIT])
        return place, done, moments


def descended(losses: Iterable[BatchLoss]) -> tuple[float, float]:
    """Add the gradients of the parts of a step, each before the next is computed; return the means of the whole.

    Raises:
        StudyError: If a loss is no number.
    """
    taught, kept = _Mean(), _Mean()
    for loss in losses:
        if not math.isfinite(loss.total.item()):
            raise StudyError("The training lost its footing (the loss is not a number); study again.")
        loss.total.backward()  # type: ignore[no-untyped-call]
        taught.add(loss.taught, loss.rows[0])
        kept.add(loss.kept, loss.rows[1])
    return taught.value, kept.value


@dataclass
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, mean: float, count: int) -> None:
        self.total, self.count = self.total + mean * count, self.count + count

    @property
    def value(self) -> float:
        return self.total / max(1, self.count)


def _smoothed(before: CurvePoint | None, taught: float, kept: float) -> CurvePoint:
    if before is None:
        return CurvePoint(step=1, loss=taught, kl=kept)
    return CurvePoint(
        step=before.step + 1,
        loss=_SMOOTH * before.loss + (1 - _SMOOTH) * taught,
        kl=_SMOOTH * before.kl + (1 - _SMOOTH) * kept,
    )
