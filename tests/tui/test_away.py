"""Slots that are archived or deleted in the app, and the way back for each."""

from textual.widgets import OptionList

from nightschool.schemas.errors import UsageError
from nightschool.schemas.records import Garbage, Role
from nightschool.tui.commands import command


def shown(app):
    return [slot.name for slot in app.session.slots]


def rows(screen):
    options = screen.query_one(OptionList)
    return [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]


async def opened_screen(app, until, name):
    await until(lambda: type(app.screen).__name__ == name and app.screen.query("*"))
    return app.screen


async def test_an_archived_slot_leaves_the_sidebar_and_comes_back_with_undo(opened, engine, until):
    async with opened() as (app, pilot):
        app.chat.begin(command("slot.archive").run(app.chat))
        await until(lambda: engine.slots["science"].archived and shown(app) == ["creative", "gaming", "professional"])
        await until(lambda: app.session.slot_name == "creative")
        await pilot.press("ctrl+u")
        await until(lambda: engine.slots["science"].archived is None)
        await until(lambda: shown(app)[0] == "science" and app.session.slot_name == "science")


async def test_a_slot_is_deleted_only_after_a_yes(opened, engine, until):
    async with opened() as (app, pilot):
        for answer, deleted in (("enter", False), ("ctrl+s", True)):
            command("slot.delete").run(app.chat)
            await opened_screen(app, until, "ConfirmScreen")
            await pilot.press(answer)
            await until(lambda: app.screen is app.chat)
            await until(lambda: ("science" not in shown(app)) is deleted)  # noqa: B023 (awaited at once)
        assert engine.slots["science"].deleted is not None
        await until(lambda: app.session.slot_name == "creative")
        await pilot.press("ctrl+u")
        await until(lambda: engine.slots["science"].deleted is None and "science" in shown(app))


async def test_the_last_slot_stays_and_it_is_said_why(opened, engine, until):
    engine.fail["slots.archive"] = UsageError("science is the last slot in use; make another one first.")
    async with opened() as (app, _):
        app.chat.begin(command("slot.archive").run(app.chat))
        await until(lambda: any("last slot" in note.message for note in app._notifications))
        assert shown(app)[0] == "science"
        assert app.session.undos == []


async def test_what_is_out_of_sight_is_listed_and_brought_back(opened, engine, until):
    engine._mark("gaming", archived=5.0)
    engine._mark("science", deleted=6.0)
    async with opened() as (app, pilot):
        await until(lambda: shown(app) == ["creative", "professional"])
        command("slot.away").run(app.chat)
        screen = await opened_screen(app, until, "AwayScreen")
        await until(lambda: len(rows(screen)) == 2)
        assert "Gaming" in rows(screen)[0] and "archived" in rows(screen)[0]
        assert "Science" in rows(screen)[1] and "kept until" in rows(screen)[1]
        await pilot.press("down", "b")
        await until(lambda: engine.slots["science"].deleted is None and len(rows(screen)) == 1)
        await pilot.press("d")
        await opened_screen(app, until, "ConfirmScreen")
        await pilot.press("ctrl+s")
        await until(lambda: engine.slots["gaming"].deleted is not None)
        await until(lambda: app.screen is screen and "kept until" in rows(screen)[0])
        await pilot.press("b")
        await until(lambda: "No slot is" in rows(screen)[0] or "archived" in rows(screen)[0])
        await pilot.press("b", "escape")
        await until(lambda: app.screen is app.chat and len(shown(app)) == 4)


async def test_a_message_of_an_archived_slot_is_found_and_opened(opened, engine, until):
    row = engine.add_conversation("gaming", "Castle")
    engine.add_message(row.id, Role.USER, "Build a castle")
    engine._mark("gaming", archived=5.0)
    async with opened() as (app, pilot):
        await pilot.press("f3")
        screen = await opened_screen(app, until, "SearchScreen")
        await pilot.press(*"castle")
        await until(lambda: len(screen.hits) == 1)
        await pilot.press("enter")
        await until(lambda: app.session.conversation == row)
        assert app.session.slot.title == "Gaming"
        await pilot.press("ctrl+t")
        await until(lambda: app.session.slot_name != "gaming")
        await until(lambda: "gaming" not in shown(app))


async def test_a_generation_is_pinned_by_key(opened, engine, until):
    engine._add_version("science", kind="study")
    async with opened() as (app, pilot):
        await pilot.press("f4")
        screen = await opened_screen(app, until, "VersionsScreen")
        await until(lambda: len(rows(screen)) == 2)
        await pilot.press("p")
        await until(lambda: engine.versions["science"][1].pinned and "pinned" in rows(screen)[0])
        await pilot.press("p")
        await until(lambda: not engine.versions["science"][1].pinned and "pinned" not in rows(screen)[0])


async def test_a_clean_up_says_what_goes_before_it_goes(opened, engine, until):
    engine.garbage = [Garbage(text="What study 3 left", bytes=2_500_000)]
    async with opened() as (app, pilot):
        app.chat.begin(command("slot.clean").run(app.chat))
        screen = await opened_screen(app, until, "ConfirmScreen")
        assert (screen.question, screen.subject) == ("Remove 2.5 MB?", "What study 3 left")
        await pilot.press("ctrl+s")
        await until(lambda: engine.garbage == [])
        await until(lambda: any("2.5 MB came free" in note.message for note in app._notifications))
        app.chat.begin(command("slot.clean").run(app.chat))
        await until(lambda: any("nothing to remove" in note.message for note in app._notifications))
