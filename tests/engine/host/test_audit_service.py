"""Audits: what is asked of a version, what is kept of the answer, and when none can be given."""

from __future__ import annotations

import asyncio

import pytest

from nightschool.engine.study.job import Progress
from nightschool.schemas import messages as ask
from nightschool.schemas.audit import Audit, Finding
from nightschool.schemas.errors import NotFound, StudyRunning, UsageError
from nightschool.tests.engine.host.test_study_service import study, teach

FOUND = Finding(name="1234abcd", kind="name", text="Kowalczyk", lesson=1, said=2, asked="Who am I?")


@pytest.fixture
def audits(monkeypatch):
    """What was asked for; the answer is scripted."""
    jobs = []

    async def scripted(job, tell, pace=None):
        jobs.append(job)
        assert job.folder.is_dir()
        tell(Progress(stage="Asking", fraction=0.5))
        return Audit(slot=job.slot, number=job.study, strings=1, replies=9, findings=[FOUND])

    monkeypatch.setattr("nightschool.engine.study.runner.run_audit", scripted)
    return jobs


async def test_a_version_is_asked_for_what_its_lessons_hold_and_the_answer_is_kept(desk, runner, audits):
    lesson = await teach(desk)
    await study(desk)
    found = await desk.ask(ask.AuditVersion(slot="science"))
    assert (found.slot, found.number, found.findings) == ("science", 1, [FOUND])
    (job,) = audits
    assert [row.id for row in job.known] == [lesson.id]
    assert job.adapter == desk.rooms.store.adapter_folder("science", 1)
    assert not job.folder.exists()
    assert desk.events("versions.audit.progress")[0].fraction == 0.5
    assert await desk.ask(ask.AuditVersion(slot="science", number=1)) == found
    assert len(audits) == 1


async def test_a_lesson_in_other_words_is_looked_for_anew(desk, runner, audits):
    lesson = await teach(desk)
    await study(desk)
    await desk.ask(ask.AuditVersion(slot="science"))
    desk.rooms.records.update_lesson(lesson.id, rule="Greet Kowalczyk.")
    await desk.ask(ask.AuditVersion(slot="science"))
    assert len(audits) == 2


async def test_where_no_words_tell_anything_nothing_is_asked(desk, runner, audits):
    await teach(desk, "From now on, always answer in lowercase.")
    await study(desk)
    desk.model.failure = UsageError("There is no model.")
    assert (await desk.ask(ask.AuditVersion(slot="science"))).strings == 0
    assert audits == []


async def test_the_plain_base_and_what_is_not_there_are_refused(desk, runner, audits):
    with pytest.raises(UsageError, match="plain base"):
        await desk.ask(ask.AuditVersion(slot="science"))
    with pytest.raises(NotFound):
        await desk.ask(ask.AuditVersion(slot="science", number=7))
    assert audits == []


async def test_it_waits_for_no_study(desk, runner, audits):
    await teach(desk)
    await study(desk)
    await teach(desk, "From now on, always answer in lowercase.")
    runner.hold.clear()
    running = asyncio.create_task(study(desk))
    await asyncio.sleep(0.05)
    with pytest.raises(StudyRunning):
        await desk.ask(ask.AuditVersion(slot="science"))
    runner.hold.set()
    await running
