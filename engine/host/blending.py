"""Merges of slots: what goes into the study that tries one, and whose the lessons are that it keeps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ...schemas.errors import UsageError
from ...schemas.events import NoticeEvent
from ...schemas.messages import BlendSlots
from ...schemas.records import Lesson, LessonState, Slot, Study, VersionKind
from ..settings import read_settings
from ..slots.blend import check_weights
from .rooms import Rooms

if TYPE_CHECKING:
    from ..study.job import MergeTask
    from ..study.runner import StudyJob, StudyResult

AS_IT_IS = "exact"
"""The strategy that leaves one adapter what it is."""


async def prepare(rooms: Rooms, request: BlendSlots) -> tuple[Study, StudyJob]:
    """Return a begun study that tries a merge, and its job.

    Raises:
        NotFound: If a slot does not exist.
        UsageError: If no merge has such weights, a slot has learned nothing, or there is no such strategy.
        BaseMismatch, Damaged: If a slot's adapter cannot be used on the base that is loaded.
    """
    from ..slots.generations import is_head_adapter
    from ..study.job import MergePart, MergeTask

    into = rooms.store.slot(request.into)
    check_weights(request.weights, least=2)
    strategies = [strategy.name for strategy in rooms.plugins.collect("nightschool_merges")]
    if request.strategy not in strategies:
        raise UsageError(f"There is no merge strategy {request.strategy}; there is {', '.join(strategies)}.")
    model = await rooms.model.model()
    parts = []
    for slot, weight in request.weights.items():
        version, adapter = rooms.voice(slot, model.base.card)
        if adapter is None or version.adapter_sha256 is None:
            raise UsageError(f"Slot {slot} has learned nothing yet, so there is nothing of it to blend; leave it out.")
        if is_head_adapter(adapter):
            raise UsageError(
                f"Slot {slot} has learned in a head adapter, which can be heard beside others in one chat "
                "(`nightschool ask --blend`) and not merged with them; leave it out."
            )
        learned = rooms.records.lessons(slot, [LessonState.LEARNED])
        parts.append(
            MergePart(
                slot=slot,
                number=version.number,
                weight=weight,
                adapter=adapter,
                sha256=version.adapter_sha256,
                lessons=[lesson for lesson in reversed(learned) if lesson.steps],
            )
        )
    return await begin(rooms, into, MergeTask(strategy=request.strategy, options=request.options, parts=parts))


async def begin(rooms: Rooms, into: Slot, task: MergeTask) -> tuple[Study, StudyJob]:
    """Return a begun study of a slot that tries a merge, and its job."""
    from ..study.job import StudyJob

    model = await rooms.model.model()
    placed, numbers = await asyncio.to_thread(model.place_study, rooms.home)
    if placed.note:
        rooms.broadcast(NoticeEvent(level="warning", text=placed.note))
    study = rooms.records.add_study(into.name, [])
    job = StudyJob(
        study=study.id,
        slot=into.name,
        folder=rooms.home.studies / str(study.id),
        base=model.base.folder,
        cut=model.cut,
        numbers=numbers,
        device=placed.device.name,
        lessons=[],
        system=into.system_prompt,
        numbers_of_own=read_settings(rooms.home).study,
        cache=rooms.home.cache,
        merge=task,
        profile=rooms.home.root,
    )
    return study, job


def kind_of(job: StudyJob) -> VersionKind:
    """Return how the generation that a job makes comes to be."""
    if job.merge is None:
        return VersionKind.STUDY
    return VersionKind.MERGE if all(part.slot for part in job.merge.parts) else VersionKind.IMPORT


def taken_over(rooms: Rooms, job: StudyJob, result: StudyResult) -> list[int]:
    """Return the lessons that the merged slot knows: its own, and one of its own for each that it has of another.

    They are proposals until the generation that knows them is there; what a crash leaves of this teaches nothing.
    """
    assert job.merge is not None
    kept = set(result.kept)
    lessons = {lesson.id: lesson for part in job.merge.parts for lesson in part.lessons if lesson.id in kept}
    with rooms.records.transaction():
        return list(dict.fromkeys(own_lesson(rooms, job.slot, lesson) for lesson in lessons.values()))


def own_lesson(rooms: Rooms, slot: str, lesson: Lesson) -> int:
    """Return a slot's own lesson that says the same."""
    if lesson.slot == slot:
        return lesson.id
    for known in rooms.records.lessons(slot):
        if (known.rule, known.steps, known.when) == (lesson.rule, lesson.steps, lesson.when):
            return known.id
    return rooms.records.add_lesson(
        slot,
        lesson.rule,
        steps=lesson.steps,
        when=lesson.when,
        evidence=lesson.evidence,
        scope=lesson.scope,
        provenance=lesson.provenance,
        confidence=lesson.confidence,
        reason=f"It comes from slot {lesson.slot}.",
    ).id
