"""The built-in trainer: LoRA on the tail, from cached states; what the lessons ask is taught, all else is held."""

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
        from ...engine.study.objectives import settling, teaching
        from ...engine.study.training import run_passes

        return run_passes(task, [teaching(task), settling(task)], tell)
