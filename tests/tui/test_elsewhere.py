"""The slot for other models and other people, from the palette: taught, brought, published."""

from __future__ import annotations

from textual.widgets import Button, Input, Static

from nightschool.schemas import messages as ask
from nightschool.schemas.audit import Finding
from nightschool.schemas.errors import Unauthorised
from nightschool.tui.commands import command
from nightschool.tui.screens.ask import AskScreen, ConfirmScreen
from nightschool.tui.screens.study import StudyScreen


async def begin(app, pilot, until, name):
    command(name).run(app.chat) if name != "slot.teach" else await command(name).run(app.chat)
    await until(lambda: isinstance(app.screen, AskScreen))
    await pilot.pause()


async def say(app, pilot, until, words):
    asked = app.screen
    asked.query_one(Input).value = words
    await pilot.press("enter")
    await until(lambda: app.screen is not asked)
    await pilot.pause()


def asked(engine, cls):
    return [request for request in engine.asked if isinstance(request, cls)]


def told(app):
    return [notice.message for notice in app._notifications]


async def test_a_slot_is_taught_another_model_that_is_here(opened, engine, until):
    async with opened() as (app, pilot):
        await engine.call(ask.PullModel(spec="smollm2-360m"))
        await begin(app, pilot, until, "slot.teach")
        assert app.screen.text == "smollm2-360m"
        await say(app, pilot, until, "smollm2-360m")
        await until(lambda: isinstance(app.screen, StudyScreen) and app.screen.ended is not None)
        (request,) = asked(engine, ask.TeachSlot)
        assert (request.slot, request.base) == ("science", "smollm2-360m")


async def test_an_adapter_is_brought_from_the_hub_and_tried(opened, engine, until):
    async with opened() as (app, pilot):
        await begin(app, pilot, until, "slot.bring")
        await say(app, pilot, until, "hub:eve/theirs")
        await until(lambda: isinstance(app.screen, StudyScreen) and app.screen.ended is not None)
        (request,) = asked(engine, ask.ImportAdapter)
        assert (request.folder, request.into) == ("/fetched", "science")
        assert request.source.startswith("hub:eve/theirs@")


async def test_what_goes_out_is_shown_and_agreed_to(opened, engine, until):
    async with opened() as (app, pilot):
        await begin(app, pilot, until, "slot.publish")
        await say(app, pilot, until, "ann/captain")
        await until(lambda: isinstance(app.screen, AskScreen) and app.screen.text == "CC-BY-4.0")
        await say(app, pilot, until, "MIT")
        await until(lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.pause()
        shown = str(app.screen.query_one(Static).render())
        assert "ann/captain" in shown and "README.md" in shown and engine.published == []
        app.screen.query_one("#yes", Button).press()
        await until(lambda: engine.published)
        assert engine.published[0].card.license == "MIT"
        await until(lambda: any("Published as" in words for words in told(app)))


async def test_what_the_audit_finds_stops_it(opened, engine, until):
    finding = Finding(name="1234abcd", kind="name", text="Kowalczyk", lesson=3)
    engine.audit = engine.audit.model_copy(update={"findings": [finding]})
    async with opened() as (app, pilot):
        await begin(app, pilot, until, "slot.publish")
        await say(app, pilot, until, "ann/captain")
        await until(lambda: isinstance(app.screen, AskScreen) and app.screen.text == "CC-BY-4.0")
        await say(app, pilot, until, "MIT")
        await until(lambda: any("Kowalczyk" in words for words in told(app)))
        assert not asked(engine, ask.PublishVersion)


async def test_an_error_of_the_hub_is_told(opened, engine, until):
    engine.fail["hub.fetch"] = Unauthorised("Accept its terms.")
    async with opened() as (app, pilot):
        await begin(app, pilot, until, "slot.bring")
        await say(app, pilot, until, "hub:eve/theirs")
        await until(lambda: any("Accept its terms" in words for words in told(app)))
        assert not asked(engine, ask.ImportAdapter)


async def test_a_folder_in_the_home_of_nobody_is_told(opened, engine, until):
    async with opened() as (app, pilot):
        await begin(app, pilot, until, "slot.bring")
        await say(app, pilot, until, "~nosuchuser/theirs")
        await until(lambda: any("~nosuchuser/theirs" in words for words in told(app)))
        assert not asked(engine, ask.ImportAdapter)
