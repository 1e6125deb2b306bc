"""Teaching, then banning: what the rules removed from the replies of the base becomes rare."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Trainer
from ...schemas.records import CurvePoint

if TYPE_CHECKING:
    from ...engine.slots.adapter import Adapter
    from ...engine.study.task import TrainingTask


@hookimpl
def nightschool_trainers() -> list[Trainer]:
    """Supply the trainer."""
    return [Unlikelihood()]


class Unlikelihood:
    """The pass of ``tail_lora``, then unlikelihood on removed tokens, at a rate of its own."""

    name = "unlikelihood"
    learns_from_pairs = True

    def train(self, task: TrainingTask, tell: Callable[[CurvePoint, int], None]) -> Adapter:
        """Train an adapter; the second pass ends early where prose that nothing was trained on moves too far.

        Raises:
            StudyError: If there is nothing to teach, or the loss is no longer a number.
        """
        from ...engine.study.objectives import banning, settling, teaching
        from ...engine.study.training import run_passes

        return run_passes(task, [teaching(task), banning(task), settling(task)], tell)
