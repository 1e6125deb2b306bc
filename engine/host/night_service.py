"""Nights: every slot that has something to learn is studied, one after the other, while the machine has time.

The scheduler's own process does it where nobody else has the profile open. Where the app has it, that process leaves a
file behind, and the engine of the app begins the night when it was not spoken to for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from ...schemas.errors import NightSchoolError, StudyRunning
from ...schemas.events import NoticeEvent
from ...schemas.messages import ListNights, RunNight, StartStudy
from ...schemas.records import LessonState, Night, Study, StudyState
from ..nightly.power import on_mains
from ..settings import read_settings
from .expiry import end_expired
from .rooms import Rooms, Tell
from .study_service import StudyService

_log = logging.getLogger(__name__)

QUIET_SECONDS = 600.0
"""So long nobody may have been answered before an engine that somebody uses begins a night."""
LOOK_SECONDS = 30.0
"""Between two looks: whether a night waits, whether there is power."""
REBUILD_DAYS = 6.5
"""So long after a slot was trained anew, or first trained, it is trained anew again: a week, and no night is missed."""
ENDED = frozenset({StudyState.ACCEPTED, StudyState.REJECTED})
GOES_ON_HOURS = 24.0
"""A night that was cut off, by a crash or a reboot, is gone on with if it began no longer ago."""
POWER_HOURS = 6.0
"""So long a night waits for mains power."""


class NightService:
    """Handlers of ``night.*``."""

    def __init__(self, rooms: Rooms, studies: StudyService) -> None:
        self._rooms = rooms
        self._studies = studies
        self._running = False
        self._watching: asyncio.Task[None] | None = None

    async def run(self, request: RunNight, tell: Tell) -> Night:
        """Study every slot that has something to learn, and return what came of it.

        One in which the engine is closed, as by a reboot, is not noted as ended, so that the next engine goes on.

        Raises:
            StudyRunning: If a night or a study is under way.
        """
        if self._running or self._studies.studying:
            raise StudyRunning("A study is under way already; the night begins when it has ended: start it again then.")
        self._running = True
        try:
            return await self._night(request, tell)
        finally:
            self._running = False

    async def list_all(self, request: ListNights, tell: Tell) -> list[Night]:
        """List nights, the latest first."""
        return self._rooms.records.nights(request.limit)

    def recover(self) -> None:
        """End the record of a night that was cut off; a late one waits to go on."""
        for night in self._rooms.records.nights(limit=1):
            if night.finished is None:
                cut = [*night.notes, "It was cut off; what was not studied waits for the next night."]
                self._rooms.records.note_night(night.id, night.studies, cut, ended=True)
                if time.time() - night.started < GOES_ON_HOURS * 3600:
                    self._rooms.home.night_due.touch()

    def watch(self) -> None:
        """Begin to look, now and then, whether a night waits for this engine."""
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Begin no further night; the study service stops what runs."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    # -- one night ----------------------------------------------------------------------------------------------------

    async def _night(self, request: RunNight, tell: Tell) -> Night:
        records = self._rooms.records
        self._rooms.home.night_due.unlink(missing_ok=True)
        night = records.begin_night()
        studies: list[int] = []
        notes: list[str] = []
        end_expired(self._rooms)
        for slot, begin in self._tasks(request.least, notes, tell):
            if self._studies.closing:
                break
            if not request.on_battery and not await _power():
                notes.append("The machine ran on its battery; the lessons wait for the next night.")
                break
            self._rooms.model.wake()
            try:
                study = await begin()
            except NightSchoolError as error:
                _add(notes, f"{slot}: {error}")
                continue
            studies.append(study.id)
            notes += [f"{slot}: {study.reason}"] if study.rebuild or study.state is StudyState.CANCELLED else []
            records.note_night(night.id, studies, notes, ended=False)
            if study.state is StudyState.CANCELLED:
                break
        return records.note_night(night.id, studies, notes, ended=not self._studies.closing)

    def _tasks(self, least: int, notes: list[str], tell: Tell) -> Iterator[tuple[str, Callable[[], Awaitable[Study]]]]:
        """Give what each slot has to do: forget what has ended, learn what waits, and be trained anew once a week.

        Each is asked for when the ones before it are done. ``notes`` gets why a slot has nothing to learn.
        """
        studies, due, nothing = self._studies, self._due(least, notes), True
        for slot in self._in_use():
            for wanted, begin in (
                (lambda slot: bool(studies.ended(slot)), partial(studies.forget_ended, slot)),
                (due.__contains__, partial(studies.start, StartStudy(slot=slot), tell)),
                (
                    partial(rebuild_is_due, self._rooms),
                    partial(studies.start, StartStudy(slot=slot, rebuild=True), tell),
                ),
            ):
                try:
                    begins = wanted(slot)
                except NightSchoolError as error:  # the slots after it have their night
                    _add(notes, f"{slot}: {error}")
                    continue
                if begins:
                    nothing = False
                    yield slot, begin
        if nothing and not notes:
            notes.append("No lesson waited in any slot; there was nothing to study.")

    def _due(self, least: int, notes: list[str]) -> list[str]:
        """Return the slots with enough to learn; ``notes`` gets why others are left out."""
        due = []
        counts = {name: len(self._studies.waiting(name)) for name in self._in_use()}
        for name, count in counts.items():
            if count >= least:
                due.append(name)
            elif count:
                notes.append(f"{name}: {count} of the {least} lessons that a study is worth are there; they wait.")
        return due

    def _in_use(self) -> list[str]:
        """Return the slots that are not archived."""
        return [slot.name for slot in self._rooms.store.list() if slot.archived is None]

    # -- in an engine that somebody uses ------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            quiet = time.monotonic() - self._rooms.quiet_since >= QUIET_SECONDS and not self._rooms.answering
            if not (quiet and self._rooms.home.night_due.exists()) or self._running or self._studies.studying:
                continue
            try:
                night = await self.run(RunNight(), lambda event: None)
            except Exception as error:  # noqa: BLE001 (whatever breaks one night, the next one is looked for)
                _log.exception("the night could not be spent")
                self._rooms.broadcast(NoticeEvent(level="error", text=f"The night could not be spent: {error}"))
            else:
                self._rooms.broadcast(NoticeEvent(level="info", text=summary(night)))


def rebuild_is_due(rooms: Rooms, slot: str) -> bool:
    """Whether a slot learned night after night for a week, so that it is time to train it anew from all its lessons."""
    if not read_settings(rooms.home).weekly_rebuild:
        return False
    if rooms.store.current(slot).adapter_sha256 is None or len(rooms.records.lessons(slot, [LessonState.LEARNED])) < 2:
        return False
    done = [study for study in rooms.records.studies(slot) if study.state in ENDED and study.report is not None]
    rebuilds = [study for study in done if study.rebuild]
    learned = [study for study in done if study.state is StudyState.ACCEPTED and not study.rebuild]
    if not learned:
        return False
    since = rebuilds[0].started if rebuilds else learned[-1].started
    return time.time() - since >= REBUILD_DAYS * 86400 and any(study.started > since for study in learned)


def summary(night: Night) -> str:
    """Return one sentence about a night."""
    count = len(night.studies)
    made = f"Studied {count} {'slot' if count == 1 else 'slots'} tonight." if count else "Nothing was studied tonight."
    return " ".join([made, *night.notes])


def _add(notes: list[str], note: str) -> None:
    """Note what is not noted yet: what is wrong with a slot is found by each thing that it has to do."""
    if note not in notes:
        notes.append(note)


async def _power() -> bool:
    """Wait for mains power; False if it did not come."""
    deadline = time.monotonic() + POWER_HOURS * 3600
    while not on_mains():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True
