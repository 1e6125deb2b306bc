"""What a study works with: the base cut in two, and where it says how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ...schemas.errors import PluginError
from ...schemas.records import CurvePoint
from ..base.cut import Tail, Trunk, split
from ..base.library import LoadedBase, load
from ..base.provider import Provider
from ..base.supply import ProviderKind
from ..host.plugins import PluginHost
from .job import Progress, StudyJob

Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class Room:
    """The base, cut for studying: a trunk to write replies with, a provider of states, a tail that changes voice."""

    base: LoadedBase
    provider: Provider
    trunk: Trunk
    tail: Tail
    cut: int
    system: str

    @staticmethod
    def open(job: StudyJob, plugins: PluginHost) -> Room:
        """Load the base of a job and cut it.

        Raises:
            ModelError: If it cannot be used.
            PluginError: If nobody supplies states.
        """
        kinds: list[ProviderKind] = plugins.collect("nightschool_providers")
        local = next((kind for kind in kinds if kind.name == "local"), None)
        if local is None:
            raise PluginError("No plugin supplies the local provider; install Night School again.")
        base = load(job.base)
        trunk, tail = split(base.model, job.cut)
        return Room(base, local.open(base), trunk, tail, job.cut, job.system)


class Stage:
    """A stretch of a study's progress, from one share of the whole to another; counts the time left within it."""

    def __init__(self, tell: Tell, name: str, first: float, last: float) -> None:
        self._tell, self._name, self._first, self._last = tell, name, first, last
        self._began = time.monotonic()

    def at(self, share: float) -> None:
        """Say that ``share`` of this stage is done."""
        self._tell(Progress(stage=self._name, fraction=self._whole(share)))

    def step(self, point: CurvePoint, steps: int) -> None:
        """Say that an optimizer step is done."""
        spent = time.monotonic() - self._began
        self._tell(
            Progress(
                stage=self._name,
                fraction=self._whole(point.step / steps),
                step=point.step,
                steps=steps,
                loss=point.loss,
                kl=point.kl,
                seconds_left=spent / point.step * (steps - point.step),
            )
        )

    def _whole(self, share: float) -> float:
        return self._first + (self._last - self._first) * min(max(share, 0.0), 1.0)
