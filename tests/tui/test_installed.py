"""What came from others, in the app: newer versions, holding, looking at the files, removing."""

from __future__ import annotations

import pytest
from textual.widgets import OptionList, Static

from nightschool.schemas.records import Lesson, LessonState, Step, StoreCheck, StoreFinding, VersionKind
from nightschool.schemas.trust import RevokedKind
from nightschool.tui.commands import command
from nightschool.tui.market import find
from nightschool.tui.taking import Taker, take_listed


def lines(screen):
    options = screen.query_one(OptionList)
    return [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]


def shown(app, selector="#one > Static"):
    return str(app.screen.query_one(selector, Static).content)


async def take(market, engine, name="captain"):
    """Install a slot, as the screens would."""

    async def agree(offer, judgement):
        return offer.keys.fingerprint

    taker = Taker(market.home, engine.call, agree, note=lambda words: None, tell=lambda stage, share: None)
    found = find(market.home, name, None)
    return await take_listed(taker, found, found.slot.latest, None)


@pytest.fixture
def captain(market, engine):
    """A market with a captain, and how to take it."""
    market.list_all("captain")
    market.known()

    async def taken():
        return await take(market, engine)

    return taken


async def opened_screen(app, until, rows=1):
    command("installed").run(app.chat)
    await until(lambda: type(app.screen).__name__ == "InstalledScreen" and app.screen.query(OptionList))
    await until(lambda: len(lines(app.screen)) == rows)
    return app.screen


async def test_where_nothing_came_from_others_the_way_is_said(opened, until, market):
    async with opened() as (app, _):
        await opened_screen(app, until, 0)
        await until(lambda: "Nothing came from others yet" in shown(app))


async def test_what_is_here_is_listed_and_what_is_newer_with_what_is_other(opened, engine, until, market, captain):
    async with opened() as (app, pilot):
        await captain()
        screen = await opened_screen(app, until)
        assert "captain" in lines(screen)[0] and "Verified" in lines(screen)[0] and "▲" not in lines(screen)[0]
        market.add("captain", 2, license="CC-BY-4.0")
        market.publish()
        await pilot.press("r")
        await until(lambda: "▲ 1.2.0" in lines(screen)[0])
        await until(lambda: "licence Apache-2.0 -> CC-BY-4.0" in shown(app))
        await pilot.press("u")
        await until(lambda: type(app.screen).__name__ == "InstallScreen")
        await pilot.press("enter")
        await until(lambda: type(app.screen).__name__ == "PreviewScreen")
        await pilot.press("escape")
        await until(lambda: app.screen is screen and "1.2.0" in lines(screen)[0] and "▲" not in lines(screen)[0])


async def test_what_answers_after_it_was_activated_is_said_to(opened, engine, until, market, captain):
    async with opened() as (app, pilot):
        await captain()
        screen = await opened_screen(app, until)
        await until(lambda: "does not answer" in shown(app))
        await pilot.press("b")
        await until(lambda: type(app.screen).__name__ == "PreviewScreen" and not app.screen.running and app.screen.rows)
        await pilot.press("a")
        await until(lambda: app.screen is screen and "●" in lines(screen)[0] and "answers now" in shown(app))
        await pilot.press("b")
        await pilot.pause()
        assert app.screen is screen


async def test_what_is_held_is_said_and_released(opened, engine, until, market, captain):
    async with opened() as (app, pilot):
        await captain()
        screen = await opened_screen(app, until)
        await pilot.press("h")
        await until(lambda: "held" in lines(screen)[0] and "stays at 1.1.0" in shown(app, "#notice"))
        assert market.trust.pin("ada").hold == ["captain"]
        await pilot.press("h")
        await until(lambda: "held" not in lines(screen)[0])
        assert market.trust.pin("ada").hold == []


async def test_every_file_is_looked_at_and_what_is_damaged_taken_again(opened, engine, until, market, captain):
    async with opened() as (app, pilot):
        kept = await captain()
        number = kept.version.number
        screen = await opened_screen(app, until)
        await pilot.press("v")
        await until(lambda: "are whole" in shown(app, "#notice"))
        finding = StoreFinding(slot="captain", number=number, repaired=False, text="It is damaged.")

        async def damaged(request, tell):
            return StoreCheck(files=3, bytes=10, findings=[finding])

        engine._slots_check = damaged
        await pilot.press("v")
        await until(lambda: "It is damaged." in shown(app, "#notice") and "It is damaged." in shown(app))
        await pilot.press("t")
        await until(lambda: len(engine.versions["captain"]) == number + 2 and app.session.taking is None)
        assert app.screen is screen


async def test_a_revoked_bundle_is_said_to_be_one(opened, engine, until, market, captain):
    async with opened() as (app, pilot):
        await captain()
        market.keeper.revoke(RevokedKind.BUNDLE, find(market.home, "captain", None).slot.latest.id, "poisoned")
        market.publish()
        screen = await opened_screen(app, until)
        await pilot.press("r")
        await until(lambda: "Revoked" in lines(screen)[0] and "poisoned" in shown(app))
        await pilot.press("v")
        await until(lambda: "was revoked by registry home: poisoned" in shown(app, "#notice"))


async def test_removing_is_asked_about_and_taken_back_with_undo(opened, engine, until, market, captain):
    async with opened() as (app, pilot):
        await captain()
        screen = await opened_screen(app, until)
        for answer in ("escape", "ctrl+s"):
            await pilot.press("d")
            await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
            await pilot.press(answer)
            await until(lambda: app.screen is screen)
            assert answer == "ctrl+s" or engine.slots["captain"].deleted is None
        await until(lambda: lines(screen) == [] and engine.slots["captain"].deleted is not None)
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)
        await command("undo").run(app.chat)
        assert engine.slots["captain"].deleted is None


async def test_a_slot_that_learned_besides_is_not_removed(opened, engine, until, market, captain):
    async with opened() as (app, pilot):
        await captain()
        steps = [Step(rewriter="opening", args={"text": "x"})]
        engine.lessons[9] = Lesson(id=9, slot="captain", state=LessonState.APPROVED, rule="x", steps=steps)
        engine._add_version("captain", kind=VersionKind.STUDY)
        await opened_screen(app, until)
        await pilot.press("d")
        await until(lambda: "has learned from you besides" in shown(app, "#notice"))
