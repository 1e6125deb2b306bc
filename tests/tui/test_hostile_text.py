"""What models, users and files say is text and nothing else: no markup, no escape sequence, no action, no link."""

import pytest
from textual.widgets import OptionList

from nightschool.schemas.errors import StorageError
from nightschool.schemas.records import Evidence, Lesson, LessonState, Role, Step

HOSTILE = ["[red]x[/]", "\x1b]0;evil\x07", "[@click=app.quit]x[/]", "\x9b2J\u202eabc", "[/] [bold", "$accent [$error]x"]


def drawn(app):
    """Return what the terminal would get, cell by cell."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def is_plain(text):
    return not any((ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160 or char == "\u202e" for char in text)


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_everywhere_in_the_chat_is_only_shown(opened, engine, until, text):
    engine.reply = text
    async with opened() as (app, pilot):
        app.chat.prompt.text = f"said {text}"
        await pilot.press("enter")
        await until(lambda: app.chat.target())
        row = app.session.conversation
        engine.conversations[row.id] = row.model_copy(update={"title": text})
        engine.slots["science"] = engine.slots["science"].model_copy(update={"title": text, "description": text})
        await app.chat.refresh_slots()
        await app.chat.refresh_library()
        app.chat.tell(text, "error")
        await pilot.pause()
        screen = drawn(app)
        assert is_plain(screen)
        if text.startswith("[") and text.endswith("[/]"):
            assert screen.count(text) >= 4  # the message, the reply, the prompt's title, the notification
        await pilot.click(app.chat.target().query_one(".body"))
        assert app.is_running
        await pilot.press("ctrl+n")
        await until(lambda: not app.chat.transcript.views)
        assert is_plain(drawn(app))


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_in_lessons_reports_and_search_is_only_shown(opened, engine, until, text):
    row = engine.add_conversation("science", text)
    engine.add_message(row.id, Role.USER, f"needle {text}")
    evidence = [Evidence(prompt=text, before=text, after=text, said=text)]
    steps = [Step(rewriter=text)]
    state = LessonState.APPROVED
    engine.lessons[7] = Lesson(
        id=7, slot="science", state=state, rule=text, steps=steps, reason=text, evidence=evidence
    )
    async with opened() as (app, pilot):
        for key, name in (("f2", "LessonsScreen"), ("f3", "SearchScreen"), ("f5", "StudyScreen")):
            await pilot.press(key)
            await until(lambda name=name: type(app.screen).__name__ == name)
            if key == "f3":
                await pilot.press(*"needle")
                await until(lambda: app.screen.hits)
            if key == "f5":
                await until(lambda: "will be learned" in drawn(app))
                await pilot.press("enter")
                await until(lambda: app.screen.ended)
            await pilot.pause()
            assert is_plain(drawn(app))
            await pilot.press("escape")
            await until(lambda: app.screen is app.chat)
        await pilot.press("f4")
        await until(lambda: type(app.screen).__name__ == "VersionsScreen")
        await until(lambda: app.screen.query_one(OptionList).option_count == 2)
        assert is_plain(drawn(app))


async def test_an_error_with_markup_is_told_as_it_is(opened, engine, until):
    engine.fail["slots.list"] = StorageError("[@click=app.quit]no[/] \x1b[31mspace")
    async with opened() as (app, pilot):
        await app.chat.refresh_learning()
        await until(lambda: "[@click=app.quit]no[/] ␛[31mspace" in [toast.message for toast in app._notifications])
        await pilot.pause()
        assert is_plain(drawn(app))


async def test_a_link_is_not_opened_before_the_user_agrees(opened, engine, until, monkeypatch):
    engine.reply = "[here](https://example.org/a?b=c')"
    visited = []
    async with opened() as (app, pilot):
        monkeypatch.setattr(app, "open_url", lambda address, **options: visited.append(address))
        await pilot.press("a", "enter")
        view = await until(lambda: app.chat.target())
        await pilot.pause()
        await pilot.click(view.query_one("Prose"), offset=(1, 0))
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        assert "https://example.org/a?b=c" in drawn(app)
        await pilot.press("enter")  # the button that has the focus refuses
        await until(lambda: app.screen is app.chat)
        assert visited == []
        await pilot.click(view.query_one("Prose"), offset=(1, 0))
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.click("#yes")
        await until(lambda: visited)


async def test_html_in_a_reply_is_shown_and_lines_stay_lines(opened, engine, until):
    engine.reply = "roses <b>are</b> red\nvector<int> is blue"
    async with opened() as (app, pilot):
        await pilot.press("a", "enter")
        await until(lambda: app.chat.target())
        await pilot.pause()
        screen = drawn(app)
        assert "roses <b>are</b> red" in screen
        assert "vector<int> is blue" in screen
        assert "red vector" not in screen
