"""Saying something, being answered, stopping, answering again."""

from __future__ import annotations

import asyncio

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import Busy, ChatError, Damaged, ModelNotFound, NotFound, PromptTooLong, UsageError
from nightschool.schemas.messages import requests_by_method
from nightschool.schemas.records import Finish, LessonState, Role, SignalKind

RULE = "From now on, start every reply with “Captain,”."


def test_every_request_has_a_handler_and_every_handler_a_request(new_desk):
    desk = new_desk()
    assert desk.service.handlers.keys() == requests_by_method().keys()
    desk.rooms.records.close()


async def test_what_is_said_is_stored_told_and_answered(desk):
    conversation = await desk.conversation()
    reply = await desk.say("What is the capital of France?", conversation)
    assert (reply.text, reply.role, reply.finish, reply.tokens, reply.version) == (
        "It is Paris.", Role.ASSISTANT, Finish.STOP, 3, 0,
    )  # fmt: skip
    assert [event.kind for event in desk.told] == ["message.added"] + ["reply.delta"] * 3
    stored = await desk.ask(ask.ListMessages(conversation=conversation))
    assert [message.text for message in stored] == ["What is the capital of France?", "It is Paris."]
    await desk.say("And of Italy?", conversation)
    assert [turn.text for turn in desk.chat.asked[-1].turns] == [
        "What is the capital of France?", "It is Paris.", "And of Italy?",
    ]  # fmt: skip


async def test_the_slots_temperature_and_prompt_count_where_none_is_given(desk):
    await desk.ask(ask.UpdateSlot(name="science", temperature=0.4, system_prompt="Be brief."))
    conversation = await desk.conversation()
    await desk.say("Hello", conversation)
    sampling = ask.Sampling(temperature=1.5)
    await desk.ask(ask.SendMessage(conversation=conversation, text="Hello", sampling=sampling))
    assert [asked.sampling.temperature for asked in desk.chat.asked] == [0.4, 1.5]
    assert desk.chat.asked[0].system == "Be brief."


async def test_a_rule_in_a_message_becomes_a_lesson_and_a_signal(desk):
    conversation = await desk.conversation()
    await desk.say(RULE, conversation)
    (event,) = desk.events("signal.noted")
    assert event.signal.kind is SignalKind.RULE
    assert event.lesson.state is LessonState.APPROVED
    assert (await desk.ask(ask.ListSlots()))[0].waiting == 1
    await desk.ask(ask.UndoSignal(signal=event.signal.id))
    assert (await desk.ask(ask.ListLessons(slot="science")))[0].state is LessonState.DISMISSED
    assert (await desk.ask(ask.ListSlots()))[0].waiting == 0


async def test_one_reply_at_a_time_in_a_conversation_and_cancel_keeps_what_was_said(desk, wait_until):
    conversation = await desk.conversation()
    other = await desk.conversation()
    desk.chat.gate.clear()
    running = asyncio.create_task(desk.say("Hello", conversation))
    await wait_until(lambda: desk.events("reply.delta"))
    stored = await desk.ask(ask.ListMessages(conversation=conversation))
    for request in (
        ask.SendMessage(conversation=conversation, text="More"),
        ask.Regenerate(conversation=conversation),
        ask.DeleteConversation(conversation=conversation),
    ):
        with pytest.raises(Busy):
            await desk.ask(request)
    assert await desk.ask(ask.CancelReply(conversation=other)) is False
    assert await desk.ask(ask.CancelReply(conversation=conversation)) is True
    reply = await running
    assert (reply.text, reply.finish) == ("It", Finish.CANCELLED)
    (event,) = desk.events("signal.noted")
    assert (event.signal.kind, event.signal.message) == (SignalKind.ABANDON, reply.id)
    assert len(await desk.ask(ask.ListMessages(conversation=conversation))) == len(stored) + 1
    assert await desk.ask(ask.CancelReply(conversation=conversation)) is False


async def test_another_answer_that_is_stopped_is_given_up_too(desk, wait_until):
    conversation = await desk.conversation()
    await desk.say("Hello", conversation)
    desk.chat.gate.clear()
    running = asyncio.create_task(desk.ask(ask.Regenerate(conversation=conversation)))
    told = len(desk.events("reply.delta"))
    await wait_until(lambda: len(desk.events("reply.delta")) > told)
    await desk.ask(ask.CancelReply(conversation=conversation))
    reply = await running
    signals = await desk.ask(ask.ListSignals(conversation=conversation))
    assert [signal.kind for signal in signals] == [SignalKind.REGENERATE, SignalKind.ABANDON]
    assert signals[-1].message == reply.id


async def test_a_message_that_does_not_fit_leaves_nothing_behind(desk):
    conversation = await desk.conversation()
    with pytest.raises(PromptTooLong):
        await desk.say(RULE + " x" * 2000, conversation)
    assert await desk.ask(ask.ListMessages(conversation=conversation)) == []
    assert await desk.ask(ask.ListLessons()) == []
    assert desk.told == []
    await desk.say("Hello", conversation)


@pytest.mark.parametrize("error", [Damaged("The adapter is damaged; roll back."), RuntimeError("out of memory")])
async def test_a_reply_that_fails_before_its_first_word_is_as_if_nothing_was_said(desk, error):
    conversation = await desk.conversation()
    await desk.say("Hello", conversation)
    desk.chat.error = error
    with pytest.raises((Damaged, ChatError)):
        await desk.say(RULE, conversation)
    assert len(await desk.ask(ask.ListMessages(conversation=conversation))) == 2
    assert await desk.ask(ask.ListLessons()) == []
    assert await desk.ask(ask.ListSignals(conversation=conversation)) == []
    assert await desk.ask(ask.SearchConversations(query="Captain")) == []
    desk.chat.error = None
    await desk.say("Hello again", conversation)


async def test_a_reply_that_fails_on_the_way_keeps_what_was_said_and_tells_why(desk):
    conversation = await desk.conversation()
    desk.chat.error, desk.chat.error_after = RuntimeError("out of memory"), 2
    reply = await desk.say("Hello", conversation)
    assert (reply.text, reply.finish) == ("It is", Finish.FAILED)
    assert "out of memory" in desk.events("notice")[0].text


async def test_while_there_is_no_model_everything_else_is_answered(desk):
    conversation = await desk.conversation()
    desk.model.failure = ModelNotFound("No model; install one.")
    with pytest.raises(ModelNotFound):
        await desk.say("Hello", conversation)
    assert await desk.ask(ask.ListMessages(conversation=conversation)) == []
    assert await desk.ask(ask.ListStudies()) == []


async def test_regenerate_replaces_the_reply_and_does_not_repeat_a_greedy_one(desk):
    conversation = await desk.conversation()
    first = await desk.say("Hello", conversation)
    desk.chat.answer = "Another one."
    second = await desk.ask(ask.Regenerate(conversation=conversation))
    stored = await desk.ask(ask.ListMessages(conversation=conversation))
    assert [message.text for message in stored] == ["Hello", "Another one."]
    sampling = desk.chat.asked[-1].sampling
    assert sampling.temperature == 0.7
    assert sampling.seed is not None
    assert [turn.text for turn in desk.chat.asked[-1].turns] == ["Hello"]
    (signal,) = await desk.ask(ask.ListSignals(conversation=conversation))
    assert (signal.kind, signal.message) == (SignalKind.REGENERATE, first.id)
    assert second.id != first.id


async def test_regenerate_keeps_the_former_reply_when_nothing_comes(desk):
    conversation = await desk.conversation()
    with pytest.raises(UsageError):
        await desk.ask(ask.Regenerate(conversation=conversation))
    first = await desk.say("Hello", conversation)
    desk.chat.error = RuntimeError("broken")
    with pytest.raises(ChatError):
        await desk.ask(ask.Regenerate(conversation=conversation))
    assert (await desk.ask(ask.ListMessages(conversation=conversation)))[-1] == first


async def test_a_question_that_a_crash_left_without_reply_can_be_answered_again(desk):
    conversation = await desk.conversation()
    desk.rooms.records.add_message(conversation, Role.USER, "Hello")
    assert (await desk.ask(ask.Regenerate(conversation=conversation))).text == "It is Paris."
    desk.rooms.records.add_message(conversation, Role.USER, "One")
    await desk.say("Two", conversation)
    assert [turn.text for turn in desk.chat.asked[-1].turns] == ["Hello", "It is Paris.", "One\n\nTwo"]


async def test_what_does_not_exist_is_named(desk):
    for request in (
        ask.SendMessage(conversation=99, text="Hello"),
        ask.Regenerate(conversation=99),
        ask.EditReply(message=99, text="Hello"),
        ask.CreateConversation(slot="nobody"),
        ask.UndoSignal(signal=99),
        ask.UpdateLesson(lesson=99),
        ask.StartStudy(slot="nobody"),
    ):
        with pytest.raises(NotFound):
            await desk.ask(request)
    conversation = await desk.conversation()
    with pytest.raises(UsageError):
        await desk.say(" \n", conversation)


async def test_who_does_not_want_to_wait_for_the_model_can_stop_and_nothing_was_said(desk, wait_until):
    desk.model.awake.clear()
    conversation = await desk.conversation()
    running = asyncio.create_task(desk.say("Hello", conversation))
    await wait_until(lambda: desk.rooms.answering)
    assert await desk.ask(ask.CancelReply(conversation=conversation)) is True
    with pytest.raises(ChatError, match="Stopped"):
        await running
    assert await desk.ask(ask.ListMessages(conversation=conversation)) == []
    assert not desk.rooms.answering


async def test_a_rule_can_be_taken_back_while_its_reply_is_written(desk, wait_until):
    conversation = await desk.conversation()
    desk.chat.gate.clear()
    running = asyncio.create_task(desk.say(RULE, conversation))
    await wait_until(lambda: desk.events("signal.noted"))
    assert (await desk.ask(ask.UndoSignal(signal=desk.events("signal.noted")[0].signal.id))).undone
    desk.chat.gate.set()
    await running


async def test_a_question_whose_reply_was_stopped_before_its_first_word_is_not_read_again(desk):
    conversation = await desk.conversation()
    desk.rooms.records.add_message(conversation, Role.USER, "Never mind")
    desk.rooms.records.add_message(conversation, Role.ASSISTANT, "", finish=Finish.CANCELLED)
    await desk.say("Hello", conversation)
    assert [turn.text for turn in desk.chat.asked[-1].turns] == ["Hello"]
