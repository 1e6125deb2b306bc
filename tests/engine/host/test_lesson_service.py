"""Lessons in the user's hands: merged, ended, and shown where they contradict each other."""

from __future__ import annotations

import time

import pytest

from nightschool.engine.host.expiry import until
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import UsageError
from nightschool.schemas.records import Evidence, LessonState, RelationKind, Role, SignalKind, Step

CAPTAIN = Step(rewriter="opening", args={"text": "Captain, ", "lower_first": True})
SAME = Step(rewriter="opening", args={"text": "Captain,", "lower_first": False})
OTHER = Step(rewriter="opening", args={"text": "Doctor, "})


@pytest.fixture
def add(desk):
    def add(step=CAPTAIN, slot="science", state=LessonState.APPROVED, **fields):
        said = fields.pop("said", "said once")
        return desk.rooms.records.add_lesson(
            slot, "Begin so.", state=state, steps=[step], evidence=[Evidence(prompt="?", said=said)], **fields
        )

    return add


async def state_of(desk, lesson):
    return next(row for row in await desk.ask(ask.ListLessons()) if row.id == lesson.id)


async def test_merged_lessons_are_one_with_all_that_supports_them(desk, add):
    first, second = add(said="one"), add(SAME, said="two", state=LessonState.PROPOSED, confidence=0.4)
    message = desk.rooms.records.add_message(await desk.conversation(), Role.USER, "Say Captain.")
    desk.rooms.records.add_signal(message.id, SignalKind.RULE, "Say Captain.", second.id)
    kept = await desk.ask(ask.MergeLessons(lessons=[first.id, second.id]))
    assert kept.id == first.id and [shown.said for shown in kept.evidence] == ["one", "two"]
    gone = await state_of(desk, second)
    assert gone.state is LessonState.DISMISSED and gone.merged == first.id and str(first.id) in gone.reason
    assert [signal.text for signal in desk.rooms.records.signals_of_lesson(first.id)] == ["Say Captain."]


async def test_one_that_was_approved_makes_the_merged_one_approved(desk, add):
    first, second = add(state=LessonState.PROPOSED), add(SAME)
    assert (await desk.ask(ask.MergeLessons(lessons=[first.id, second.id]))).state is LessonState.APPROVED


async def test_what_is_learned_stays_and_a_rollback_still_knows_it(desk, add, runner):
    learned = add(SAME)
    await desk.ask(ask.StartStudy(slot="science"))
    waiting = add()
    assert (await desk.ask(ask.MergeLessons(lessons=[waiting.id, learned.id]))).id == learned.id
    other = add(Step(rewriter="case", args={"to": "lower"}))
    await desk.ask(ask.StartStudy(slot="science"))
    assert runner.jobs[-1].known[0].id == learned.id and [lesson.id for lesson in runner.jobs[-1].lessons] == [other.id]


async def test_two_learned_ones_count_as_one_also_in_generations_that_know_the_other(desk, add, runner):
    first, second = add(), add(SAME)
    await desk.ask(ask.StartStudy(slot="science"))
    await desk.ask(ask.MergeLessons(lessons=[first.id, second.id]))
    add(Step(rewriter="case", args={"to": "lower"}))
    await desk.ask(ask.StartStudy(slot="science"))
    await desk.ask(ask.Rollback(slot="science"))
    states = {row.id: row.state for row in await desk.ask(ask.ListLessons())}
    assert states[first.id] is LessonState.LEARNED and states[second.id] is LessonState.DISMISSED


async def test_approving_a_merged_lesson_parts_it_again(desk, add):
    first, second = add(), add(SAME)
    await desk.ask(ask.MergeLessons(lessons=[first.id, second.id]))
    back = await desk.ask(ask.UpdateLesson(lesson=second.id, state=LessonState.APPROVED))
    assert back.merged is None and back.state is LessonState.APPROVED


async def test_what_would_lose_a_lesson_is_refused_in_words(desk, add):
    first = add()
    for other, why in (
        (add(OTHER), "different things"),
        (add(slot="gaming"), "different slots"),
        (add(state=LessonState.DISMISSED), "asks for nothing"),
        (first, "itself"),
    ):
        with pytest.raises(UsageError, match=why):
            await desk.ask(ask.MergeLessons(lessons=[first.id, other.id]))


async def test_relations_name_the_later_one(desk, add):
    first, later = add(created=2000.0), add(OTHER, created=1000.0)
    (found,) = await desk.ask(ask.ListRelations(slot="science"))
    assert (found.kind, found.earlier, found.later) == (RelationKind.CONTRADICTS, later.id, first.id)
    assert "Doctor" in found.earlier_says and "Captain" in found.later_says


async def test_an_end_is_given_and_taken_away(desk, add):
    lesson = add()
    ending = await desk.ask(ask.ExpireLesson(lesson=lesson.id, end="30d"))
    assert abs(ending.expires - time.time() - 30 * 86400) < 60
    assert (await desk.ask(ask.ExpireLesson(lesson=lesson.id, end="never"))).expires is None
    for end, why in (("soon", "no end"), ("2020-01-01", "over already")):
        with pytest.raises(UsageError, match=why):
            await desk.ask(ask.ExpireLesson(lesson=lesson.id, end=end))


async def test_a_profile_opens_whatever_ends_its_lessons_have(desk, add):
    over, far = add(expires=-1e15), add(OTHER, expires=1e15)
    desk.service.recover()
    assert "until" in (await state_of(desk, over)).reason
    waits = await state_of(desk, far)
    assert waits.state is LessonState.APPROVED and until(waits).startswith("until ")


async def test_a_lesson_whose_time_has_come_is_not_studied(desk, add, runner):
    lesson, other = add(expires=time.time() - 1), add(Step(rewriter="case", args={"to": "lower"}))
    await desk.ask(ask.StartStudy(slot="science"))
    assert [row.id for row in runner.jobs[0].lessons] == [other.id]
    gone = await state_of(desk, lesson)
    assert gone.state is LessonState.DISMISSED and "until" in gone.reason
    with pytest.raises(UsageError, match="another end"):
        await desk.ask(ask.UpdateLesson(lesson=lesson.id, state=LessonState.APPROVED))


async def test_a_learned_lesson_is_taken_out_by_the_night_after_its_end(desk, add, runner):
    lesson, other = add(), add(Step(rewriter="case", args={"to": "lower"}))
    await desk.ask(ask.StartStudy(slot="science"))
    desk.rooms.records.update_lesson(lesson.id, expires=time.time() - 1)
    night = await desk.ask(ask.RunNight(on_battery=True))
    job = runner.jobs[-1]
    assert [row.id for row in job.forgotten] == [lesson.id] and [row.id for row in job.known] == [other.id]
    assert len(night.studies) == 1 and not night.notes
    assert "It was meant until" in (await state_of(desk, lesson)).reason
    assert desk.rooms.store.current("science").lessons == [other.id]
    await desk.ask(ask.RunNight(on_battery=True))
    assert len(runner.jobs) == 2


async def test_when_all_that_was_learned_has_ended_the_base_answers_again(desk, add, runner):
    lesson = add()
    await desk.ask(ask.StartStudy(slot="science"))
    desk.rooms.records.update_lesson(lesson.id, expires=time.time() - 1)
    await desk.ask(ask.RunNight(on_battery=True))
    assert desk.rooms.store.current("science").adapter_sha256 is None
