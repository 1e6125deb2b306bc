"""Corrections, lessons, studies and generations, over the scripted engine."""

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import StudyRunning
from nightschool.schemas.records import LessonRelation, LessonState, MemoryNote, RelationKind, VersionKind
from nightschool.tui.commands import command


@pytest.fixture
def taught(opened, engine, until):
    """An open app with one reply, corrected: it begins with “Captain, ”."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def teach(**options):
        async with opened(**options) as (app, pilot):
            app.chat.prompt.text = "What is the capital of France?"
            await pilot.press("enter")
            await until(lambda: app.chat.target())
            await pilot.press("ctrl+e")
            editor = await until(lambda: app.chat.target().editor)
            await until(lambda: editor.has_focus)
            await pilot.press("home", *"Captain, ", "ctrl+s")
            await until(lambda: app.chat.target().message.original)
            await until(lambda: app.session.slot.waiting == 1)
            yield app, pilot

    return teach


def note(view):
    return str(view.query_one(".note").content)


def body(screen, name):
    return str(screen.query_one(name).content)


async def opened_screen(app, until, name):
    await until(lambda: type(app.screen).__name__ == name)
    return app.screen


async def test_the_editor_jumps_to_the_start_and_the_end_of_a_long_reply(opened, until):
    async with opened() as (app, pilot):
        app.chat.prompt.text = "What is the capital of France?"
        await pilot.press("enter")
        await until(lambda: app.chat.target())
        await pilot.press("ctrl+e")
        editor = await until(lambda: app.chat.target().editor)
        await until(lambda: editor.has_focus)
        editor.text = "one\ntwo\nthree"
        await pilot.press("ctrl+end", "!", "ctrl+home", "*")
        assert editor.text == "*one\ntwo\nthree!"


async def test_an_edit_in_place_becomes_a_lesson_with_a_mark(taught, engine, until):
    async with taught() as (app, _):
        view = app.chat.target()
        assert view.message.text == "Captain, " + engine.reply
        assert view.editor is None
        assert "✎ will learn: Begin every reply with “Captain,”." in note(view)
        assert "edited by you" in note(view)
        assert app.chat.prompt.has_focus
        assert "1 lesson waits" in str(app.chat.query_one("#status").content)


async def test_an_edit_can_be_left_without_a_trace(opened, engine, until):
    async with opened() as (app, pilot):
        await pilot.press("a", "enter")
        await until(lambda: app.chat.target())
        await pilot.press("ctrl+e")
        await until(lambda: app.chat.editing)
        await pilot.press("x", "escape")
        await until(lambda: not app.chat.target().editor)
        assert app.chat.target().message.text == engine.reply
        assert not engine.signals


async def test_undo_takes_the_lesson_back_and_restores_the_text(taught, engine, until):
    async with taught() as (app, pilot):
        await pilot.press("ctrl+u")
        await until(lambda: app.chat.target().message.text == engine.reply)
        assert "will learn" not in note(app.chat.target())
        assert not engine.lessons
        await until(lambda: app.session.slot.waiting == 0)


async def test_undo_leaves_the_key_to_the_prompt_while_something_is_written(taught, engine, until):
    async with taught() as (app, pilot):
        await pilot.press(*"words", "ctrl+u")
        assert app.chat.prompt.text == ""
        assert engine.lessons


async def test_a_thumb_is_given_and_taken_back(opened, engine, until):
    async with opened() as (app, pilot):
        await pilot.press("a", "enter")
        await until(lambda: app.chat.target())
        await pilot.press("ctrl+g")
        await until(lambda: "▲" in note(app.chat.target()))
        await pilot.press("ctrl+b")
        await until(lambda: "▼" in note(app.chat.target()))
        await pilot.press("ctrl+b")
        await until(lambda: app.chat.target().message.thumb == 0)


async def test_a_reply_is_rewritten_in_the_users_own_editor(opened, engine, until, tmp_path, monkeypatch):
    from contextlib import nullcontext

    program = tmp_path / "editor"
    program.write_text('#!/bin/sh\nprintf "Captain, " > "$1.new"; cat "$1" >> "$1.new"; mv "$1.new" "$1"\n')
    program.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(program))
    async with opened() as (app, pilot):
        monkeypatch.setattr(app, "suspend", nullcontext)
        await pilot.press("a", "enter")
        await until(lambda: app.chat.target())
        await pilot.press("ctrl+o")
        await until(lambda: app.chat.target().message.text == "Captain, " + engine.reply)


async def test_a_rule_said_in_the_chat_is_marked_beside_the_users_words(opened, engine, until):
    async with opened() as (app, pilot):
        app.chat.prompt.text = "Always answer in lowercase."
        await pilot.press("enter")
        await until(lambda: app.chat.target())
        await until(lambda: "✎ will learn: Answer in lowercase." in note(app.chat.transcript.views[0]))


async def test_marks_are_there_again_when_a_conversation_is_opened(taught, engine, until):
    async with taught() as (app, pilot):
        row = app.session.conversation
        await pilot.press("ctrl+n")
        await until(lambda: not app.chat.transcript.views)
        await app.chat.open_conversation(row)
        assert "will learn" in note(app.chat.target())


async def test_lessons_are_dismissed_approved_and_reworded(taught, engine, until):
    async with taught() as (app, pilot):
        [lesson] = engine.lessons
        await pilot.press("f2")
        screen = await opened_screen(app, until, "LessonsScreen")
        await until(lambda: screen.lessons)
        await pilot.press("d")
        await until(lambda: engine.lessons[lesson].state is LessonState.DISMISSED)
        await until(lambda: screen.lesson.state is LessonState.DISMISSED)
        await pilot.press("f")
        await until(lambda: not screen.lessons)
        await pilot.press("f")
        await until(lambda: screen.lesson)
        await pilot.press("a")
        await until(lambda: engine.lessons[lesson].state is LessonState.APPROVED)
        await pilot.press("e")
        await opened_screen(app, until, "AskScreen")
        await pilot.press(*"Say ahoy.", "enter")
        await until(lambda: engine.lessons[lesson].rule == "Say ahoy.")
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)
        await until(lambda: "Say ahoy." in note(app.chat.target()))


async def test_lessons_are_merged_and_given_an_end(taught, engine, until):
    async with taught() as (app, pilot):
        (first,) = engine.lessons
        engine.lessons[500] = engine.lessons[first].model_copy(update={"id": 500})
        engine.relations = [
            LessonRelation(kind=kind, slot="science", earlier=first, later=500, earlier_says="A.", later_says="B.")
            for kind in RelationKind
        ]
        await pilot.press("f2")
        screen = await opened_screen(app, until, "LessonsScreen")
        await until(lambda: screen.lesson and screen.lesson.id == 500)
        await until(lambda: "This one wins" in str(screen.query_one("#lesson > Static").content))
        await pilot.press("t")
        await opened_screen(app, until, "AskScreen")
        await pilot.press(*"2031-12-24", "enter")
        await until(lambda: engine.lessons[500].expires is not None)
        await until(lambda: "until 2031-12-24" in str(screen.query_one("#lesson > Static").content))
        await pilot.press("m")
        await opened_screen(app, until, "ConfirmScreen")
        await pilot.press("tab", "enter")
        await until(lambda: engine.lessons[first].merged == 500)


async def test_what_is_known_of_the_user_is_read_reworded_taught_and_forgotten(opened, engine, until):
    engine.notes[500] = MemoryNote(id=500, text="My name is [b]Ada[/b].")
    async with opened() as (app, pilot):
        command("memory").run(app.chat)
        screen = await opened_screen(app, until, "MemoryScreen")
        await until(lambda: screen.notes)
        await pilot.press("a")
        await opened_screen(app, until, "AskScreen")
        await pilot.press(*"I live in Bergen.", "enter")
        await until(lambda: len(screen.notes) == 2)
        await pilot.press("e")
        await opened_screen(app, until, "AskScreen")
        await pilot.press(*"My name is Bob.", "enter")
        await until(lambda: engine.notes[500].text == "My name is Bob.")
        await until(lambda: screen.note and screen.note.text == "My name is Bob.")
        await pilot.press("t")
        await until(lambda: [lesson.rule for lesson in engine.lessons.values() if "Bob" in lesson.rule])
        await until(lambda: any("My name is Bob." in note.message for note in app._notifications))
        await pilot.press("d")
        await until(lambda: [note.text for note in screen.notes] == ["I live in Bergen."])


async def test_a_learned_lesson_is_forgotten_after_a_question(taught, engine, until):
    async with taught() as (app, pilot):
        (number,) = engine.lessons
        await pilot.press("f2")
        screen = await opened_screen(app, until, "LessonsScreen")
        await until(lambda: screen.lessons)
        await pilot.press("x")
        await pilot.pause()
        assert app.screen is screen, "what is not learned cannot be forgotten"
        learned = {"state": LessonState.LEARNED}
        engine.lessons[number] = engine.lessons[number].model_copy(update=learned)
        await pilot.press("f", "f")
        await until(lambda: screen.lesson and screen.lesson.state is LessonState.LEARNED)
        await pilot.press("x")
        await opened_screen(app, until, "ConfirmScreen")
        await pilot.press("escape")
        await until(lambda: app.screen is screen)
        assert engine.lessons[number].state is LessonState.LEARNED
        await pilot.press("x")
        await opened_screen(app, until, "ConfirmScreen")
        await pilot.press("tab", "enter")
        study = await opened_screen(app, until, "StudyScreen")
        await until(lambda: study.ended is not None)
        assert engine.lessons[number].state is LessonState.DISMISSED
        assert "What it forgot" in str(study.query_one("#words > Static").content)


async def test_a_study_shows_its_plan_its_curve_and_its_report(taught, engine, until):
    engine.pause = 0.05
    engine.steps = 30
    async with taught() as (app, pilot):
        await pilot.press("f5")
        screen = await opened_screen(app, until, "StudyScreen")
        words = screen.query_one("#words > Static")
        await until(lambda: "Begin every reply with “Captain,”." in str(words.content))
        await pilot.press("enter")
        await until(lambda: "step" in str(words.content) and "left" in str(words.content))
        assert screen.query_one("#curve").display
        await until(lambda: "Accepted: generation 1" in str(words.content))
        report = str(words.content)
        assert "92%" in report
        assert "0.04 (limit 0.1)" in report
        assert "Captain, Mount Everest" in report
        await until(lambda: app.session.slot.current == 1)
        await pilot.press("escape")
        await until(lambda: "✓ learned" in note(app.chat.target()))
        await pilot.press("b", "enter")
        await until(lambda: "generation 1" in note(app.chat.target()))


async def test_a_rejected_study_says_why_and_changes_nothing(taught, engine, until):
    engine.accept = False
    async with taught() as (app, pilot):
        await pilot.press("f5")
        screen = await opened_screen(app, until, "StudyScreen")
        await until(lambda: "This will be learned" in body(screen, "#words > Static"))
        await pilot.press("enter")
        await until(lambda: "Rejected" in body(screen, "#words > Static"))
        assert "drift 0.31 over 0.10" in body(screen, "#words > Static")
        await until(lambda: app.session.study is None)
        assert app.session.slot.current == 0


async def test_a_study_goes_on_while_the_user_chats_and_can_be_cancelled(taught, engine, until):
    engine.pause = 0.02
    engine.steps = 10_000
    async with taught() as (app, pilot):
        await pilot.press("f5")
        screen = await opened_screen(app, until, "StudyScreen")
        await until(lambda: "This will be learned" in body(screen, "#words > Static"))
        await pilot.press("enter")
        await until(lambda: app.session.study)
        await pilot.press("escape")
        await until(lambda: "studying Science" in str(app.chat.query_one("#status").content))
        engine.reply = "Meanwhile."
        await pilot.press("b", "enter")
        await until(lambda: app.chat.talk is None and app.chat.target().message.text == "Meanwhile.")
        await pilot.press("f5")
        screen = await opened_screen(app, until, "StudyScreen")
        await pilot.press("c")
        await until(lambda: "Cancelled" in body(screen, "#words > Static"))
        assert not any(row.kind is VersionKind.STUDY for row in engine.versions["science"])


async def test_nothing_to_learn_is_said_and_not_started(opened, engine, until):
    async with opened() as (app, pilot):
        await pilot.press("f5")
        screen = await opened_screen(app, until, "StudyScreen")
        await until(lambda: "Nothing waits to be learned" in body(screen, "#words > Static"))


async def test_a_study_that_cannot_begin_says_why(taught, engine, until):
    engine.fail["study.start"] = StudyRunning("A study is already under way; wait or cancel it.")
    async with taught() as (app, pilot):
        await pilot.press("f5")
        screen = await opened_screen(app, until, "StudyScreen")
        await until(lambda: "This will be learned" in body(screen, "#words > Static"))
        await pilot.press("enter")
        await until(lambda: "already under way" in body(screen, "#words > Static"))


async def test_one_key_goes_back_to_an_earlier_generation(taught, engine, until):
    async with taught() as (app, pilot):
        await engine.call(ask.StartStudy(slot="science"))
        await until(lambda: app.session.slot.current == 1)
        await pilot.press("f4")
        screen = await opened_screen(app, until, "VersionsScreen")
        await until(lambda: len(screen.versions) == 2)
        assert "92%" in body(screen, "#version > Static")
        await pilot.press("r")
        await until(lambda: len(screen.versions) == 3)
        assert screen.versions[0].restores == 0
        await pilot.press("down", "r")  # a selected one can be gone back to as well, here the one that was learned
        await until(lambda: len(screen.versions) == 4)
        assert screen.versions[0].restores == 1
        await pilot.press("escape")
        await until(lambda: app.session.slot.current == 3)
