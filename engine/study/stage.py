"""Saying how far a study is."""

from __future__ import annotations

import time
from collections.abc import Callable

from ...schemas.records import CurvePoint
from .job import Progress

Tell = Callable[[Progress], None]


class Stage:
    """A stretch of a study's progress, from one share of the whole to another; counts the time left within it."""

    def __init__(self, tell: Tell, name: str, first: float, last: float) -> None:
        self._tell, self._name, self._first, self._last = tell, name, first, last
        self._began = time.monotonic()

    def at(self, share: float) -> None:
        """Say that ``share`` of this stage is done."""
        self._tell(Progress(stage=self._name, fraction=self._whole(share)))

    def step(self, point: CurvePoint, steps: int, before: int = 0) -> None:
        """Say that an optimizer step is done; ``before`` of ``steps`` were done in an earlier stretch."""
        now = time.monotonic()
        spent = now - self._began
        done, wanted = point.step - before, steps - before
        self._tell(
            Progress(
                stage=self._name,
                fraction=self._whole(done / wanted),
                step=point.step,
                steps=steps,
                loss=point.loss,
                kl=point.kl,
                seconds_left=spent / done * (wanted - done),
            )
        )
        self._began += time.monotonic() - now  # a study may be let rest there

    def _whole(self, share: float) -> float:
        return self._first + (self._last - self._first) * min(max(share, 0.0), 1.0)
