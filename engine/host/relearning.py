"""A slot on another base: what it knows is learned again there from its lessons, which outlive every weight."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...schemas.errors import ModelDamaged, NightSchoolError, NothingToLearn, TailOnly, UsageError
from ...schemas.events import NoticeEvent
from ...schemas.messages import TeachSlot
from ...schemas.records import Lesson, Study
from ..base.device import Placement, place
from ..base.installed import Installed
from ..base.memory import studying_on_a_device
from ..base.numbers import Numbers
from ..base.size import cut_of
from ..files import storage_errors
from ..paths import Home
from ..settings import read_settings
from ..slots.bases import turn
from ..slots.generations import CONFIG
from .rooms import Rooms
from .slot_service import settle_lessons
from .thumbs import thumbs_of

if TYPE_CHECKING:
    from ..study.runner import StudyJob


async def prepare(rooms: Rooms, request: TeachSlot, lessons: Sequence[Lesson]) -> tuple[Study, StudyJob]:
    """Return a begun study of all that a slot knows, on another base, and its job. No base need be loaded.

    Args:
        rooms: Of the profile.
        request: Which slot and which base.
        lessons: All that it knows and that wait, the oldest first.

    Raises:
        NotFound: If there is no such slot.
        ModelNotFound, ModelDamaged: If the base is not here, or not whole.
        NothingToLearn: If there is no lesson.
        UsageError: If it has learned there already.
        TailOnly: If the base's lower blocks are neither here nor at a server that studies may use.
    """
    from ..study.runner import StudyJob

    slot, found = rooms.store.slot(request.slot), rooms.base_named(request.base)
    if found.card is None:
        raise ModelDamaged(found.trouble or f"{request.base} does not say what it is; fetch it again.")
    settings = read_settings(rooms.home)
    cut = cut_of(found.card.layers, found.upper, settings.cut)
    _refuse_known(rooms, slot.name, found, cut)
    if not lessons:
        raise NothingToLearn(f"Slot {slot.name} has no lesson that {found.card.name} could be taught; correct a reply.")
    if found.upper is not None and not settings.study_provider:
        raise TailOnly(
            f"Only the last {found.upper} blocks of {found.card.name} are here; let studies compute the rest at a "
            "server (`nightschool providers use NAME --studies`), or fetch the whole model."
        )
    rooms.plugins.named("nightschool_trainers", settings.trainer)
    placed, numbers = await asyncio.to_thread(_placed, rooms.home, found)
    if placed.note:
        rooms.broadcast(NoticeEvent(level="warning", text=placed.note))
    study = rooms.records.add_study(slot.name, [lesson.id for lesson in lessons])
    job = StudyJob(
        study=study.id,
        slot=slot.name,
        folder=rooms.home.studies / str(study.id),
        base=found.folder,
        cut=cut,
        numbers=numbers,
        device=placed.device.name,
        elsewhere=settings.study_provider if found.upper is not None else (),
        lessons=list(lessons),
        system=slot.system_prompt,
        thumbs=thumbs_of(rooms.records, lessons),
        trainer=settings.trainer,
        router=settings.router,
        numbers_of_own=settings.study,
        cache=rooms.home.cache,
        profile=rooms.home.root,
        taught=found.card,
    )
    return study, job


def turn_slots(rooms: Rooms, base: str) -> None:
    """Let in each slot the generation answer that was made for the base that is loaded now."""
    for slot in rooms.store.list():
        try:
            if turn(rooms.store, slot.name, base) is not None:
                settle_lessons(rooms, slot.name, elsewhere=True)
        except NightSchoolError as error:
            rooms.broadcast(NoticeEvent(level="error", text=str(error)))


def _refuse_known(rooms: Rooms, slot: str, found: Installed, cut: int) -> None:
    """Refuse to teach a slot where it has learned already, unless what it learned reaches below the tail there.

    Raises:
        UsageError: Then.
    """
    version = rooms.store.current(slot)
    folder = rooms.store.adapter_folder(slot)
    assert found.card is not None
    if folder is None or version.base != found.card.fingerprint:
        return
    if lowest_block(folder) >= found.card.layers - cut:
        raise UsageError(
            f"Slot {slot} has learned on {found.card.name} already; `nightschool study --slot {slot} --rebuild` trains "
            "it anew there."
        )


def lowest_block(adapter: Path) -> int:
    """Return the first block that an adapter of ours changes."""
    with storage_errors(adapter):
        return min(map(int, json.loads((adapter / CONFIG).read_bytes())["layers_to_transform"]), default=0)


def _placed(home: Home, found: Installed) -> tuple[Placement, Numbers]:
    """Return where a study of a base computes, and in which numbers."""
    from ..base.speed import find_speed

    assert found.card is not None
    needed = studying_on_a_device(*found.sizes())
    placement = place(read_settings(home).device, needed, f"A study of {found.card.name}")
    return placement, find_speed(home.models, placement.device).many
