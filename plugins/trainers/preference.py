"""Teaching, then preferring: pairs of the reply as the rules want it and as the base said it."""

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
    return [Preference()]


class Preference:
    """The pass of ``tail_lora``, then APO-zero on the changed tokens of pairs, at a rate of its own."""

    name = "preference"
    learns_from_pairs = True

    def train(self, task: TrainingTask, tell: Callable[[CurvePoint, int], None]) -> Adapter:
        """Train an adapter; the second pass ends early where prose that nothing was trained on moves too far.

        Raises:
            StudyError: If there is nothing to teach, or the loss is no longer a number.
        """
        from ...engine.study.objectives import preferring, settling, teaching
        from ...engine.study.training import run_passes

        return run_passes(task, [teaching(task), preferring(task), settling(task)], tell)
