"""Saying something and reading the answer, over the scripted engine."""

import asyncio

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import ChatError, PromptTooLong
from nightschool.schemas.events import StateEvent
from nightschool.schemas.records import Finish, Role
from nightschool.tui.commands import command
from nightschool.tui.widgets.prose import Prose
from nightschool.tui.widgets.transcript import MOUNTED, PAGE, Earlier


@pytest.fixture
def say(until):
    async def say_it(app, pilot, text):
        app.chat.prompt.text = text
        await pilot.press("enter")
        await until(lambda: app.chat.talk is None and app.chat.target())

    return say_it


def asked(engine, kind):
    return [request for request in engine.asked if isinstance(request, kind)]


def toasts(app):
    return [notification.message for notification in app._notifications]


async def test_a_message_is_sent_and_its_reply_streams_as_markdown(opened, engine, until):
    async with opened() as (app, pilot):
        await pilot.press(*"Hello")
        await pilot.press("enter")
        await until(lambda: app.chat.target())
        said, reply = app.chat.transcript.views
        assert said.message.text == "Hello"
        assert said.message.id
        assert reply.message.text == engine.reply
        assert str(reply.query_one(Prose).render()) == "The capital of France is Paris."
        assert app.chat.prompt.text == ""
        assert [row.role for row in engine.messages.values()] == [Role.USER, Role.ASSISTANT]
        await until(lambda: app.session.conversations)


async def test_the_screen_is_usable_before_the_engine_does_anything(opened, engine, until):
    engine.awake.clear()
    async with opened(ready=False) as (app, pilot):
        await pilot.press(*"Early")
        await pilot.press("enter")
        await until(lambda: len(app.chat.transcript.views) == 2)
        assert "waiting for the engine" in str(app.chat.transcript.views[1].query_one(".note").content)
        assert not asked(engine, ask.SendMessage)
        engine.awake.set()
        await until(lambda: app.chat.target())
        assert asked(engine, ask.SendMessage)[0].text == "Early"


async def test_waiting_words_can_be_taken_back(opened, engine, until):
    engine.awake.clear()
    async with opened(ready=False) as (app, pilot):
        await pilot.press(*"Early")
        await pilot.press("enter")
        await until(lambda: len(app.chat.transcript.views) == 2)
        await pilot.press("escape")
        await until(lambda: app.chat.prompt.text == "Early")
        await until(lambda: not app.chat.transcript.views)
        assert app.chat.talk is None


async def test_waking_shows_stage_and_share(opened, engine, until):
    engine.awake.clear()
    async with opened(ready=False) as (app, _):
        status = app.chat.query_one("#status")
        await until(lambda: "reading the model" in str(status.content) and "10%" in str(status.content))
        engine.awake.set()
        await until(lambda: "SmolLM2" in str(status.content))


async def test_an_engine_that_cannot_wake_says_why_and_keeps_the_words(opened, engine, until):
    engine.awake.clear()
    async with opened(ready=False) as (app, pilot):
        await until(lambda: app.session.engine.stage == "reading the model")
        failed = ask.EngineStatus(state="failed", error="No model is installed; run `nightschool setup`.")
        engine._tell(StateEvent(status=failed))
        await until(lambda: "No model" in str(app.chat.query_one("#status").content))
        await pilot.press(*"Hi")
        await pilot.press("enter")
        await until(lambda: any("No model" in text for text in toasts(app)))
        assert app.chat.prompt.text == "Hi"


async def test_escape_stops_the_reply_and_what_was_said_stays(opened, engine, until):
    engine.hold.clear()
    async with opened() as (app, pilot):
        await pilot.press(*"Hi")
        await pilot.press("enter")
        await until(lambda: app.chat.talk and app.chat.talk.heard)
        await pilot.press("escape")
        await until(lambda: app.chat.target())
        assert app.chat.target().message.finish is Finish.CANCELLED
        assert app.chat.target().message.text == engine.reply[:4]


async def test_a_second_message_waits_in_the_prompt_while_a_reply_is_written(opened, engine, until):
    engine.hold.clear()
    async with opened() as (app, pilot):
        await pilot.press("a", "enter")
        await until(lambda: app.chat.talk and app.chat.talk.heard)
        await pilot.press("b", "enter")
        assert app.chat.prompt.text == "b"
        engine.hold.set()
        await until(lambda: app.chat.talk is None)
        assert len(asked(engine, ask.SendMessage)) == 1


async def test_again_replaces_the_last_reply(opened, engine, until, say):
    async with opened() as (app, pilot):
        await say(app, pilot, "Hi")
        engine.reply = "Another answer."
        await pilot.press("ctrl+r")
        await until(lambda: app.chat.target() and app.chat.target().message.text == "Another answer.")
        assert len(app.chat.transcript.views) == 2


async def test_a_refused_message_comes_back_to_the_prompt_with_its_reason(opened, engine, until):
    engine.fail["chat.send"] = PromptTooLong("The message has 9000 tokens and the base reads 8192; shorten it.")
    async with opened() as (app, pilot):
        await pilot.press(*"Long")
        await pilot.press("enter")
        await until(lambda: app.chat.prompt.text == "Long")
        assert any("8192" in text for text in toasts(app))
        assert not app.chat.transcript.views


async def test_a_failed_again_shows_the_old_reply(opened, engine, until, say):
    async with opened() as (app, pilot):
        await say(app, pilot, "Hi")
        engine.fail["chat.regenerate"] = ChatError("The reply could not be written; try again.")
        await pilot.press("ctrl+r")
        await until(lambda: any("could not be written" in text for text in toasts(app)))
        await until(lambda: app.chat.target() and app.chat.target().message.text == engine.reply)


async def test_a_reply_comes_back_when_the_engine_dies_while_making_it_again(opened, engine, until, say):
    async with opened() as (app, pilot):
        await say(app, pilot, "Hi")
        engine.hold.clear()
        await pilot.press("ctrl+r")
        await until(lambda: app.chat.talk and app.chat.talk.heard)
        engine.die()
        await until(lambda: app.chat.talk is None)
        await until(lambda: [view.message.text for view in app.chat.transcript.views] == ["Hi", engine.reply])
        assert app.chat.prompt.text == ""


async def test_a_dead_engine_is_restarted_and_no_word_is_lost(opened, engine, until):
    engine.hold.clear()
    async with opened() as (app, pilot):
        await pilot.press(*"Hi")
        await pilot.press("enter")
        await until(lambda: app.chat.talk and app.chat.talk.heard)
        await pilot.press(*"draft")
        engine.awake.clear()
        engine.die()
        await until(lambda: app.chat.query_one("#banner").display)
        assert "restarting" in str(app.chat.query_one("#banner").content)
        await until(lambda: app.chat.prompt.text == "Hi\ndraft")
        engine.awake.set()
        engine.hold.set()
        await until(lambda: app.session.ready and engine.starts == 2)
        await until(lambda: not app.chat.query_one("#banner").display)
        await pilot.press("enter")
        await until(lambda: app.chat.target())


async def test_an_engine_that_dies_again_and_again_is_left_alone(opened, engine, until):
    async with opened() as (app, _):
        for start in range(2, 5):
            await until(lambda: app.session.ready)
            engine.die()
            await until(lambda start=start: engine.starts == start)
        await until(lambda: app.session.ready)
        engine.die()
        await until(lambda: app.session.engine.state == "failed")
        await until(lambda: engine.starts == 5)  # once more, without a model, so that another can be chosen
        assert engine.state.state == "asleep"
        engine.die()
        await asyncio.sleep(0.1)
        assert engine.starts == 5
        assert app.session.engine.state == "failed"


async def test_enter_sends_and_other_keys_make_lines(opened, engine, until):
    async with opened() as (app, pilot):
        await pilot.press("a", "shift+enter", "b", "ctrl+j", "c")
        assert app.chat.prompt.text == "a\nb\nc"
        await pilot.press("enter")
        await until(lambda: asked(engine, ask.SendMessage))
        assert asked(engine, ask.SendMessage)[0].text == "a\nb\nc"


async def test_up_and_down_walk_through_what_was_sent(opened, engine, until, say):
    async with opened() as (app, pilot):
        await say(app, pilot, "one")
        await say(app, pilot, "two")
        await pilot.press(*"draft")
        await pilot.press("up")
        assert app.chat.prompt.text == "two"
        await pilot.press("up")
        assert app.chat.prompt.text == "one"
        await pilot.press("down", "down")
        assert app.chat.prompt.text == "draft"


async def test_messages_are_selected_with_the_keys_and_with_the_mouse(opened, engine, until, say):
    async with opened() as (app, pilot):
        await say(app, pilot, "Hi")
        await pilot.press("ctrl+up")
        assert app.chat.selected() is app.chat.transcript.views[1]
        await pilot.press("ctrl+up")
        assert app.chat.selected() is app.chat.transcript.views[0]
        await pilot.press("ctrl+down", "ctrl+down")
        assert app.chat.prompt.has_focus
        await pilot.click(app.chat.transcript.views[0])
        assert app.chat.selected() is app.chat.transcript.views[0]
        await pilot.press("escape")
        assert app.chat.prompt.has_focus


async def test_a_reply_is_copied(opened, engine, until, say, monkeypatch):
    import pyperclip

    def no_clipboard(text):
        raise pyperclip.PyperclipException("none here")

    async with opened() as (app, pilot):
        await say(app, pilot, "Hi")
        monkeypatch.setattr(pyperclip, "copy", no_clipboard)
        await pilot.press("ctrl+y")
        await until(lambda: app.clipboard == engine.reply)
        await until(
            lambda: [one.message for one in asked(engine, ask.Copied)] == [app.chat.transcript.views[-1].message.id]
        )
        await until(lambda: "copied" in str(app.chat.transcript.views[-1].query_one(".note").content))
        copied = []
        monkeypatch.setattr(pyperclip, "copy", copied.append)
        await pilot.press("ctrl+up", "ctrl+up", "y")
        await until(lambda: copied == ["Hi"])
        assert len(asked(engine, ask.Copied)) == 1  # what the user said is no reply


async def test_a_streaming_reply_is_found_again_after_looking_elsewhere(opened, engine, until):
    engine.hold.clear()
    async with opened() as (app, pilot):
        other = engine.add_conversation("science", "Other")
        await pilot.press("a", "enter")
        await until(lambda: app.chat.talk and app.chat.talk.heard)
        first = app.session.conversation
        await app.chat.open_conversation(other)
        assert app.chat.talk is None
        assert not app.chat.transcript.views
        await app.chat.open_conversation(first)
        assert [view.message.text for view in app.chat.transcript.views] == ["a", engine.reply[:4]]
        engine.hold.set()
        await until(lambda: app.chat.target() and app.chat.target().message.text == engine.reply)
        assert len(app.chat.transcript.views) == 2


async def test_an_unanswered_question_is_answered_below_the_replies_before(opened, engine, until):
    row = engine.add_conversation("science", "Two questions")
    for role, text in ((Role.USER, "One?"), (Role.ASSISTANT, "One."), (Role.USER, "Two?")):
        engine.add_message(row.id, role, text)
    async with opened() as (app, _):
        await app.chat.open_conversation(row)
        command("reply.again").run(app.chat)
        await until(lambda: app.chat.talk is None and len(app.chat.transcript.replies) == 2)
        shown = [view.message.text for view in app.chat.transcript.views]
        assert shown == ["One?", "One.", "Two?", engine.reply]


async def test_a_long_conversation_shows_its_end_and_loads_the_rest_on_demand(opened, engine, until):
    row = engine.add_conversation("science", "Long")
    for number in range(PAGE + 10):
        engine.add_message(row.id, Role.USER, f"message {number}")
    async with opened() as (app, pilot):
        await app.chat.open_conversation(row)
        views = app.chat.transcript.views
        assert len(views) == PAGE
        assert views[-1].message.text == f"message {PAGE + 9}"
        app.chat.query_one(Earlier).focus()
        await pilot.press("enter")
        await until(lambda: len(app.chat.transcript.views) == PAGE + 10)
        assert app.chat.transcript.views[0].message.text == "message 0"
        assert not app.chat.query(Earlier)


async def test_before_a_search_hit_the_rest_loads_on_demand(opened, engine, until):
    row = engine.add_conversation("science", "Long")
    rows = [engine.add_message(row.id, Role.USER, f"message {number}") for number in range(PAGE * 2 + 10)]
    async with opened() as (app, pilot):
        for hit, rest in ((rows[PAGE * 2], True), (rows[20], True), (rows[2], False)):
            await app.chat.open_conversation(row, hit.id)
            await until(lambda hit=hit: app.chat.transcript.view_of(hit.id).has_focus)
            assert bool(app.chat.query(Earlier)) is rest
        await app.chat.open_conversation(row, rows[20].id)
        app.chat.query_one(Earlier).focus()
        await pilot.press("enter")
        await until(lambda: app.chat.transcript.views[0].message.id == rows[0].id)
        assert not app.chat.query(Earlier)


@pytest.fixture
def slow_pages(engine, monkeypatch):
    """Messages come only while this is set."""
    gate, give = asyncio.Event(), engine._conversations_messages
    gate.set()

    async def give_late(request, tell):
        await gate.wait()
        return await give(request, tell)

    monkeypatch.setattr(engine, "_conversations_messages", give_late)
    return gate


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_earlier_messages_are_shown_once_and_in_their_conversation(opened, engine, until, slow_pages, elsewhere):
    row = engine.add_conversation("science", "Long")
    words = [engine.add_message(row.id, Role.USER, f"message {number}").text for number in range(PAGE + 10)]
    async with opened() as (app, pilot):
        await app.chat.open_conversation(row)
        app.chat.query_one(Earlier).focus()
        slow_pages.clear()
        await pilot.press("enter", "enter")
        if elsewhere:
            await app.chat.choose_slot("creative")
        slow_pages.set()
        await app.workers.wait_for_complete()
        assert [view.message.text for view in app.chat.transcript.views] == ([] if elsewhere else words)


async def test_a_growing_conversation_never_mounts_more_than_its_limit(opened, engine):
    async with opened() as (app, _):
        for number in range(MOUNTED + 3):
            await app.chat.transcript.add(engine.add_message(1, Role.USER, str(number)), "Science")
        assert len(app.chat.transcript.views) == MOUNTED
        assert app.chat.query(Earlier)


async def test_pieces_are_gathered_before_they_are_drawn(opened, engine, until, monkeypatch):
    writes = []
    append = Prose.append
    monkeypatch.setattr(Prose, "append", lambda self, text: writes.append(text) or append(self, text))
    engine.reply = "word " * 400
    async with opened() as (app, pilot):
        await pilot.press("a", "enter")
        await until(lambda: app.chat.target())
        assert "".join(writes) == engine.reply
        assert len(writes) < 100 < len(engine.reply) // 4


@pytest.mark.parametrize("method", ["chat.thumb", "slots.list", "conversations.list", "lessons.list"])
async def test_no_key_waits_for_the_engine(opened, engine, until, say, method):
    async with opened() as (app, pilot):
        await say(app, pilot, "Hi")
        engine.stalled.add(method)
        app.chat.prompt.focus()
        await pilot.press("ctrl+g", "ctrl+t", "f2")
        await until(lambda: app.screen is not app.chat)
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)
        await pilot.press(*"word")
        await until(lambda: app.chat.prompt.text == "word", seconds=3)
        engine.stalled.clear()
