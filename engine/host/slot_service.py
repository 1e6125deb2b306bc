"""Slots and their versions; after a rollback the lessons say again what the slot really knows."""

from __future__ import annotations

import asyncio
from typing import Any

from ...schemas.errors import NightSchoolError, StudyRunning
from ...schemas.events import NoticeEvent
from ...schemas.messages import (
    CheckSlots,
    CreateSlot,
    DiffVersions,
    ForkSlot,
    ListSlots,
    ListVersions,
    Rollback,
    UpdateSlot,
)
from ...schemas.records import (
    Lesson,
    LessonState,
    Slot,
    StoreCheck,
    Study,
    StudyState,
    Version,
    VersionDiff,
    VersionKind,
)
from ..slots.check import check_store
from ..wire.named import check_named
from .blending import own_lesson
from .rooms import Rooms, Tell

UNNOTED = "It could not be noted how it ended; the lessons wait for the next study."
ROLLED_BACK = "Rolled back: approve it again to have it studied again."


class SlotService:
    """Handlers of ``slots.*`` and ``versions.*``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list_all(self, request: ListSlots, tell: Tell) -> list[Slot]:
        """List the slots, with the number of lessons that wait in each."""
        waiting = self._rooms.records.waiting()
        return [
            slot.model_copy(update={"waiting": waiting.get(slot.name, 0)})
            for slot in self._rooms.store.list(deleted=request.deleted)
            if request.archived or slot.archived is None or slot.deleted is not None
        ]

    async def create(self, request: CreateSlot, tell: Tell) -> Slot:
        """Add a slot."""
        return self._rooms.store.create(request.title, request.name, request.description, request.system_prompt)

    async def update(self, request: UpdateSlot, tell: Tell) -> Slot:
        """Change a slot's settings.

        Raises:
            ModelNotFound: If it names a base that is not on this machine.
            NotFound: If it names a provider that the settings do not describe.
        """
        if request.provider:
            check_named(self._rooms.home, [request.provider])
        self._rooms.store.update(
            request.name,
            title=request.title,
            description=request.description,
            system_prompt=request.system_prompt,
            temperature=request.temperature,
            base=request.base and self._rooms.base_named(request.base).spec,
            blend=request.blend,
            provider=request.provider,
        )
        return self._rooms.slot(request.name)

    async def fork(self, request: ForkSlot, tell: Tell) -> Slot:
        """Begin a slot where another one is now.

        Raises:
            NotFound: If there is no such slot.
            UsageError: If the title or the name cannot be a slot's.
            Damaged: If the adapter does not read back.
        """
        rooms, store = self._rooms, self._rooms.store
        parent, version = store.slot(request.slot), store.current(request.slot)
        folder = store.adapter_folder(parent.name)
        made = store.create(request.title, request.name, parent.description, parent.system_prompt)
        store.update(
            made.name,
            temperature=parent.temperature,
            base=parent.base,
            blend=parent.blend,
            provider=parent.provider,
        )
        if folder is not None:
            learned = [lesson for lesson in rooms.records.lessons(parent.name) if lesson.id in version.lessons]
            with rooms.records.transaction():
                known = [own_lesson(rooms, made.name, lesson) for lesson in reversed(learned)]
            report, kind = version.report, VersionKind.FORK
            store.add_version(
                made.name,
                folder,
                base=version.base,
                lessons=known,
                report=report,
                kind=kind,
                origins=version.origins,
            )
            settle_lessons(rooms, made.name)
        return rooms.slot(made.name)

    async def diff(self, request: DiffVersions, tell: Tell) -> VersionDiff:
        """Compare two generations.

        Raises:
            NotFound: If the slot or a generation does not exist.
            Damaged: If an adapter does not read back.
        """
        store = self._rooms.store
        one, other = (store.version(request.slot, number) for number in (request.one, request.other))
        folders = store.adapter_folder(request.slot, one.number), store.adapter_folder(request.slot, other.number)
        rules = {lesson.id: lesson.rule for lesson in self._rooms.records.lessons(request.slot)}

        def compare() -> VersionDiff:
            from ..slots.diff import diff_versions  # with torch

            return diff_versions(one, other, rules, adapters=folders)

        return await asyncio.to_thread(compare)

    async def check(self, request: CheckSlots, tell: Tell) -> StoreCheck:
        """Look at every file of every generation, while everything else goes on."""
        return await asyncio.to_thread(check_store, self._rooms.store)

    async def versions(self, request: ListVersions, tell: Tell) -> list[Version]:
        """List the generations of a slot, the newest first."""
        return self._rooms.store.versions(request.slot)

    async def rollback(self, request: Rollback, tell: Tell) -> Version:
        """Make a new generation that equals an old one, and put the lessons in step with it.

        Raises:
            StudyRunning: If the slot is being studied.
        """
        if any(study.slot == request.slot for study in self._rooms.records.running_studies()):
            raise StudyRunning(f"Slot {request.slot} is being studied; wait for the study to end or cancel it first.")
        version = self._rooms.store.rollback(request.slot, request.to)
        gone, back = settle_lessons(self._rooms, request.slot)
        text = f"Slot {request.slot} is at generation {version.restores} again"
        changes = [f"{gone} learned {_lessons(gone)} to approve again"] if gone else []
        changes += [f"{back} {_lessons(back)} known again"] if back else []
        text = f"{text}: {', '.join(changes)}." if changes else f"{text}."
        self._rooms.broadcast(NoticeEvent(level="info", text=text))
        return version


def ensure_slot(rooms: Rooms, name: str, title: str, system_prompt: str) -> None:
    """Make a slot where there is none of this name.

    Raises:
        UsageError: If no slot can be called so.
    """
    if all(slot.name != name for slot in rooms.store.list()):
        rooms.store.create(title or name, name, system_prompt=system_prompt)


def settle_lessons(rooms: Rooms, slot: str, *, elsewhere: bool = False) -> tuple[int, int]:
    """Put the lessons of a slot in step with its current generation; return how many it lost and gained.

    The generations on the disk are what counts: they survive a crash between them and the database. What it lost by
    going back is to be approved again; what it knows ``elsewhere``, on another base, waits to be learned on this one.
    """
    records = rooms.records
    lost: dict[str, Any] = {"state": LessonState.PROPOSED, "reason": ROLLED_BACK}
    if elsewhere:
        lost = {"state": LessonState.APPROVED, "reason": ""}
    gone = back = 0
    with records.transaction():
        lessons = {lesson.id: lesson for lesson in records.lessons(slot)}
        known = {_counting(lessons, number) for number in rooms.store.current(slot).lessons}
        for lesson in lessons.values():
            if lesson.state is LessonState.LEARNED and lesson.id not in known:
                records.update_lesson(lesson.id, version=None, **lost)
                gone += 1
            elif lesson.id in known and lesson.state is not LessonState.LEARNED:
                first = _first_that_knows(rooms, slot, lesson.id)
                records.update_lesson(lesson.id, state=LessonState.LEARNED, version=first, reason="")
                back += 1
    return gone, back


def _counting(lessons: dict[int, Lesson], number: int) -> int:
    """Return the lesson that counts in the place of one: itself, or the one that it was merged into."""
    seen = {number}
    while number in lessons and (following := lessons[number].merged) is not None and following not in seen:
        number = following
        seen.add(number)
    return number


def settle_after_crash(rooms: Rooms) -> None:
    """Bring the database in step with the slots after an engine that stopped in the middle of something.

    A slot whose files do not read back is told of and left as it is; the others, and a way to roll it back, stay.
    """
    settle_studies(rooms, "The engine stopped during it; study again, and it goes on from its last steps.")
    for text in rooms.store.damaged().values():
        rooms.broadcast(NoticeEvent(level="error", text=text))
    for slot in rooms.store.list():
        try:
            settle_lessons(rooms, slot.name)
        except NightSchoolError as error:
            rooms.broadcast(NoticeEvent(level="error", text=str(error)))


def settle_studies(rooms: Rooms, reason: str) -> None:
    """Note how the studies ended that were cut off before that was noted: a version may be on the disk already.

    Args:
        rooms: In which no study is under way.
        reason: Why one that left no version failed.

    Raises:
        StorageError: If it cannot be noted.
    """
    for study in rooms.records.running_studies():
        try:
            _settle_study(rooms, study, reason)
        except NightSchoolError as error:
            rooms.records.finish_study(study.id, StudyState.FAILED, reason=f"{reason} {error}")


def _settle_study(rooms: Rooms, study: Study, reason: str) -> None:
    for version in rooms.store.versions(study.slot):
        if version.created >= study.started and version.report and set(study.lessons) <= set(version.lessons):
            with rooms.records.transaction():
                rooms.records.finish_study(study.id, StudyState.ACCEPTED, version=version.number, report=version.report)
                settle_lessons(rooms, study.slot)
            return
    rooms.records.finish_study(study.id, StudyState.FAILED, reason=reason)


def _first_that_knows(rooms: Rooms, slot: str, lesson: int) -> int | None:
    return min((v.number for v in rooms.store.versions(slot) if lesson in v.lessons), default=None)


def _lessons(number: int) -> str:
    return "lesson" if number == 1 else "lessons"
