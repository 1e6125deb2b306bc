"""Publishers in the app: whom one believes, by which keys, and how these change."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, Static

from nightschool.marketplace.trust.publisher import rotate
from nightschool.schemas.errors import StorageError
from nightschool.tests.marketplace.people import key_set, keys, publisher
from nightschool.tui.commands import command
from nightschool.tui.publishing import read_public


def lines(screen):
    options = screen.query_one(OptionList)
    return [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]


def shown(app, selector="#keys > Static"):
    return str(app.screen.query_one(selector, Static).content)


async def opened_screen(app, until, rows):
    command("trust").run(app.chat)
    await until(lambda: type(app.screen).__name__ == "TrustScreen" and app.screen.query(OptionList))
    await until(lambda: len(lines(app.screen)) == rows)
    return app.screen


def meet(market, made):
    market.trust.meet(made, confirmed=made.keys.fingerprint, registry="home")


async def pin(app, pilot, until, made, tmp_path):
    file = tmp_path / "given.json"
    file.write_bytes(made.dump())
    await pilot.press("p")
    await until(lambda: type(app.screen).__name__ == "AskScreen")
    app.screen.query_one(Input).value = str(file)
    await pilot.press("enter")


async def test_publishers_are_shown_with_their_keys_and_how_these_changed(opened, until, market):
    ada = publisher("ada", (1,))
    meet(market, ada)
    newer = rotate(ada, key_set(2, 3, threshold=2), keys(1, 2, 3), created=2)
    market.trust.meet(newer)
    async with opened() as (app, _):
        screen = await opened_screen(app, until, 1)
        assert "ada" in lines(screen)[0] and "Verified" in lines(screen)[0] and newer.keys.words in lines(screen)[0]
        text = shown(app)
        for said in (newer.keys.fingerprint, ada.keys.fingerprint, ada.keys.words, "2 of 2, document 2", "before"):
            assert said in text, said


async def test_keys_that_a_registry_lists_and_are_not_pinned_are_said(opened, until, market):
    market.list_all("captain")
    market.known()
    meet(market, publisher("ada", (7,)))
    async with opened() as (app, _):
        screen = await opened_screen(app, until, 1)
        assert "Key changed" in lines(screen)[0]
        assert market.ada.keys.fingerprint in shown(app)


async def test_a_publisher_is_pinned_from_its_file_after_a_question(opened, until, market, tmp_path):
    eve = publisher("eve", (5,))
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until, 0)
        for answer in ("escape", "ctrl+s"):
            await pin(app, pilot, until, eve, tmp_path)
            await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
            assert eve.keys.words in app.screen.subject and eve.keys.fingerprint in app.screen.subject
            assert market.trust.pins() == []
            await pilot.press(answer)
            await until(lambda: app.screen is screen)
        await until(lambda: len(lines(screen)) == 1)


def test_a_path_that_cannot_be_holds_no_publisher():
    with pytest.raises(StorageError):
        read_public(Path("x" * 5000))


async def test_other_keys_are_refused_until_the_old_ones_are_named(opened, until, market, tmp_path):
    eve, other = publisher("eve", (5,)), publisher("eve", (6,))
    meet(market, eve)
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until, 1)
        for typed, done in (("a" * 64, False), (eve.keys.fingerprint, True)):
            await pin(app, pilot, until, other, tmp_path)
            await until(lambda: type(app.screen).__name__ == "AskScreen" and "Other keys" in app.screen.heading)
            app.screen.query_one(Input).value = typed
            await pilot.press("enter")
            await until(lambda: app.screen is screen)
            assert (market.trust.pin("eve").keys == other.keys) is done
        assert "[equivocation]" in shown(app)
        assert other.keys.words in lines(screen)[0]


async def test_a_publisher_is_forgotten_after_a_question(opened, until, market):
    meet(market, publisher("eve", (5,)))
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until, 1)
        await pilot.press("d")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.press("ctrl+s")
        await until(lambda: app.screen is screen and lines(screen) == [])
        assert market.trust.pins() == []


async def test_a_trust_store_that_does_not_read_is_said_to_be_one(opened, until, market):
    meet(market, publisher("eve", (5,)))
    (market.home.trust / "pins.json").write_text("{")
    async with opened() as (app, _):
        await opened_screen(app, until, 0)
        await until(lambda: "[cannot-check-trust]" in shown(app, "#notice"))
