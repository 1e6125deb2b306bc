"""Two slots side by side."""

from textual.widgets import Input, Select, Static

from nightschool.schemas.errors import StorageError
from nightschool.schemas.messages import CancelCompare, CompareSlots
from nightschool.tui.commands import command


async def opened_screen(app, until):
    command("slot.compare").run(app.chat)
    await until(lambda: type(app.screen).__name__ == "CompareScreen" and app.screen.query("#said1"))
    return app.screen


def said(screen, place):
    return str(screen.query_one(f"#said{place}", Static).content)


async def test_two_slots_answer_the_last_question_side_by_side(opened, engine, until):
    async with opened() as (app, pilot):
        await pilot.press(*"Why?", "enter")
        await until(lambda: len(app.chat.transcript.replies) == 1)
        screen = await opened_screen(app, until)
        assert screen.query_one(Input).value == "Why?"
        await pilot.press("enter")
        await until(lambda: said(screen, 0) == "science says so." and said(screen, 1) == "creative says so.")
        screen.query_one("#slot1", Select).value = "gaming"
        await until(lambda: screen.chosen == ["science", "gaming"])
        await until(lambda: not screen.running)
        await pilot.press("enter")
        await until(lambda: said(screen, 1) == "gaming says so.")
        (*_, asked) = [request for request in engine.asked if isinstance(request, CompareSlots)]
        assert (asked.text, asked.slots) == ("Why?", ["science", "gaming"])
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)


async def test_escape_stops_them_first(opened, engine, until):
    engine.pause = 0.2
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        await pilot.press(*"Why?", "enter")
        await until(lambda: said(screen, 0).strip() == "science")
        await pilot.press("escape")
        await until(lambda: not screen.running)
        assert app.screen is screen
        assert said(screen, 0) != "science says so."
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)


async def test_escape_twice_leaves_them_while_the_engine_does_not_answer(opened, engine, until):
    engine.stalled.add("slots.compare")
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        await pilot.press(*"Why?", "enter")
        await until(lambda: screen.running)
        await pilot.press("escape")
        await until(lambda: any(isinstance(request, CancelCompare) for request in engine.asked))
        assert app.screen is screen
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat, seconds=5)


async def test_a_comparison_that_fails_says_so(opened, engine, until):
    engine.fail["slots.compare"] = StorageError("The adapter is damaged; roll back.")
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        await pilot.press(*"Why?", "enter")
        await until(lambda: any("damaged" in note.message for note in app._notifications))
        assert not screen.running
