"""Studies and versions: what a study made, what a crash left, what a rollback takes out."""

from __future__ import annotations

import asyncio

import pytest

from nightschool.engine.base.device import Device, Placement
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.host import study_service
from nightschool.engine.host.model_thread import Model
from nightschool.engine.settings import ServerSettings, add_server, choose_provider
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import BaseMismatch, DiskFull, NothingToLearn, StudyRunning, TailOnly, UsageError
from nightschool.schemas.records import LessonState, StudyReport, StudyState

RULE = "From now on, start every reply with “Captain,”."
OTHER = "From now on, always answer in lowercase."


async def teach(desk, rule=RULE, slot="science"):
    conversation = await desk.conversation(slot)
    await desk.say(rule, conversation)
    return (await desk.ask(ask.ListLessons(slot=slot)))[0]


async def state(desk, lesson):
    (found,) = [row for row in await desk.ask(ask.ListLessons()) if row.id == lesson.id]
    return found.state, found.version


async def study(desk, slot="science"):
    return await desk.ask(ask.StartStudy(slot=slot))


async def test_nothing_to_learn(desk, runner):
    with pytest.raises(NothingToLearn):
        await study(desk)
    await teach(desk, slot="gaming")
    with pytest.raises(NothingToLearn):
        await study(desk)


async def test_a_study_has_the_numbers_that_the_user_chose(desk, runner):
    await teach(desk)
    desk.home.config.write_text("[study]\nsteps = 40\n")
    await study(desk)
    assert runner.jobs[0].numbers_of_own == {"steps": 40}


async def test_with_the_last_blocks_alone_a_study_needs_a_server(desk, runner):
    await teach(desk)
    desk.model.loaded.base.upper = 8
    with pytest.raises(TailOnly, match="--studies"):
        await study(desk)
    add_server(desk.home, "gpu", ServerSettings(url="https://gpu.home"))
    choose_provider(desk.home, ["gpu"], studies=True)
    await study(desk)
    assert runner.jobs[0].elsewhere == ("gpu",)


async def test_an_accepted_study_makes_a_version_that_answers(desk, runner):
    lesson = await teach(desk)
    ended = await study(desk)
    assert (ended.state, ended.version, ended.lessons) == (StudyState.ACCEPTED, 1, [lesson.id])
    assert await state(desk, lesson) == (LessonState.LEARNED, 1)
    assert desk.events("study.progress")[0].fraction == 0.5
    assert desk.events("study.ended")[0].study == ended
    version = (await desk.ask(ask.ListVersions(slot="science")))[0]
    assert (version.current, version.lessons, version.report.accepted) == (True, [lesson.id], True)
    assert not (runner.jobs[0].folder / "candidate").exists()
    await desk.say("Hello", await desk.conversation())
    assert desk.chat.asked[-1].adapter == desk.rooms.store.adapter_folder("science")


async def test_a_lesson_that_a_study_left_out_is_not_known_to_its_version(desk, runner):
    lesson = await teach(desk)
    other = await teach(desk, OTHER)
    runner.left_out = {other.id: "It was not followed."}
    ended = await study(desk)
    assert (ended.state, ended.version) == (StudyState.ACCEPTED, 1)
    assert await state(desk, lesson) == (LessonState.LEARNED, 1)
    assert await state(desk, other) == (LessonState.REJECTED, None)
    (found,) = [row for row in await desk.ask(ask.ListLessons(slot="science")) if row.id == other.id]
    assert found.reason == "It was not followed."
    (version, *_) = await desk.ask(ask.ListVersions(slot="science"))
    assert version.lessons == [lesson.id]


async def test_the_next_study_keeps_what_the_slot_knows(desk, runner):
    first = await teach(desk)
    await study(desk)
    second = await teach(desk, OTHER)
    ended = await study(desk)
    job = runner.jobs[-1]
    assert [lesson.id for lesson in job.lessons] == [second.id]
    assert [lesson.id for lesson in job.known] == [first.id]
    assert job.adapter is not None
    assert job.cut == desk.model.loaded.cut
    assert (await desk.ask(ask.ListVersions(slot="science")))[0].lessons == [first.id, second.id]
    assert ended.lessons == [second.id]
    assert await state(desk, first) == (LessonState.LEARNED, 1)
    assert await state(desk, second) == (LessonState.LEARNED, 2)


async def test_a_rejected_study_keeps_the_old_version_and_says_why(desk, runner):
    lesson = await teach(desk)
    runner.state, runner.reason = StudyState.REJECTED, "It would change too much."
    ended = await study(desk)
    assert (ended.state, ended.version, ended.reason) == (StudyState.REJECTED, None, runner.reason)
    (found,) = await desk.ask(ask.ListLessons(slot="science"))
    assert (found.state, found.reason) == (LessonState.REJECTED, runner.reason)
    assert (await desk.ask(ask.ListVersions(slot="science")))[0].number == 0
    await desk.ask(ask.UpdateLesson(lesson=lesson.id, state=LessonState.APPROVED))
    runner.state = StudyState.ACCEPTED
    assert (await study(desk)).state is StudyState.ACCEPTED


async def test_a_study_that_breaks_leaves_the_lessons_waiting(desk, runner, monkeypatch):
    lesson = await teach(desk)

    async def broken(job, tell, pace):
        raise DiskFull("No space is left.")

    with monkeypatch.context() as patch:
        patch.setattr("nightschool.engine.study.runner.run_study", broken)
        ended = await study(desk)
    assert (ended.state, ended.reason) == (StudyState.FAILED, "No space is left.")
    assert (await state(desk, lesson))[0] is LessonState.APPROVED
    assert (await study(desk)).state is StudyState.ACCEPTED


async def test_a_candidate_that_cannot_be_kept_is_a_failed_study(desk, runner, monkeypatch):
    lesson = await teach(desk)

    def full(*_, **__):
        raise DiskFull("No space is left.")

    monkeypatch.setattr(desk.rooms.store, "add_version", full)
    assert (await study(desk)).state is StudyState.FAILED
    assert (await state(desk, lesson))[0] is LessonState.APPROVED


async def test_a_study_that_cannot_be_prepared_is_a_failed_one(desk, runner, monkeypatch):
    await teach(desk)

    def full(*_):
        raise DiskFull("No space is left.")

    with monkeypatch.context() as patch:
        patch.setattr("nightschool.engine.host.study_service.thumbs_of", full)
        with pytest.raises(DiskFull):
            await study(desk)
    (failed,) = await desk.ask(ask.ListStudies())
    assert (failed.state, failed.reason) == (StudyState.FAILED, "No space is left.")
    await desk.ask(ask.CollectGarbage())
    await desk.ask(ask.RenameSlot(slot="science", name="other"))
    assert (await study(desk, "other")).state is StudyState.ACCEPTED


async def test_a_version_that_could_not_be_noted_at_once_is_noted_all_the_same(desk, runner, monkeypatch):
    lesson = await teach(desk)
    settle = study_service.settle_lessons
    fails = [DiskFull("No space is left.")]
    monkeypatch.setattr(study_service, "settle_lessons", lambda *of: _raise(fails.pop()) if fails else settle(*of))
    ended = await study(desk)
    assert (ended.state, ended.version) == (StudyState.ACCEPTED, 1)
    assert desk.events("study.ended")[-1].study == ended
    assert await state(desk, lesson) == (LessonState.LEARNED, 1)
    await desk.ask(ask.Rollback(slot="science", to=0))


async def test_what_could_not_be_noted_on_a_full_disk_is_noted_once_there_is_room(desk, runner, monkeypatch):
    lesson = await teach(desk)
    runner.state = StudyState.REJECTED
    with monkeypatch.context() as patch:
        patch.setattr(desk.rooms.records, "finish_study", lambda *_, **__: _raise(DiskFull("No space is left.")))
        with pytest.raises(DiskFull):
            await study(desk)
        await desk.ask(ask.CollectGarbage())  # which is how there is room again
    await desk.ask(ask.CollectGarbage())
    assert (await desk.ask(ask.ListStudies()))[0].state is StudyState.FAILED
    assert (await state(desk, lesson))[0] is LessonState.APPROVED


async def test_what_could_not_be_noted_is_noted_before_the_next_study(desk, runner, monkeypatch):
    await teach(desk)
    runner.state = StudyState.REJECTED
    with monkeypatch.context() as patch:
        patch.setattr(desk.rooms.records, "finish_study", lambda *_, **__: _raise(DiskFull("No space is left.")))
        with pytest.raises(DiskFull):
            await study(desk)
    runner.state = StudyState.ACCEPTED
    await study(desk)
    states = [row.state for row in await desk.ask(ask.ListStudies())]
    assert states == [StudyState.ACCEPTED, StudyState.FAILED]


async def test_forgetting_all_on_a_full_disk_leaves_no_study_under_way(desk, runner, monkeypatch):
    lesson = await teach(desk)
    await study(desk)
    with monkeypatch.context() as patch:
        patch.setattr(desk.rooms.store, "rollback", lambda *_: _raise(DiskFull("No space is left.")))
        with pytest.raises(DiskFull):
            await desk.ask(ask.ForgetLesson(lesson=lesson.id))
    assert desk.rooms.records.running_studies() == []
    assert (await desk.ask(ask.ForgetLesson(lesson=lesson.id))).version == 2


def _raise(error):
    raise error


async def test_one_study_at_a_time_and_cancel_leaves_the_slot_as_it_was(desk, runner, wait_until):
    lesson = await teach(desk)
    assert await desk.ask(ask.CancelStudy()) is False
    runner.hold.clear()
    running = asyncio.create_task(study(desk))
    await wait_until(lambda: runner.jobs)
    for request in (ask.StartStudy(slot="science"), ask.StartStudy(slot="gaming"), ask.Rollback(slot="science", to=0)):
        with pytest.raises(StudyRunning):
            await desk.ask(request)
    assert await desk.ask(ask.CancelStudy()) is True
    assert (await running).state is StudyState.CANCELLED
    assert (await state(desk, lesson))[0] is LessonState.APPROVED
    assert (await desk.ask(ask.ListStudies(slot="science")))[0].state is StudyState.CANCELLED
    runner.hold.set()
    assert (await study(desk)).state is StudyState.ACCEPTED


async def test_a_study_goes_on_when_nobody_waits_for_it(desk, runner, wait_until):
    await teach(desk)
    runner.hold.clear()
    asking = asyncio.create_task(study(desk))
    await wait_until(lambda: runner.jobs)
    asking.cancel()
    runner.hold.set()
    await wait_until(lambda: desk.events("study.ended"))
    assert desk.events("study.ended")[0].study.state is StudyState.ACCEPTED


async def test_a_rollback_puts_the_lessons_in_step(desk, runner):
    first = await teach(desk)
    await study(desk)
    second = await teach(desk, OTHER)
    await study(desk)
    back = await desk.ask(ask.Rollback(slot="science"))
    assert back.restores == 1
    assert await state(desk, first) == (LessonState.LEARNED, 1)
    assert await state(desk, second) == (LessonState.PROPOSED, None)
    assert "1 learned lesson" in desk.events("notice")[-1].text
    await desk.ask(ask.Rollback(slot="science", to=2))
    assert await state(desk, second) == (LessonState.LEARNED, 2)
    await desk.ask(ask.Rollback(slot="science", to=0))
    assert (await state(desk, first))[0] is LessonState.PROPOSED
    await desk.say("Hello", await desk.conversation())
    assert desk.chat.asked[-1].adapter is None


async def test_what_is_learned_is_not_undone_but_rolled_back(desk, runner):
    await teach(desk)
    await study(desk)
    signal = desk.events("signal.noted")[0].signal
    with pytest.raises(UsageError, match="roll"):
        await desk.ask(ask.UndoSignal(signal=signal.id))


async def test_a_slot_that_learned_on_another_base_says_so(desk, runner):
    await teach(desk)
    await study(desk)
    other = desk.model.loaded.base.card.model_copy(update={"fingerprint": "cd" * 32, "name": "other"})
    desk.model.loaded.base.card = other
    conversation = await desk.conversation()
    with pytest.raises(BaseMismatch, match="roll"):
        await desk.say(OTHER, conversation)
    assert await desk.ask(ask.ListMessages(conversation=conversation)) == []
    await desk.ask(ask.Rollback(slot="science", to=0))
    await desk.say("Hello", conversation)


async def test_an_engine_that_died_during_a_study_says_so_at_the_next_start(desk, new_desk):
    lesson = await teach(desk)
    begun = desk.rooms.records.add_study("science", [lesson.id])
    again = new_desk()
    (found,) = await again.ask(ask.ListStudies())
    assert (found.id, found.state) == (begun.id, StudyState.FAILED)
    assert (await state(again, lesson))[0] is LessonState.APPROVED
    again.rooms.records.close()


async def test_a_version_that_was_made_just_before_a_crash_counts(desk, new_desk, tmp_path):
    lesson = await teach(desk)
    desk.rooms.records.add_study("science", [lesson.id])
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (tmp_path / name).write_text("{}")
    report = StudyReport(accepted=True, reason="Good.")
    desk.rooms.store.add_version("science", tmp_path, base="ab" * 32, lessons=[lesson.id], report=report)
    again = new_desk()
    assert await state(again, lesson) == (LessonState.LEARNED, 1)
    (found,) = await again.ask(ask.ListStudies())
    assert (found.state, found.version) == (StudyState.ACCEPTED, 1)
    again.rooms.records.close()


async def test_closing_stops_study_and_replies_and_keeps_what_was_said(desk, runner, wait_until):
    await teach(desk)
    runner.hold.clear()
    desk.chat.gate.clear()
    studying = asyncio.create_task(study(desk))
    conversation = await desk.conversation()
    talking = asyncio.create_task(desk.say("Hello", conversation))
    await wait_until(lambda: runner.jobs and desk.chat.asked[-1].turns[-1].text == "Hello")
    await desk.service.close()
    assert (await studying).state is StudyState.CANCELLED
    assert (await talking).text == "It"


async def test_a_study_rests_while_anybody_is_answered(desk, runner, wait_until):
    await teach(desk)
    runner.hold.clear()
    studying = asyncio.create_task(study(desk))
    await wait_until(lambda: runner.jobs)
    desk.chat.gate.clear()
    talks = [asyncio.create_task(desk.say("Hello", await desk.conversation())) for _ in range(2)]
    await wait_until(lambda: len(desk.rooms.answering) == 2)
    assert runner.pace.resting
    await desk.ask(ask.CancelReply(conversation=next(iter(desk.rooms.answering))))
    await wait_until(lambda: len(desk.rooms.answering) == 1)
    assert runner.pace.resting
    desk.chat.gate.set()
    await asyncio.gather(*talks)
    assert not runner.pace.resting
    runner.hold.set()
    await studying


async def test_where_a_study_computes_is_said_where_it_is_not_where_the_chat_does(desk, runner, monkeypatch):
    placed = Placement(Device("cpu"), "There is no room beside the chat, so the CPU computes.")
    monkeypatch.setattr(Model, "place_study", lambda model, home: (placed, Numbers.BF16))
    await teach(desk)
    await study(desk)
    assert (runner.jobs[-1].device, runner.jobs[-1].numbers) == ("cpu", Numbers.BF16)
    assert [event.text for event in desk.events("notice")] == [placed.note]


async def test_the_doctor_looks_at_everything(desk, runner):
    await teach(desk)
    await study(desk)
    desk.status = ask.EngineStatus(state="waking", stage="Loading the model")
    checks = {check.name: check for check in await desk.ask(ask.Doctor())}
    assert {"files", "disk", "database", "slot science", "plugins", "machine"} <= checks.keys()
    assert checks["database"].ok
    weights = desk.rooms.store.adapter_folder("science") / "adapter_model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(b"tampered")
    checks = {check.name: check for check in await desk.ask(ask.Doctor())}
    assert not checks["slot science"].ok
    (desk.rooms.store.folder / "creative" / "slot.json").write_text("{")
    checks = {check.name: check for check in await desk.ask(ask.Doctor())}
    assert not checks["slot creative"].ok and "slot.json" in checks["slot creative"].text


async def learned(desk, *rules):
    for rule in rules:
        await teach(desk, rule)
    await study(desk)
    return sorted(await desk.ask(ask.ListLessons(slot="science")), key=lambda lesson: lesson.id)


async def test_forgetting_trains_anew_on_what_stays(desk, runner):
    first, second = await learned(desk, RULE, OTHER)
    ended = await desk.ask(ask.ForgetLesson(lesson=first.id))
    job = runner.jobs[-1]
    assert ([row.id for row in job.known], [row.id for row in job.forgotten], job.lessons) == (
        [second.id],
        [first.id],
        [],
    )
    assert (ended.state, ended.version) == (StudyState.ACCEPTED, 2)
    assert desk.rooms.store.current("science").lessons == [second.id]
    assert await state(desk, first) == (LessonState.DISMISSED, None)
    assert await state(desk, second) == (LessonState.LEARNED, 1)
    assert (await desk.ask(ask.ListVersions(slot="science")))[1].lessons == [first.id, second.id]


async def test_forgetting_the_only_lesson_gives_the_base_back(desk, runner):
    (only,) = await learned(desk, RULE)
    ended = await desk.ask(ask.ForgetLesson(lesson=only.id))
    assert len(runner.jobs) == 1, "nothing had to be trained"
    assert (ended.state, ended.version) == (StudyState.ACCEPTED, 2)
    assert desk.rooms.store.current("science").adapter_sha256 is None
    assert (await state(desk, only))[0] is LessonState.DISMISSED


async def test_what_could_not_be_forgotten_stays_learned(desk, runner):
    first, second = await learned(desk, RULE, OTHER)
    runner.state, runner.reason = StudyState.REJECTED, "It still shows."
    ended = await desk.ask(ask.ForgetLesson(lesson=first.id))
    assert (ended.state, ended.reason) == (StudyState.REJECTED, "It still shows.")
    assert {await state(desk, first), await state(desk, second)} == {(LessonState.LEARNED, 1)}


async def test_only_what_is_learned_can_be_forgotten(desk, runner):
    lesson = await teach(desk)
    with pytest.raises(UsageError, match="dismiss it instead"):
        await desk.ask(ask.ForgetLesson(lesson=lesson.id))
