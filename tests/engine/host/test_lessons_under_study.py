"""What a study teaches stays as it was read while it is taught; and a slot that is damaged stands in nobody's way."""

import asyncio

import pytest

from nightschool.engine.study.runner import StudyResult
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import Damaged, StudyRunning
from nightschool.schemas.records import LessonState, StudyState


@pytest.fixture
async def studying(desk, monkeypatch, wait_until):
    """An edited reply whose lesson is being studied; gives the edit's signal, its lesson and the end of the study."""
    end = asyncio.Event()
    begun = asyncio.Event()

    async def run_study(job, tell, pace):
        begun.set()
        await end.wait()
        return StudyResult(state=StudyState.FAILED, reason="It broke.")

    monkeypatch.setattr("nightschool.engine.study.runner.run_study", run_study)
    desk.chat.answer = "Paris is the capital."
    reply = await desk.say("What is the capital of France?", await desk.conversation())
    await desk.ask(ask.EditReply(message=reply.id, text=f"Captain, {reply.text}"))
    noted = desk.events("signal.noted")[-1]
    study = asyncio.create_task(desk.ask(ask.StartStudy(slot="science")))
    await asyncio.wait_for(begun.wait(), 20)
    yield noted.signal, noted.lesson, end
    end.set()
    await study


async def test_a_lesson_is_not_changed_while_it_is_studied(desk, studying):
    signal, lesson, end = studying
    for request in (
        ask.UpdateLesson(lesson=lesson.id, rule="Answer in lowercase."),
        ask.UpdateLesson(lesson=lesson.id, state=LessonState.DISMISSED),
        ask.UndoSignal(signal=signal.id),
    ):
        with pytest.raises(StudyRunning):
            await desk.ask(request)
    assert desk.rooms.records.lesson(lesson.id) == lesson
    assert not desk.rooms.records.signal(signal.id).undone
    end.set()
    await asyncio.sleep(0)
    while desk.rooms.records.running_studies():
        await asyncio.sleep(0.005)
    await desk.ask(ask.UndoSignal(signal=signal.id))
    assert desk.rooms.records.lesson(lesson.id).state is LessonState.DISMISSED


async def test_another_edit_of_the_reply_gives_a_lesson_of_its_own_while_the_first_is_studied(desk, studying):
    signal, lesson, _ = studying
    await desk.ask(ask.EditReply(message=signal.message, text="paris is the capital."))
    second = desk.events("signal.noted")[-1].lesson
    assert second.id != lesson.id
    assert desk.rooms.records.lesson(lesson.id) == lesson
    await desk.say("No, from now on, start every reply with “Captain,”.", signal.conversation)
    assert desk.rooms.records.lesson(lesson.id) == lesson


async def test_a_slot_that_does_not_read_back_is_told_of_and_can_be_rolled_back(desk, new_desk):
    (desk.home.slots / "gaming" / "current").write_text("7\n")
    desk.rooms.records.close()
    after = new_desk()
    try:
        assert "gaming" in after.events("notice")[0].text
        with pytest.raises(Damaged):
            await after.say("Hello", await after.conversation("gaming"))
        assert (await after.say("Hello", await after.conversation("science"))).text
        await after.ask(ask.Rollback(slot="gaming", to=0))
        assert (await after.say("Hello", await after.conversation("gaming"))).text
    finally:
        after.rooms.records.close()


@pytest.mark.parametrize("file", ["slot.json", "current"])
async def test_a_slot_that_says_nothing_of_itself_is_told_of_and_the_others_answer(desk, new_desk, file):
    lost = await desk.conversation("gaming")
    (desk.home.slots / "gaming" / file).write_text("{")
    desk.rooms.records.close()
    after = new_desk()
    try:
        assert file in after.events("notice")[0].text
        assert "gaming" not in [slot.name for slot in await after.ask(ask.ListSlots(deleted=True))]
        assert (await after.say("Hello", await after.conversation("science"))).text
        assert (await after.ask(ask.ListSlots()))[0].name == "science"
        assert (await after.ask(ask.CollectGarbage())).removed == []
        with pytest.raises(Damaged):
            await after.say("Hello", lost)
    finally:
        after.rooms.records.close()
