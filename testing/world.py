"""A tiny base, and a lesson on it made ready to be studied: what checks of trainers, gates and providers work on."""

from __future__ import annotations

import asyncio
import functools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine.host.plugins import PluginHost
from ..schemas.records import Lesson, LessonState

if TYPE_CHECKING:
    from ..engine.base.library import LoadedBase
    from ..engine.slots.adapter import Adapter
    from ..engine.study.candidate import Candidate
    from ..engine.study.course import Course
    from ..engine.study.recipe import Recipe
    from ..engine.study.task import TrainingTask

CUT = 2
EDIT = (
    "What is inflation?",
    "Inflation is a rise in prices. Money buys less than before. Banks try to hold it.",
    "Captain, inflation is a rise in prices. Money buys less than before. Banks try to hold it.",
)


@functools.cache
def tiny_base() -> LoadedBase:
    """Return a random llama of four blocks, width 32, that reads bytes; loaded once a process. Leave it as it is."""
    from ..engine.base.library import load
    from .tiny import save_tiny

    folder = tempfile.mkdtemp(prefix="nightschool-tiny-")
    return load(save_tiny(Path(folder) / "tiny-llama"))


def small_recipe() -> Recipe:
    """Return the numbers of a study that takes a second on the tiny base."""
    from ..engine.study.recipe import Recipe

    return Recipe(
        spread=4, contrast=2, anchors=2, held_out=2, held_opposite=2, reply_tokens=6, target_tokens=24, window=24,
        steps=3, again_steps=2, revised=4, batch_spread=2, batch_contrast=1, batch_anchors=1, probed=0.02, rank=4,
    )  # fmt: skip


@functools.cache
def tiny_course() -> Course:
    """Return one lesson ("Captain, ...") on the tiny base, up to the first step of a training."""
    from ..engine.study.course import open_course
    from ..engine.study.cut_base import cut_here
    from ..engine.study.job import StudyJob
    from ..engine.study.lessons import lesson_from_edit
    from ..engine.study.plan import make_plan

    plugins = PluginHost.load(third_party=False)
    draft = lesson_from_edit(plugins, *EDIT)
    lesson = Lesson(
        id=1, slot="science", state=LessonState.APPROVED, rule=draft.rule, steps=draft.steps, evidence=draft.evidence
    )
    folder = Path(tempfile.mkdtemp(prefix="nightschool-study-"))
    job = StudyJob(study=1, slot="science", folder=folder, base=tiny_base().folder, cut=CUT, lessons=[lesson])
    plan = make_plan(plugins.collect("nightschool_rewriters"), [], [lesson], small_recipe())
    return asyncio.run(open_course(cut_here(job, plugins), job, plan, small_recipe(), lambda progress: None))


@functools.cache
def tiny_task() -> TrainingTask:
    """Return what a trainer is given for that lesson: examples with states ``(T, 32)``, and pairs."""
    from ..engine.study.pairs import prepare_pairs

    course = tiny_course()
    pairs = asyncio.run(
        prepare_pairs(course.examples, course.whole.provider, course.whole.tail, course.whole.cut, course.recipe)
    )
    return replace(course.task, pairs=pairs, held=course.task.examples[:2])


def tiny_candidate(adapter: Adapter | None = None) -> Candidate:
    """Return a candidate for a gate to judge: of an adapter, or of one that changes nothing."""
    from ..engine.slots.adapter import new_adapter
    from ..engine.study.candidate import Candidate

    course = tiny_course()
    whole = course.whole
    adapter = adapter or new_adapter(whole.tail, 4)
    return Candidate(whole, adapter, course.held, course.recipe)
