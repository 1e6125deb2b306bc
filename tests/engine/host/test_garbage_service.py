"""Pins, and what is removed because nothing needs it."""

from __future__ import annotations

import asyncio
import time

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import NotFound, StudyRunning
from nightschool.schemas.records import StudyState

from .test_slot_life_service import RULE, full_slot


def write(folder, size):
    folder.mkdir(parents=True)
    (folder / "job.json").write_bytes(b"x" * size)


async def test_generations_go_only_where_a_limit_is_set(desk, runner):
    for _ in range(4):
        desk.rooms.store.add_version("science", None, base="")
    await full_slot(desk)
    for _ in range(2):
        await full_slot(desk)
    await desk.ask(ask.PinVersion(slot="science", number=5))
    assert all(row.number is None for row in (await desk.ask(ask.CollectGarbage())).removed)
    desk.home.config.write_text("keep_generations = 1\n")
    assert [row.number for row in (await desk.ask(ask.CollectGarbage())).removed] == []  # 7 and 6 are the way back
    await desk.ask(ask.PinVersion(slot="science", number=5, pinned=False))
    assert (await desk.ask(ask.CollectGarbage(keep=3, dry_run=True))).removed == []
    done = await desk.ask(ask.CollectGarbage())
    assert [(row.slot, row.number) for row in done.removed] == [("science", 5)]
    assert done.bytes == done.removed[0].bytes > 0 and not done.dry_run
    with pytest.raises(NotFound, match="removed"):
        await desk.ask(ask.Rollback(slot="science", to=5))
    assert (await desk.ask(ask.CollectGarbage())).removed == []


async def test_what_ended_studies_left_goes_and_what_failed_ones_say_stays(desk):
    records = desk.rooms.records
    ended, failed = (records.add_study("science", []).id for _ in range(2))
    records.finish_study(ended, StudyState.REJECTED)
    records.finish_study(failed, StudyState.FAILED)
    studies = desk.home.studies
    for name, size in ((ended, 70), (failed, 5), (99, 30)):  # 99: of a slot that was removed
        write(studies / str(name), size)
    write(studies / "mine", 3)
    found = await desk.ask(ask.CollectGarbage(dry_run=True))
    assert (found.bytes, found.dry_run, len(found.removed)) == (100, True, 2)
    assert len(list(studies.iterdir())) == 4
    assert (await desk.ask(ask.CollectGarbage())).bytes == 100
    assert {path.name for path in studies.iterdir()} == {str(failed), "mine"}
    assert (await desk.ask(ask.CollectGarbage())).removed == []


async def test_nothing_goes_while_a_study_runs(desk, runner, wait_until):
    await desk.say(RULE, await desk.conversation())
    runner.hold.clear()
    running = asyncio.create_task(desk.ask(ask.StartStudy(slot="science")))
    await wait_until(lambda: runner.jobs)
    with pytest.raises(StudyRunning):
        await desk.ask(ask.CollectGarbage())
    runner.hold.set()
    await running


async def test_a_deleted_slot_goes_after_its_time_and_its_studies_with_it(desk, runner):
    await full_slot(desk)
    (study,) = desk.rooms.records.studies("science")
    folder = desk.home.studies / str(study.id)
    await desk.ask(ask.DeleteSlot(slot="science"))
    assert [row.slot for row in (await desk.ask(ask.CollectGarbage(dry_run=True))).removed] == [None]  # the study's
    desk.rooms.store.revise("science", deleted=time.time() - 31 * 86400)
    found = await desk.ask(ask.CollectGarbage(dry_run=True))
    assert "science" in [row.slot for row in found.removed] and (desk.rooms.store.folder / "science").exists()
    done = await desk.ask(ask.CollectGarbage())
    assert done.removed[0].slot == "science" and done.removed[0].bytes > 0
    assert not (desk.rooms.store.folder / "science").exists()
    assert not folder.exists()
