"""SimPO: the reply as it should be, preferred to the one that was said, without asking the base for either.

Meng et al., "SimPO: Simple Preference Optimization with a Reference-Free Reward" (arXiv 2405.14734): the reward of a reply is
its mean log-probability a token, and that of the chosen one shall be greater by a margin:
``-log sigmoid(beta * (mean log p(chosen) - mean log p(rejected)) - gamma)``. Here only the tokens count in which the two
differ (``engine/study/pairs.py``), and what the core teaches and keeps stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.study.contracts import Trainer

if TYPE_CHECKING:
    from nightschool.engine.base.halves import Tail
    from nightschool.engine.slots.adapter import Adapter
    from nightschool.engine.study.batch import BatchLoss
    from nightschool.engine.study.objectives import Drawn
    from nightschool.engine.study.pairs import Pair
    from nightschool.engine.study.task import TrainingTask
    from nightschool.schemas.records import CurvePoint
    from torch import Tensor

NIGHTSCHOOL_HOOK_API = 1

BETA = 2.0
"""How much a nat a token counts."""
GAMMA = 1.0
"""The margin, in the same units as ``BETA`` times nats."""


class Simpo:
    """The pass that teaches, then one that prefers."""

    name = "simpo"
    learns_from_pairs = True

    def train(self, task: TrainingTask, tell: Callable[[CurvePoint, int], None]) -> Adapter:
        """Return an adapter that was taught the examples of a task, then its pairs."""
        from nightschool.engine.study.objectives import preferring, settling, teaching, teaching_loss
        from nightschool.engine.study.training import run_passes

        def both(drawn: Drawn) -> BatchLoss:
            first = teaching_loss(task, drawn)
            return replace(first, total=first.total + simpo(task.tail, drawn.pairs))

        return run_passes(task, [teaching(task), replace(preferring(task), loss=both), settling(task)], tell)


def simpo(tail: Tail, pairs: Sequence[Pair]) -> Tensor:
    """Return the mean over pairs of the loss; 0 where the margin is long kept."""
    import torch
    from nightschool.engine.study.objectives import log_probs

    said = log_probs(tail, [side for pair in pairs for side in (pair.chosen, pair.rejected)])
    losses = []
    for number, pair in enumerate(pairs):
        chosen, rejected = said[2 * number].mean(), said[2 * number + 1].mean()
        losses.append(-pair.weight * torch.nn.functional.logsigmoid(BETA * (chosen - rejected) - GAMMA))
    return torch.stack(losses).sum() / max(len(pairs), 1)


@hookimpl
def nightschool_trainers() -> list[Trainer]:
    """Supply the trainer."""
    return [Simpo()]
