"""The built-in trainer: LoRA on the tail, from cached states; what the lessons ask is taught, all else is held."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Trainer
from ...engine.study.part import Part
from ...schemas.errors import StudyError
from ...schemas.records import CurvePoint

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ...engine.base.halves import Tail
    from ...engine.slots.adapter import Adapter
    from ...engine.study.checkpoint import Checkpoint
    from ...engine.study.recipe import Recipe
    from ...engine.study.targets import Prepared
    from ...engine.study.task import TrainingTask

_RISE = 5  # steps from nothing to the full learning rate
_FIRST = 4  # the first kept tokens of a reply are always looked at: most rules act there
_SMOOTH = 0.8  # of the curve that is shown
_MOMENTS = ("exp_avg", "exp_avg_sq")  # what Adam keeps of each parameter


@hookimpl
def nightschool_trainers() -> list[Trainer]:
    """Supply the tail-LoRA trainer."""
    return [TailLora()]


class TailLora:
    """Cross-entropy on taught tokens until they are likely enough, both KL divergences to the base on kept ones."""

    name = "tail_lora"

    def train(self, task: TrainingTask, tell: Callable[[CurvePoint, int], None]) -> Adapter:
        """Train an adapter; see :class:`Recipe` for the numbers.

        Raises:
            StudyError: If there is nothing to teach, or the loss is no longer a number.
        """
        import torch

        from ...engine.slots.adapter import attach, detach, new_adapter
        from ...engine.study.checkpoint import EVERY

        recipe = task.recipe
        generator = torch.Generator().manual_seed(recipe.seed)
        start = task.start or new_adapter(task.tail, recipe.rank, task.projections, recipe.seed)
        layers = attach(task.tail, start)
        parameters = [factor for layer in layers.values() for factor in (layer.down, layer.up)]
        for parameter in parameters:
            parameter.requires_grad_(True)
        try:
            optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
            curve = _resume(task.checkpoint, parameters, optimizer)
            for point in curve:
                tell(point, recipe.steps)
            for step, batch in enumerate(_batches(task.examples, recipe, generator)):
                rows = [choose_rows(example, recipe, generator) for example in batch]
                if step < len(curve):
                    continue  # made before; only the dice are thrown again
                for group in optimizer.param_groups:
                    group["lr"] = recipe.learning_rate * min(1.0, (step + 1) / _RISE) * (1 - step / recipe.steps)
                loss = batch_loss(task.tail, batch, rows, recipe)
                if not math.isfinite(loss.total.item()):
                    raise StudyError("The training lost its footing (the loss is not a number); study again.")
                optimizer.zero_grad(set_to_none=True)
                loss.total.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                curve.append(_smoothed(curve[-1] if curve else None, step + 1, loss))
                tell(curve[-1], recipe.steps)
                if task.checkpoint is not None and ((step + 1) % EVERY == 0 or step + 1 == recipe.steps):
                    task.checkpoint.keep(step + 1, _packed(parameters, optimizer), curve)
            return detach(layers)
        finally:
            attach(task.tail, None)


@dataclass(frozen=True)
class BatchLoss:
    """What a step minimises (``total``), and what is shown: means in nats a token."""

    total: Tensor
    taught: float
    kept: float


def choose_rows(example: Prepared, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return the numbers of the targets that a step looks at: all taught ones, the first, some risky, some others."""
    import torch

    chosen = example.taught.clone()
    if example.part is not Part.ANCHOR:
        chosen[:_FIRST] = True
    for pool, share in ((example.risky, recipe.kept_rows // 2), (~example.taught, recipe.kept_rows)):
        free = (pool & ~chosen).nonzero()[:, 0]
        chosen[free[torch.randperm(len(free), generator=generator)[:share]]] = True
    return chosen.nonzero()[:, 0]


def batch_loss(tail: Tail, batch: Sequence[Prepared], rows: Sequence[Tensor], recipe: Recipe) -> BatchLoss:
    """Return the loss of some examples at the chosen ``rows`` of each; only those pass the head.

    At a taught token: cross-entropy, until it has the probability ``recipe.enough``. At a kept token:
    KL(base||tuned) + ``recipe.reverse`` * KL(tuned||base) over the whole vocabulary.
    """
    import torch

    from ...engine.study.losses import Exchange, kept_loss, taught_loss

    # What counts is decided on the CPU, and moved to where the tail computes at once.
    device = tail.device
    there = [row.to(device) for row in rows]
    hidden = tail.sequences([example.states for example in batch], [example.tokens for example in batch])
    chosen = torch.cat(
        [
            output[len(example.states) - len(example.targets) :][row]
            for output, example, row in zip(hidden, batch, there, strict=True)
        ]
    )

    def gather(values: Callable[[Prepared], Tensor]) -> Tensor:
        return torch.cat([values(example)[row] for example, row in zip(batch, rows, strict=True)])

    taught = gather(lambda e: e.taught)
    teaching, keeping = taught.to(device), (~taught).to(device)
    wanted = gather(lambda e: e.targets)[taught]
    weights = gather(lambda e: e.leads)[taught].float() * (1 - recipe.within) + recipe.within
    teach = taught_loss(tail, chosen[teaching], wanted.to(device), weights.to(device), recipe.enough)
    weights = gather(lambda e: _weights(e, recipe))[~taught]
    owner = torch.repeat_interleave(torch.arange(len(batch)), torch.tensor([len(row) for row in rows]))[~taught]
    owners: dict[int, list[int]] = {}
    for number, example in enumerate(batch):
        owners.setdefault(id(example.exchanges), []).append(number)
    exchanges = [
        Exchange(pairs, torch.isin(owner, torch.tensor(numbers)).to(device))
        for numbers in owners.values()
        if (pairs := batch[numbers[0]].exchanges) is not None
    ]
    expected = torch.cat([example.expected[row] for example, row in zip(batch, there, strict=True)])
    near = torch.tensor([recipe.contrast_slack if e.part is Part.CONTRAST else 0.0 for e in batch])[owner]
    keep = kept_loss(
        tail,
        chosen[keeping],
        expected[keeping],
        weights.to(device),
        reverse=recipe.reverse,
        slack=near.to(device),
        exchanges=exchanges,
    )
    return BatchLoss((teach.total + keep.total) / len(batch), teach.mean, keep.mean)


def _resume(
    checkpoint: Checkpoint | None, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer
) -> list[CurvePoint]:
    """Put parameters and optimizer where an equal training was cut, and return its curve; [] if there was none."""
    import torch

    kept = checkpoint.load() if checkpoint is not None else None
    if kept is None or kept.step != len(kept.curve):
        return []
    wanted = {f"{number}.{name}": p.shape for number, p in enumerate(parameters) for name in ("value", *_MOMENTS)}
    if {name: tensor.shape for name, tensor in kept.tensors.items()} != wanted:
        return []
    for number, parameter in enumerate(parameters):
        parameter.data.copy_(kept.tensors[f"{number}.value"])
        moments = {name: kept.tensors[f"{number}.{name}"].to(parameter.device) for name in _MOMENTS}
        optimizer.state[parameter] = {"step": torch.tensor(float(kept.step)), **moments}
    return kept.curve


def _packed(parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what :func:`_resume` reads: values and moments by the parameters' numbers."""
    tensors: dict[str, Tensor] = {}
    for number, parameter in enumerate(parameters):
        tensors[f"{number}.value"] = parameter.detach()
        tensors |= {f"{number}.{name}": optimizer.state[parameter][name] for name in _MOMENTS}
    return tensors


def _batches(examples: Sequence[Prepared], recipe: Recipe, generator: torch.Generator) -> Iterator[list[Prepared]]:
    """Give ``recipe.steps`` batches, each with its share of every part; a part that is empty leaves its places free."""

    def of(*parts: Part) -> list[Prepared]:
        return [example for example in examples if example.part in parts]

    spread, contrast, anchors = of(Part.GOLD, Part.SPREAD), of(Part.CONTRAST), of(Part.ANCHOR)
    if not any(bool(example.taught.any()) for example in spread):
        raise StudyError("The base answers as the lessons ask already; there is nothing to learn.")
    streams = [
        (_endless(part, generator), count)
        for part, count in (
            (spread, recipe.batch_spread),
            (contrast, recipe.batch_contrast),
            (anchors, recipe.batch_anchors),
        )
        if part
    ]
    for _ in range(recipe.steps):
        yield [next(stream) for stream, count in streams for _ in range(count)]


def _endless(examples: list[Prepared], generator: torch.Generator) -> Iterator[Prepared]:
    import torch

    while True:
        for index in torch.randperm(len(examples), generator=generator).tolist():
            yield examples[index]


def _weights(example: Prepared, recipe: Recipe) -> Tensor:
    """Return how much each target counts where it is kept."""
    import torch

    weights = torch.full(example.targets.shape, recipe.keep_anchors if example.part is Part.ANCHOR else recipe.keep)
    if example.part is Part.CONTRAST:
        weights[:_FIRST] *= recipe.contrast_focus
        weights[_FIRST:][example.risky[_FIRST:]] *= recipe.contrast_focus
    return weights


def _smoothed(before: CurvePoint | None, step: int, loss: BatchLoss) -> CurvePoint:
    if before is None:
        return CurvePoint(step=step, loss=loss.taught, kl=loss.kept)
    return CurvePoint(
        step=step,
        loss=_SMOOTH * before.loss + (1 - _SMOOTH) * loss.taught,
        kl=_SMOOTH * before.kl + (1 - _SMOOTH) * loss.kept,
    )
