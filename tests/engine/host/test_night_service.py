"""Nights: which slots are studied, what is noted, and what an engine that somebody uses does about them."""

from __future__ import annotations

import asyncio
import time

import pytest

from nightschool.engine.host import night_service
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import NothingToLearn, StudyRunning
from nightschool.schemas.records import LessonState, StudyState

RULE = "From now on, start every reply with “Captain,”."
OTHER = "From now on, always answer in lowercase."


async def teach(desk, slot, rule=RULE):
    await desk.say(rule, await desk.conversation(slot))


async def night(desk, **options):
    return await desk.ask(ask.RunNight(on_battery=True, **options))


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(night_service, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(night_service, "QUIET_SECONDS", 0.05)


async def test_every_slot_with_something_to_learn_is_studied_once(desk, runner):
    await teach(desk, "science")
    await teach(desk, "gaming", OTHER)
    ended = await night(desk)
    assert [job.slot for job in runner.jobs] == ["science", "gaming"]
    assert ended.finished is not None and not ended.notes
    assert [study.id for study in reversed(await desk.ask(ask.ListStudies()))] == ended.studies
    assert not (await night(desk)).studies


async def test_a_night_without_lessons_says_so_and_wakes_no_model(desk, runner):
    ended = await night(desk)
    assert not ended.studies
    assert ended.notes == ["No lesson waited in any slot; there was nothing to study."]
    assert not desk.model.woken


async def test_a_slot_with_too_few_lessons_waits(desk, runner):
    await teach(desk, "science")
    await teach(desk, "gaming")
    await teach(desk, "gaming", OTHER)
    ended = await night(desk, least=2)
    assert [job.slot for job in runner.jobs] == ["gaming"]
    assert ended.notes == ["science: 1 of the 2 lessons that a study is worth are there; they wait."]


async def test_one_slot_that_cannot_be_studied_does_not_end_the_night(desk, runner):
    await teach(desk, "science")
    await teach(desk, "gaming")
    version = desk.rooms.store.current("science")
    desk.rooms.voice = lambda slot, base, voice=desk.rooms.voice: _refuse() if slot == "science" else voice(slot, base)
    ended = await night(desk)
    assert [job.slot for job in runner.jobs] == ["gaming"]
    assert ended.notes == ["science: Another base."]
    assert desk.rooms.store.current("science") == version


async def test_a_slot_whose_generation_does_not_read_back_does_not_end_the_night(desk, runner):
    await teach(desk, "creative")
    await teach(desk, "gaming")
    desk.rooms.store.add_version("creative", None, base="")
    facts = desk.rooms.store.folder / "creative" / "versions" / "000001" / "version.json"
    facts.chmod(0o644)
    facts.write_text("{")
    ended = await night(desk)
    assert [job.slot for job in runner.jobs] == ["gaming"]
    assert ended.finished is not None
    (note,) = ended.notes
    assert note.startswith("creative: ") and "version.json does not read back" in note


async def test_a_night_that_breaks_is_told_of_and_the_next_one_begins(desk, runner, monkeypatch, wait_until, impatient):
    await teach(desk, "science")

    def broken(_):
        raise OSError("The disk is gone.")

    desk.service.watch()
    with monkeypatch.context() as patch:
        patch.setattr(night_service, "end_expired", broken)
        desk.home.night_due.touch()
        await wait_until(lambda: desk.events("notice"))
    assert "The disk is gone." in desk.events("notice")[-1].text
    desk.home.night_due.touch()
    await wait_until(lambda: runner.jobs)
    await desk.service.close()


def _refuse():
    from nightschool.schemas.errors import BaseMismatch

    raise BaseMismatch("Another base.")


async def test_stopping_a_study_ends_the_night_and_the_rest_waits(desk, runner, wait_until):
    await teach(desk, "science")
    await teach(desk, "gaming")
    runner.hold.clear()
    running = asyncio.create_task(night(desk))
    await wait_until(lambda: runner.jobs)
    with pytest.raises(StudyRunning):
        await night(desk)
    await desk.ask(ask.CancelStudy())
    ended = await running
    assert len(ended.studies) == 1 and ended.notes[0].startswith("science: You stopped it")
    assert {lesson.state for lesson in await desk.ask(ask.ListLessons())} == {LessonState.APPROVED}


async def test_a_night_waits_for_power_and_gives_up_in_words(desk, runner, monkeypatch, impatient):
    await teach(desk, "science")
    plugged = [False, False, True]
    monkeypatch.setattr(night_service, "on_mains", lambda: plugged.pop(0))
    assert (await desk.ask(ask.RunNight())).studies
    await teach(desk, "science", OTHER)
    monkeypatch.setattr(night_service, "on_mains", lambda: False)
    monkeypatch.setattr(night_service, "POWER_HOURS", 0.0)
    ended = await desk.ask(ask.RunNight())
    assert not ended.studies and "battery" in ended.notes[0]


async def test_a_night_that_waits_for_a_used_engine_begins_when_nobody_is_answered(desk, runner, wait_until, impatient):
    await teach(desk, "science")
    desk.chat.gate.clear()
    talking = asyncio.create_task(desk.say("Hello", await desk.conversation()))
    await wait_until(lambda: desk.rooms.answering)
    desk.home.night_due.touch()
    desk.service.watch()
    await asyncio.sleep(0.2)
    assert not runner.jobs, "it began while somebody was answered"
    desk.chat.gate.set()
    await talking
    await wait_until(lambda: desk.events("notice"))
    assert desk.events("notice")[-1].text == "Studied 1 slot tonight."
    assert not desk.home.night_due.exists()
    await desk.service.close()


async def test_a_night_that_was_cut_off_goes_on_in_the_next_engine(desk, new_desk):
    records = desk.rooms.records
    records.begin_night()
    again = new_desk()
    (found,) = await again.ask(ask.ListNights())
    assert found.finished is not None and "cut off" in found.notes[-1]
    assert again.home.night_due.exists()
    again.rooms.records.close()


async def test_a_night_in_which_the_engine_is_closed_goes_on_in_the_next_one(desk, runner, new_desk, wait_until):
    await teach(desk, "science")
    await teach(desk, "gaming")
    runner.hold.clear()
    running = asyncio.create_task(night(desk))
    await wait_until(lambda: runner.jobs)
    await desk.service.close()
    spent = await running
    assert spent.finished is None and [job.slot for job in runner.jobs] == ["science"]
    desk.rooms.records.close()
    runner.hold.set()
    again = new_desk()
    assert again.home.night_due.exists()
    await night(again)
    assert [job.slot for job in runner.jobs] == ["science", "science", "gaming"]
    assert not again.home.night_due.exists()
    again.rooms.records.close()


async def test_a_night_that_was_cut_off_days_ago_does_not(desk, new_desk, monkeypatch):
    desk.rooms.records.begin_night()
    now = time.time()
    monkeypatch.setattr(night_service.time, "time", lambda: now + 2 * 86400)
    again = new_desk()
    assert not again.home.night_due.exists()
    again.rooms.records.close()


async def test_what_was_rejected_is_in_the_night(desk, runner):
    await teach(desk, "science")
    runner.state, runner.reason = StudyState.REJECTED, "It did not stick."
    ended = await night(desk)
    (study,) = await desk.ask(ask.ListStudies())
    assert ended.studies == [study.id] and study.state is StudyState.REJECTED


@pytest.fixture
def a_week_passes(monkeypatch):
    """Call it, and it is a week later for whoever looks at the clock of nights."""
    clock = time.time
    weeks = [0]

    def passes():
        weeks[0] += 1

    monkeypatch.setattr(night_service.time, "time", lambda: clock() + weeks[0] * 7 * 86400)
    return passes


async def grown(desk):
    await teach(desk, "science")
    await night(desk)
    await teach(desk, "science", OTHER)
    await night(desk)


async def test_once_a_week_a_slot_is_trained_anew_from_all_it_has_learned(desk, runner, a_week_passes):
    await grown(desk)
    assert not any(job.rebuild for job in runner.jobs)
    a_week_passes()
    ended = await night(desk)
    job = runner.jobs[-1]
    assert job.rebuild and not job.lessons and len(job.known) == 2 and job.adapter is not None
    (study,) = [study for study in await desk.ask(ask.ListStudies()) if study.id in ended.studies]
    assert study.rebuild and ended.notes == ["science: Every gate passed."]
    assert desk.rooms.store.current("science").number == 3
    assert {lesson.state for lesson in await desk.ask(ask.ListLessons())} == {LessonState.LEARNED}
    a_week_passes()
    assert not (await night(desk)).studies, "nothing was learned since"


async def test_the_slot_stays_as_it_is_where_the_rebuilt_one_is_not_better(desk, runner, a_week_passes):
    await grown(desk)
    a_week_passes()
    runner.state, runner.reason = StudyState.REJECTED, "The one that is there stays."
    ended = await night(desk)
    assert ended.notes == ["science: The one that is there stays."]
    assert desk.rooms.store.current("science").number == 2
    assert {lesson.state for lesson in await desk.ask(ask.ListLessons())} == {LessonState.LEARNED}


async def test_what_waits_is_learned_before_the_slot_is_trained_anew(desk, runner, a_week_passes):
    await grown(desk)
    a_week_passes()
    await teach(desk, "science", "From now on, never use exclamation marks.")
    await night(desk)
    assert [(job.rebuild, len(job.known)) for job in runner.jobs[-2:]] == [(False, 2), (True, 3)]


async def test_a_slot_of_one_night_or_without_the_setting_is_not_trained_anew(desk, runner, a_week_passes):
    await teach(desk, "gaming")
    await teach(desk, "gaming", OTHER)
    await night(desk)
    a_week_passes()
    assert not (await night(desk)).studies, "that would give the same again"
    desk.home.config.write_text("weekly_rebuild = false\n")
    await grown(desk)
    a_week_passes()
    assert not (await night(desk)).studies


async def test_a_slot_is_trained_anew_when_asked_for(desk, runner):
    await grown(desk)
    assert (await desk.ask(ask.StartStudy(slot="science", rebuild=True))).rebuild
    with pytest.raises(NothingToLearn):
        await desk.ask(ask.StartStudy(slot="gaming", rebuild=True))
