"""Studies: one at a time, in a process of its own; what it made becomes a version, or the reason is kept."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...schemas.errors import NightSchoolError, NothingToLearn, StudyRunning, TailOnly, UsageError
from ...schemas.events import NoticeEvent, StudyEndedEvent, StudyEvent
from ...schemas.messages import (
    BlendSlots,
    CancelStudy,
    ForgetLesson,
    ImportAdapter,
    ListStudies,
    StartStudy,
    TeachSlot,
)
from ...schemas.records import BundleOrigin, Lesson, LessonState, Slot, Study, StudyState, Version, VersionKind
from ..settings import read_settings
from . import blending, relearning
from .elsewhere import learns_in_head
from .expiry import end_expired, has_ended, until
from .portability_service import begin_brought, prepare_import
from .rooms import Rooms, Tell
from .slot_service import UNNOTED, ensure_slot, settle_lessons, settle_studies
from .sparing import run_spared
from .thumbs import thumbs_of

if TYPE_CHECKING:
    from ..study.runner import Progress, StudyJob, StudyResult

_log = logging.getLogger(__name__)

_STOPPED = "You stopped it; the lessons wait for the next study."
_CLOSED = "Night School was closed during it; the lessons wait for the next study."


class StudyService:
    """Handlers of ``study.*``, and of ``lessons.forget`` and ``slots.blend``, which are studies too."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._running: asyncio.Task[StudyResult] | None = None
        self._whole: asyncio.Task[Study] | None = None
        self._closing = False

    async def start(self, request: StartStudy, tell: Tell) -> Study:
        """Study the approved lessons of a slot and return how it ended.

        Raises:
            StudyRunning: If one is under way.
            NothingToLearn: If no approved lesson waits, or nothing was learned that could be trained anew.
            PluginError: If no plugin supplies the trainer.
            BaseMismatch: If the slot learned on another base.
            DeviceFull: If it has no room beside the chat, on the device that the settings name.
        """
        prepare = self._prepare_rebuild if request.rebuild else self._prepare
        return await self._begin(lambda: prepare(request.slot, request.trainer))

    async def forget(self, request: ForgetLesson, tell: Tell) -> Study:
        """Train the slot anew without a learned lesson and return how it ended.

        Raises:
            UsageError: If the lesson is not learned.
            StudyRunning: If a study is under way.
            BaseMismatch: If the slot learned on another base.
        """
        lesson = self._rooms.records.lesson(request.lesson)
        if lesson.state is not LessonState.LEARNED:
            raise UsageError("This lesson is not learned, so there is nothing to forget; dismiss it instead.")
        return await self._forget([lesson])

    async def forget_ended(self, slot: str) -> Study:
        """Train the slot anew without the lessons whose time has come and return how it ended.

        Raises:
            As ``forget``.
        """
        return await self._forget(self.ended(slot))

    async def blend(self, request: BlendSlots, tell: Tell) -> Study:
        """Merge slots into a new generation of one, and return how it ended.

        Raises:
            UsageError: If there are fewer than two, one of them has learned nothing, or there is no such strategy.
            StudyRunning: If a study is under way.
            BaseMismatch: If one of them learned on another base.
        """
        return await self._begin(lambda: blending.prepare(self._rooms, request))

    async def bring(self, request: ImportAdapter, tell: Tell) -> Study:
        """Try an adapter of somebody else as a new generation of a slot, and return how it ended.

        Raises:
            NotFound, UsageError, BaseMismatch: If it cannot be used here.
            StudyRunning: If a study is under way.
        """
        return await self._begin(lambda: prepare_import(self._rooms, request))

    async def teach(self, request: TeachSlot, tell: Tell) -> Study:
        """Learn all that a slot knows on another base, and return how it ended.

        Raises:
            NotFound, ModelNotFound, ModelDamaged, TailOnly: If slot or base cannot be used.
            UsageError: If it has learned there already.
            NothingToLearn: If it has no lessons.
            StudyRunning: If a study is under way.
        """
        self._rooms.store.slot(request.slot)
        end_expired(self._rooms)
        lessons = [*self.learned(request.slot), *self.waiting(request.slot)]
        lessons.sort(key=lambda lesson: (lesson.created, lesson.id))
        return await self._begin(lambda: relearning.prepare(self._rooms, request, lessons))

    async def try_bundle(self, into: Slot, folder: Path, origin: BundleOrigin) -> Study:
        """Try an adapter that came in a bundle, as a generation that is only kept, and return how it ended.

        Raises:
            As ``bring``.
        """
        return await self._begin(lambda: begin_brought(self._rooms, into, folder, origin))

    async def cancel(self, request: CancelStudy, tell: Tell) -> bool:
        """Stop the running study; returns when it has ended."""
        if self._running is None or self._whole is None or self._running.done():
            return False
        self._running.cancel()
        await asyncio.wait({self._whole})
        return True

    async def list_all(self, request: ListStudies, tell: Tell) -> list[Study]:
        """List studies, the latest first."""
        hidden = self._rooms.hidden()
        return [study for study in self._rooms.records.studies(request.slot) if study.slot not in hidden]

    @property
    def studying(self) -> bool:
        """Whether a study is under way."""
        return self._rooms.studying

    @property
    def closing(self) -> bool:
        """Whether no further study begins, since the engine ends."""
        return self._closing

    def waiting(self, slot: str) -> list[Lesson]:
        """Return the lessons that can be studied, the oldest first."""
        approved = [lesson for lesson in self._rooms.records.lessons(slot, [LessonState.APPROVED]) if lesson.steps]
        return sorted(approved, key=lambda lesson: (lesson.created, lesson.id))

    def learned(self, slot: str) -> list[Lesson]:
        """Return the lessons that the current generation knows, the oldest first."""
        learned = [lesson for lesson in self._rooms.records.lessons(slot, [LessonState.LEARNED]) if lesson.steps]
        return sorted(learned, key=lambda lesson: (lesson.created, lesson.id))

    def ended(self, slot: str) -> list[Lesson]:
        """Return the lessons that are learned and whose time has come."""
        return [lesson for lesson in self._rooms.records.lessons(slot, [LessonState.LEARNED]) if has_ended(lesson)]

    async def close(self) -> None:
        """Stop the running study, as the engine ends."""
        self._closing = True
        await self.cancel(CancelStudy(), lambda event: None)

    # -- one study ----------------------------------------------------------------------------------------------------

    async def _begin(self, prepare: Callable[[], Awaitable[tuple[Study, StudyJob]]]) -> Study:
        if self.studying or self._closing:
            raise StudyRunning("A study is under way already; wait for its end or cancel it.")
        settle_studies(self._rooms, UNNOTED)
        self._rooms.studying = True
        try:
            study, job = await prepare()
        except BaseException as error:
            self._rooms.studying = False
            with suppress(NightSchoolError):  # it is noted before the next one then
                settle_studies(self._rooms, str(error) or _STOPPED)
            raise
        self._running = asyncio.create_task(self._run(job))
        self._whole = asyncio.create_task(self._work(study, job, self._running))
        return await asyncio.shield(self._whole)

    async def _prepare(self, name: str, trainer: str) -> tuple[Study, StudyJob]:
        self._rooms.store.slot(name)
        end_expired(self._rooms)
        if not self.waiting(name):
            raise NothingToLearn(f"No approved lesson waits in slot {name}; correct a reply or approve a lesson first.")
        await self._rooms.model.model()  # lessons may come while it wakes
        return await self._job(name, self.waiting(name), self.learned(name), trainer=trainer)

    async def _prepare_rebuild(self, name: str, trainer: str) -> tuple[Study, StudyJob]:
        self._rooms.store.slot(name)
        await self._rooms.model.model()
        if not self.learned(name):
            raise NothingToLearn(f"Slot {name} has learned nothing that it could be trained anew from; study first.")
        return await self._job(name, [], self.learned(name), trainer=trainer, rebuild=True)

    async def _forget(self, lessons: list[Lesson]) -> Study:
        gone = {lesson.id for lesson in lessons}
        rest = [row for row in self.learned(lessons[0].slot) if row.id not in gone]
        if not rest:
            return self._forget_all(lessons)
        return await self._begin(lambda: self._job(lessons[0].slot, [], rest, lessons))

    async def _job(
        self,
        name: str,
        lessons: list[Lesson],
        known: list[Lesson],
        forgotten: Sequence[Lesson] = (),
        *,
        trainer: str = "",
        rebuild: bool = False,
    ) -> tuple[Study, StudyJob]:
        from ..study.runner import StudyJob

        rooms = self._rooms
        settings = read_settings(rooms.home)
        trainer = trainer or settings.trainer
        # What is missing is told before anything begins.
        rooms.plugins.named("nightschool_trainers", trainer)
        if settings.router:
            rooms.plugins.named("nightschool_routers", settings.router)
        model = await rooms.model.model()
        _, adapter = rooms.voice(name, model.base.card)
        is_head = learns_in_head(rooms.store.slot(name), adapter, settings)
        if model.base.upper is not None and (is_head or not settings.study_provider):
            raise TailOnly(
                f"Only the last {model.base.upper} blocks of {model.base.card.name} are here; let studies compute the "
                "rest at a server (`nightschool providers use NAME --studies`), which sees what they learn from, or "
                "fetch the whole model."
            )
        placed, numbers = await asyncio.to_thread(model.place_study, rooms.home)
        if placed.note:
            rooms.broadcast(NoticeEvent(level="warning", text=placed.note))
        study = rooms.records.add_study(name, [lesson.id for lesson in (lessons or known)], rebuild=rebuild)
        job = StudyJob(
            study=study.id,
            slot=name,
            folder=rooms.home.studies / str(study.id),
            base=model.base.folder,
            cut=0 if is_head else model.cut,
            numbers=numbers,
            device=placed.device.name,
            elsewhere=() if is_head else settings.study_provider,
            lessons=lessons,
            known=known,
            forgotten=list(forgotten),
            rebuild=rebuild,
            adapter=adapter,
            system=rooms.store.slot(name).system_prompt,
            thumbs=thumbs_of(rooms.records, [*lessons, *known]),
            trainer=trainer,
            router=settings.router,
            numbers_of_own=settings.study,
            cache=rooms.home.cache,
            profile=rooms.home.root,
        )
        return study, job

    def _forget_all(self, lessons: list[Lesson]) -> Study:
        """Put the slot back to the plain base, which never knew its only lessons."""
        if self.studying:
            raise StudyRunning("A study is under way already; wait for its end or cancel it.")
        rooms, records = self._rooms, self._rooms.records
        slot = lessons[0].slot
        version = rooms.store.rollback(slot, 0)
        with records.transaction():
            study = records.add_study(slot, [lesson.id for lesson in lessons])
            settle_lessons(rooms, slot)
            for lesson in lessons:
                self._dismiss(lesson, version)
            reason = "It was all that the slot had learned; the plain base answers again."
            ended = records.finish_study(study.id, StudyState.ACCEPTED, version=version.number, reason=reason)
        self._rooms.broadcast(StudyEndedEvent(study=ended))
        return ended

    def _dismiss(self, lesson: Lesson, version: Version) -> None:
        why = f"It was meant {until(lesson)}, and is forgotten" if has_ended(lesson) else "Forgotten"
        reason = f"{why} with generation {version.number}; the ones before it still know it."
        self._rooms.records.update_lesson(lesson.id, state=LessonState.DISMISSED, version=None, reason=reason)

    async def _run(self, job: StudyJob) -> StudyResult:
        from ..study.runner import StudyResult

        def tell(progress: Progress) -> None:
            self._rooms.broadcast(
                StudyEvent(
                    study=job.study,
                    slot=job.slot,
                    stage=progress.stage,
                    fraction=min(1.0, max(0.0, progress.fraction)),
                    step=progress.step,
                    steps=progress.steps,
                    loss=progress.loss,
                    kl=progress.kl,
                    seconds_left=progress.seconds_left,
                )
            )

        try:
            return await run_spared(job, tell, self._rooms)
        except Exception as error:  # noqa: BLE001 (a study that breaks in any way is one that failed; the chat goes on)
            _log.exception("study %d failed", job.study)
            reason = str(error) if isinstance(error, NightSchoolError) else f"It broke ({error}); the log says more."
            return StudyResult(state=StudyState.FAILED, candidate=None, report=None, reason=reason)

    async def _work(self, study: Study, job: StudyJob, running: asyncio.Task[StudyResult]) -> Study:
        """Wait for the study and note how it ended, whoever still listens."""
        await asyncio.wait({running})
        try:
            if running.cancelled():
                reason = _CLOSED if self._closing else _STOPPED
                ended = self._rooms.records.finish_study(study.id, StudyState.CANCELLED, reason=reason)
            else:
                ended = self._finish(study, job, running.result())
        except NightSchoolError as error:
            settle_studies(self._rooms, str(error))
            ended = self._rooms.records.study(study.id)
        finally:
            self._rooms.studying, self._running = False, None
        self._rooms.broadcast(StudyEndedEvent(study=ended))
        return ended

    def _finish(self, study: Study, job: StudyJob, result: StudyResult) -> Study:
        records, report = self._rooms.records, result.report
        if result.state is StudyState.ACCEPTED and result.candidate is not None:
            return self._accept(study, job, result)
        with records.transaction():
            if result.state is StudyState.REJECTED and job.taught is None:
                self._turn_away(job.lessons, result)
            state = StudyState.FAILED if result.state is StudyState.ACCEPTED else result.state
            return records.finish_study(study.id, state, report=report, reason=result.reason)

    def _turn_away(self, lessons: Sequence[Lesson], result: StudyResult) -> None:
        """Note why lessons were not learned; those that were taken back meanwhile stay as they are."""
        records = self._rooms.records
        for lesson in lessons:
            if records.lesson(lesson.id).state is LessonState.APPROVED:
                reason = result.left_out.get(lesson.id, result.reason)
                records.update_lesson(lesson.id, state=LessonState.REJECTED, reason=reason)

    def _accept(self, study: Study, job: StudyJob, result: StudyResult) -> Study:
        """Make the candidate the slot's version first, then note it: what is on the disk counts after a crash."""
        rooms, records, report = self._rooms, self._rooms.records, result.report
        kind = blending.kind_of(job)
        if report is not None and job.taught is not None and not self._answers_here(job):
            report = report.model_copy(update={"base": job.taught.name})
        if job.merge is None:
            known = [lesson.id for lesson in (*job.known, *job.lessons) if lesson.id not in result.left_out]
        else:
            known = blending.taken_over(rooms, job, result)
        origin = job.merge.origin if job.merge is not None else None
        try:
            base = job.taught or rooms.status().base
            assert base is not None
            if origin is not None:
                ensure_slot(rooms, job.slot, job.merge.title if job.merge else "", job.system)
            version = rooms.store.add_version(
                job.slot,
                result.candidate,
                base=base.fingerprint,
                lessons=known,
                report=report,
                kind=kind,
                merge=result.merge if kind is VersionKind.MERGE else None,
                origins=[origin] if origin else () if job.anew or kind is VersionKind.IMPORT else None,
                source=job.merge.source if job.merge is not None else "",
                activate=origin is None and self._answers_here(job),
            )
        except NightSchoolError as error:
            return records.finish_study(study.id, StudyState.FAILED, report=result.report, reason=str(error))
        with records.transaction():
            settle_lessons(rooms, job.slot)
            self._turn_away([lesson for lesson in job.lessons if lesson.id in result.left_out], result)
            for lesson in job.forgotten:
                self._dismiss(lesson, version)
            ended = records.finish_study(
                study.id, StudyState.ACCEPTED, version=version.number, report=report, reason=result.reason
            )
        if result.candidate is not None:
            shutil.rmtree(result.candidate, ignore_errors=True)  # the version holds a copy of its own
        return ended

    def _answers_here(self, job: StudyJob) -> bool:
        """Whether what a study made answers from now on: its base is loaded, or is the one that the slot answers on."""
        if job.taught is None:
            return True
        loaded, current = self._rooms.status().base, self._rooms.store.current(job.slot)
        answers = current.adapter_sha256 is not None and current.base == job.taught.fingerprint
        return answers or (loaded is not None and loaded.fingerprint == job.taught.fingerprint)
