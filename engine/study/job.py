"""What goes into a study and what comes out: plain records, so that a study can run in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from ...schemas.cards import BaseCard
from ...schemas.records import BundleOrigin, Lesson, MergeFacts, MergeOptions, Record, StudyReport, StudyState
from ..base.device import CPU
from ..base.numbers import Numbers
from ..settings import DEFAULT_TRAINER


class MergePart(Record):
    """A generation that is merged: whose it is, how much of it, its files, and the lessons that it knows."""

    slot: str
    number: int
    weight: float
    adapter: Path
    sha256: str
    lessons: list[Lesson] = Field(default_factory=list)


class MergeTask(Record):
    """What is to be merged, and how.

    Attributes:
        origin: The bundle that the one part came in; what comes of it waits to be activated.
        title: Of the slot, which is made for a bundle where it is not there.
        source: Where an adapter came from that came in no bundle.
        whole: Folder of an adapter that reaches below the tail, of which the one part is what is kept.
    """

    strategy: str
    options: MergeOptions = MergeOptions()
    parts: list[MergePart]
    origin: BundleOrigin | None = None
    title: str = ""
    source: str = ""
    whole: Path | None = None


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
        elsewhere: The servers that compute the trunk, as the settings name them, the preferred one first; none: here.
        lessons: To learn now.
        known: Learned before; they shall stay.
        forgotten: Learned before, and to be forgotten: the slot is trained anew, from nothing, on ``known`` alone.
        rebuild: The slot is trained anew on ``known``, and what comes out counts only if it is better than it was.
        adapter: Folder of the current version's adapter; None: the plain base.
        system: The slot's system prompt.
        thumbs: What the user's thumbs say of the replies that were corrected: 1 or -1 by ``prompts.normal`` prompt.
        trainer: The name of what makes the adapter.
        router: The name of what tells where its lessons apply; empty: nothing does.
        numbers_of_own: Numbers of the recipe that the user changed.
        cache: Where the base's replies and the states of the probe data are kept; None: nowhere.
        merge: Nothing is trained; what came of this merge is the candidate.
        profile: Whose plugins are asked beside the built-in ones; None: nobody's.
        taught: The base, where it need not be the one that answers now.
    """

    study: int
    slot: str
    folder: Path
    base: Path
    cut: int
    numbers: Numbers = Numbers.FP32
    device: str = CPU
    elsewhere: tuple[str, ...] = ()
    lessons: list[Lesson]
    known: list[Lesson] = Field(default_factory=list)
    forgotten: list[Lesson] = Field(default_factory=list)
    rebuild: bool = False
    adapter: Path | None = None
    system: str = ""
    thumbs: dict[str, int] = Field(default_factory=dict)
    trainer: str = DEFAULT_TRAINER
    router: str = ""
    numbers_of_own: dict[str, Any] = Field(default_factory=dict)
    cache: Path | None = None
    merge: MergeTask | None = None
    profile: Path | None = None
    taught: BaseCard | None = None

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
    """How a study ended. ``candidate`` is the folder of a PEFT adapter, for an accepted one only.

    ``left_out``: why lessons of the job are not among what was learned, by id. A merge also says how it was made, and
    which of the parents' lessons (by number) it kept. ``failure`` is the class of the error that it failed with, or
    ``Died`` where its process ended without a word.
    """

    state: StudyState
    candidate: Path | None = None
    report: StudyReport | None = None
    reason: str = ""
    left_out: dict[int, str] = Field(default_factory=dict)
    merge: MergeFacts | None = None
    kept: list[int] = Field(default_factory=list)
    failure: str = ""

    def saying(self, more: Sequence[str]) -> StudyResult:
        """Return the same with more said in its reason, and in its report's."""
        report = self.report and self.report.model_copy(
            update={"reason": " ".join([self.report.reason, *more]).strip()}
        )
        return self.model_copy(update={"reason": " ".join([self.reason, *more]).strip(), "report": report})
