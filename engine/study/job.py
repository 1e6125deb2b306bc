"""What goes into a study and what comes out: plain records, so that a study can run in a process of its own."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ...schemas.records import Lesson, Record, StudyReport, StudyState
from ..base.device import CPU
from ..base.numbers import Numbers


class StudyJob(Record):
    """Everything a study needs.

    Attributes:
        study: Its number.
        slot: The slot that learns.
        folder: Its own folder, for the candidate and the log; made if missing.
        base: The prepared folder of the base.
        cut: Blocks in the tail.
        numbers: What the base is computed in; dense, for it is differentiated.
        device: Where it computes, as torch names it.
        lessons: To learn now.
        known: Learned before; they shall stay.
        forgotten: Learned before, and to be forgotten: the slot is trained anew, from nothing, on ``known`` alone.
        rebuild: The slot is trained anew on ``known``, and what comes out counts only if it is better than it was.
        adapter: Folder of the current version's adapter; None: the plain base.
        system: The slot's system prompt.
        cache: Where the base's replies and the states of the probe data are kept; None: nowhere.
    """

    study: int
    slot: str
    folder: Path
    base: Path
    cut: int
    numbers: Numbers = Numbers.FP32
    device: str = CPU
    lessons: list[Lesson]
    known: list[Lesson] = Field(default_factory=list)
    forgotten: list[Lesson] = Field(default_factory=list)
    rebuild: bool = False
    adapter: Path | None = None
    system: str = ""
    cache: Path | None = None

    @property
    def anew(self) -> bool:
        """Whether training begins from nothing instead of from the current adapter."""
        return self.rebuild or bool(self.forgotten)


class Progress(Record):
    """Where a study is; ``fraction`` is of the whole study, loss and kl as in ``CurvePoint``."""

    stage: str
    fraction: float = Field(ge=0.0, le=1.0)
    step: int = 0
    steps: int = 0
    loss: float | None = None
    kl: float | None = None
    seconds_left: float | None = None


class StudyResult(Record):
    """How a study ended. ``candidate`` is the folder of a PEFT adapter, for an accepted one only."""

    state: StudyState
    candidate: Path | None = None
    report: StudyReport | None = None
    reason: str = ""
