"""The screen that imports: a path, what the file would bring, the slot, a bar, and what can go wrong."""

from pathlib import Path

import pytest
from textual.widgets import Input

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import EngineLost, NotReadable
from nightschool.schemas.exchange import Found, ImportPreview, ImportReading
from nightschool.schemas.records import Lesson, LessonState, Step
from nightschool.tui.commands import command
from nightschool.tui.screens.import_chats import path_of
from nightschool.tui.scripted_exchange import PREVIEW


def drawn(app):
    """Return what the terminal would get."""
    return " ".join("\n".join(strip.text for strip in app.screen._compositor.render_strips()).replace("│", " ").split())


def asked(engine, cls):
    return [request for request in engine.asked if isinstance(request, cls)]


async def look(app, pilot, until, path="/tmp/chats.zip"):
    command("conversation.import").run(app.chat)
    await until(lambda: app.screen.query("#import Input"))
    app.screen.query_one(Input).value = path
    await pilot.press("enter")
    return app.screen


async def test_a_file_is_seen_before_it_is_imported_into_the_chosen_slot(opened, engine, until):
    async with opened() as (app, pilot):
        screen = await look(app, pilot, until)
        await until(lambda: screen.preview)
        await pilot.pause()
        text = drawn(app)
        assert "3 new conversations with 14 turns, 2024-04-05 to 2024-06-10" in text
        assert "Rye bread · A swing in the oak · Knots" in text and "Left out 1: nothing was said in it" in text
        assert "imports them into Science" in text and asked(engine, ask.RunImport) == []
        await pilot.press("ctrl+t")
        await until(lambda: "imports them into Creative" in drawn(app))
        await pilot.press("ctrl+s")
        await until(lambda: app.screen is app.chat)
        (request,) = asked(engine, ask.RunImport)
        assert (request.file, request.slot) == ("/tmp/chats.zip", "creative")
        assert any("Imported 3 conversations." in toast.message for toast in app._notifications)
        await app.chat.choose_slot("creative")
        await until(lambda: "Knots" in drawn(app))
        await app.chat.open_conversation(app.session.conversations[0])
        await until(lambda: "from chatgpt" in drawn(app))


async def test_an_import_goes_on_behind_the_chat_and_can_be_stopped(opened, engine, until):
    async with opened() as (app, pilot):
        screen = await look(app, pilot, until)
        await until(lambda: screen.preview)
        engine.hold.clear()
        await pilot.press("ctrl+s")
        await until(lambda: "Importing chats.zip" in drawn(app))
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)
        assert app.session.importing
        command("conversation.import").run(app.chat)
        await until(lambda: "Importing chats.zip" in drawn(app))
        await pilot.press("ctrl+x")
        await until(lambda: app.session.importing is None and app.screen is app.chat)
        assert any("Stopped after 0 conversations" in toast.message for toast in app._notifications)


@pytest.mark.parametrize("key", ["ctrl+x", "escape"])
async def test_a_look_is_stopped(opened, engine, until, key):
    engine.hold.clear()
    async with opened() as (app, pilot):
        screen = await look(app, pilot, until)
        await until(lambda: "Reading chats.zip" in drawn(app))
        assert not screen.check_action("bring", ())
        await pilot.press(key)
        await until(lambda: screen.reading is None or app.screen is app.chat)
        await until(lambda: asked(engine, ask.CancelImport))
        assert asked(engine, ask.RunImport) == []


async def test_what_cannot_be_read_is_said_and_another_file_may_be_named(opened, engine, until):
    engine.fail["imports.preview"] = NotReadable("x.zip is no export of chats that is known\x1b[2J.")
    async with opened() as (app, pilot):
        screen = await look(app, pilot, until, "/tmp/x.zip")
        await until(lambda: "is no export of chats" in drawn(app))
        assert not screen.check_action("bring", ()) and "\x1b" not in drawn(app)
        await pilot.press("enter")
        await until(lambda: screen.preview)
        await pilot.press("y")
        await until(lambda: screen.preview is None)


async def test_a_file_with_slots_of_its_own_goes_into_them(opened, engine, until):
    engine.preview = PREVIEW.model_copy(update={"slots": {"cooking": 3}, "new_slots": ["cooking"]})
    async with opened() as (app, pilot):
        screen = await look(app, pilot, until)
        await until(lambda: "into the slots that they name" in drawn(app))
        assert not screen.check_action("slot", ())
        await pilot.press("ctrl+s")
        await until(lambda: asked(engine, ask.RunImport))
        assert asked(engine, ask.RunImport)[0].slot is None


async def test_what_brings_nothing_cannot_be_imported(opened, engine, until):
    engine.preview = ImportPreview(file="", importers=["X"], found=Found(known=2))
    async with opened() as (app, pilot):
        screen = await look(app, pilot, until)
        await until(lambda: "nothing that is not here" in drawn(app))
        await pilot.press("ctrl+s")
        assert not screen.check_action("bring", ()) and asked(engine, ask.RunImport) == []


async def test_an_import_that_fails_is_told(opened, engine, until):
    async with opened() as (app, pilot):
        screen = await look(app, pilot, until)
        await until(lambda: screen.preview)
        engine.fail["imports.run"] = EngineLost("The engine ended before it answered.")
        await pilot.press("ctrl+s")
        await until(lambda: any("ended before it answered" in toast.message for toast in app._notifications))
        assert app.session.importing is None


async def test_it_fits_a_small_terminal(opened, engine, until):
    async with opened(size=(60, 20)) as (app, pilot):
        screen = await look(app, pilot, until)
        await until(lambda: screen.preview)
        await until(lambda: "ctrl+s imports them" in drawn(app))


def test_a_path_may_be_quoted_escaped_or_begin_with_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "my chats.zip"
    file.touch()
    for text in (str(file), f"'{file}'", str(file).replace(" ", "\\ "), "~/my chats.zip", f" {file} "):
        assert path_of(text) == file
    assert path_of("it's").name == "it's"


async def test_a_path_that_cannot_be_is_looked_for_as_it_stands(opened, engine, until):
    for text in ("~nosuchuser/chats.zip", "x" * 5000):
        assert path_of(text) == Path(text).absolute()
    async with opened() as (app, pilot):
        screen = await look(app, pilot, until, "~nosuchuser/chats.zip")
        await until(lambda: screen.preview)
        assert asked(engine, ask.PreviewImport)[0].file == str(Path("~nosuchuser/chats.zip").absolute())


async def test_what_an_import_teaches_is_shown_to_be_confirmed(opened, engine, until):
    fields = {"state": LessonState.PROPOSED, "steps": [Step(rewriter="case")]}
    lessons = [Lesson(id=70 + n, slot=slot, rule=f"Rule of {slot}.", **fields) for n, slot in enumerate(engine.slots)]
    engine.reading = ImportReading(conversations=3, lessons=lessons[:2])
    engine.lessons[99] = lessons[3].model_copy(update={"id": 99})
    async with opened() as (app, pilot):
        screen = await look(app, pilot, until)
        await until(lambda: screen.preview)
        await pilot.press("ctrl+s")
        await until(lambda: "What the import teaches" in drawn(app))
        await until(lambda: "gaming" not in drawn(app) and "creative: Rule of creative." in drawn(app))
        assert [lesson.id for lesson in app.screen.lessons] == [71, 70], "only what was found, of every slot"
        await pilot.press("a")
        await until(lambda: engine.lessons[71].state is LessonState.APPROVED)
        assert engine.lessons[70].state is LessonState.PROPOSED
