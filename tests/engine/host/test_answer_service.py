"""Chats whose history lies with the caller: answered, never stored, and kept when there is something to learn."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import Busy, ChatError, NotFound, PromptTooLong, UsageError
from nightschool.schemas.records import Answered, Finish, GivenTurn, LessonState, Role, SignalKind


def turns(*texts):
    roles = [Role.USER, Role.ASSISTANT] * len(texts)
    return [GivenTurn(role=role, text=text) for role, text in zip(roles, texts, strict=False)]


def answer(*texts, slot="science", conversation=-1, **fields):
    return ask.AnswerTurns(conversation=conversation, slot=slot, turns=turns(*texts), **fields)


async def test_given_turns_are_answered_with_the_voice_of_a_slot_and_nothing_is_stored(desk):
    await desk.ask(ask.UpdateSlot(name="science", temperature=0.4, system_prompt="Be brief."))
    reply = await desk.ask(
        answer("Hello", "Hi.", "From now on, start every reply with “Captain,”.", system="In French.")
    )
    assert (reply.text, reply.finish, reply.version) == ("It is Paris.", Finish.STOP, 0)
    assert (reply.tokens, reply.prompt_tokens, reply.held_tokens) == (3, 20, 8)
    assert [event.kind for event in desk.told] == ["reply.delta"] * 3
    (asked,) = desk.chat.asked
    assert [turn.text for turn in asked.turns][:2] == ["Hello", "Hi."]
    assert (asked.system, asked.sampling.temperature) == ("Be brief.\n\nIn French.", 0.4)
    assert await desk.ask(ask.ListConversations()) == []
    assert await desk.ask(ask.ListLessons()) == []


async def test_it_computes_where_the_slot_does(desk, monkeypatch):
    async def through(self, names, settings):
        return SimpleNamespace(names=names, normed=None)

    monkeypatch.setattr(type(desk.model.loaded), "through", through)
    desk.home.config.write_text('provider = "desk"\n[servers.desk]\nurl = "http://127.0.0.1:1"\n')
    await desk.ask(ask.UpdateSlot(name="science", provider="local"))
    await desk.ask(answer("Hello"))
    await desk.ask(answer("Hello", slot="gaming"))
    await desk.ask(answer("Hello", slot=""))
    assert [asked.through.names for asked in desk.chat.asked] == [("local",), ("desk",), ("desk",)]


async def test_the_plain_base_has_nothing_of_a_slot(desk):
    await desk.ask(ask.UpdateSlot(name="science", system_prompt="Be brief."))
    await desk.ask(ask.AddNote(text="I am allergic to nuts."))
    await desk.ask(answer("Hello", slot=""))
    assert (desk.chat.asked[0].system, desk.chat.asked[0].adapter) == ("", None)


async def test_what_is_known_of_the_user_is_told_only_where_it_may(desk):
    await desk.ask(ask.AddNote(text="I am allergic to nuts."))
    await desk.ask(answer("Hello"))
    await desk.ask(answer("Hello", memory=False))
    assert ["nuts" in asked.system for asked in desk.chat.asked] == [True, False]


async def test_a_reply_ends_before_a_stop(desk):
    desk.chat.answer = "One. Two. Three."
    reply = await desk.ask(answer("Count", stop=[" Th", "Four"]))
    assert (reply.text, reply.finish) == ("One. Two.", Finish.STOP)
    assert "".join(event.text for event in desk.told) == "One. Two."


async def test_a_history_that_does_not_fit_is_refused_and_not_cut(desk):
    with pytest.raises(PromptTooLong, match="leave out the oldest"):
        await desk.ask(answer("x" * 900, "y" * 900, "And?"))
    assert desk.chat.asked == []


@pytest.mark.parametrize("texts", [("Hello", "Hi."), ("  ",)])
async def test_the_last_word_must_be_the_users(desk, texts):
    with pytest.raises(UsageError, match="last message"):
        await desk.ask(answer(*texts))


async def test_an_unknown_slot_is_not_found_and_a_failing_model_says_why(desk):
    with pytest.raises(NotFound):
        await desk.ask(answer("Hello", slot="none"))
    desk.chat.error = RuntimeError("out of memory")
    with pytest.raises(ChatError, match="out of memory"):
        await desk.ask(answer("Hello"))
    assert desk.rooms.answering == {}


async def test_it_is_stopped_by_its_number(desk, wait_until):
    desk.chat.gate.clear()
    running = asyncio.create_task(desk.ask(answer("Hello", conversation=-7)))
    await wait_until(lambda: desk.told)
    with pytest.raises(Busy):
        await desk.ask(answer("Hello", conversation=-7))
    assert await desk.ask(ask.CancelReply(conversation=-7)) is True
    reply = await running
    assert (reply.text, reply.finish) == ("It", Finish.CANCELLED)
    assert await desk.ask(ask.CancelReply(conversation=-7)) is False


async def test_a_kept_answer_teaches_as_one_of_the_app(desk):
    reply = Answered(text="The capital is Paris.", finish=Finish.STOP, tokens=5, version=3)
    given = turns("Hello", "Hi.", "What is the capital of France?")
    kept = await desk.ask(ask.KeepAnswer(slot="science", turns=given, reply=reply))
    stored = await desk.ask(ask.ListMessages(conversation=kept.conversation))
    assert [message.text for message in stored] == [*(turn.text for turn in given), reply.text]
    assert (kept.version, desk.told) == (None, []), "only corrected replies are kept, so they must not count"
    await desk.ask(ask.Thumb(message=kept.id, value=-1))
    await desk.ask(ask.EditReply(message=kept.id, text="Captain, the capital is Paris."))
    said = await desk.ask(
        ask.NoteWords(conversation=kept.conversation, text="From now on, never use exclamation marks.")
    )
    assert said.role is Role.USER
    kinds = [event.signal.kind for event in desk.events("signal.noted")]
    assert kinds == [SignalKind.THUMB_DOWN, SignalKind.EDIT, SignalKind.RULE]
    assert len(await desk.ask(ask.ListLessons(slot="science", states=[LessonState.APPROVED]))) == 2


async def test_what_cannot_be_kept_leaves_nothing_behind(desk):
    empty = Answered(text="", finish=Finish.STOP, tokens=0)
    with pytest.raises(UsageError):
        await desk.ask(ask.KeepAnswer(slot="science", turns=turns("Hello"), reply=empty))
    with pytest.raises(NotFound):
        await desk.ask(ask.KeepAnswer(slot="none", turns=turns("Hello"), reply=empty))
    with pytest.raises(UsageError):
        await desk.ask(ask.NoteWords(conversation=1, text=" "))
    assert await desk.ask(ask.ListConversations()) == []
