"""The market in the app: registries, search, cards, installing, and the replies before and after."""

from __future__ import annotations

import asyncio

from textual.widgets import Input, OptionList, Static

from nightschool.marketplace.registry.client import Client, look
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import StorageError
from nightschool.tui.commands import command
from nightschool.tui.market import meet


def shown(app, selector="#card > Static"):
    return str(app.screen.query_one(selector, Static).content)


def lines(screen):
    options = screen.query_one(OptionList)
    return [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]


async def opened_market(app, until, rows=None):
    command("market").run(app.chat)
    await until(lambda: type(app.screen).__name__ == "MarketScreen" and app.screen.query(OptionList))
    screen = app.screen
    if rows is not None:
        await until(lambda: len(lines(screen)) == rows)
    return screen


async def on_screen(app, until, name):
    await until(lambda: type(app.screen).__name__ == name and app.screen.is_mounted)
    return app.screen


async def test_a_registry_is_added_after_its_words_were_compared(opened, until, market):
    market.list_all("captain")
    face = market.keeper.face()
    async with opened() as (app, pilot):
        await opened_market(app, until)
        await until(lambda: "ctrl+o adds one" in shown(app, "#notice"))
        await pilot.press("ctrl+o")
        registries = await on_screen(app, until, "RegistriesScreen")
        for agreed in ("escape", "ctrl+s"):
            await pilot.press("a")
            await on_screen(app, until, "AskScreen")
            app.screen.query_one(Input).value = str(market.folder)
            await pilot.press("enter")
            question = await on_screen(app, until, "ConfirmScreen")
            assert face.root in question.subject and market.client_words() in question.subject
            await pilot.press(agreed)
            await until(lambda: app.screen is registries)
            if agreed == "escape":
                assert lines(registries) == []
        await until(lambda: "home is known" not in shown(app, "#known > Static") and lines(registries))
        assert "1 slots" in lines(registries)[0]
        await pilot.press("escape")
        await until(lambda: app.screen is not registries and len(lines(app.screen)) == 1)
        assert "captain" in lines(app.screen)[0] and "New publisher" in lines(app.screen)[0]


async def test_what_is_no_registry_is_refused_with_its_code(opened, until, market, tmp_path):
    async with opened() as (app, pilot):
        await opened_market(app, until)
        await pilot.press("ctrl+o")
        await on_screen(app, until, "RegistriesScreen")
        await pilot.press("a")
        await on_screen(app, until, "AskScreen")
        app.screen.query_one(Input).value = str(tmp_path)
        await pilot.press("enter")
        await until(lambda: "[not-a-registry]" in shown(app, "#known > Static"))


async def test_search_follows_the_words_and_the_filters(opened, engine, until, market):
    market.list_all("captain", "poet")
    market.list_all("sailor", tags=["sea"], license="CC-BY-4.0")
    market.known()
    async with opened() as (app, pilot):
        screen = await opened_market(app, until, 3)
        await pilot.press(*"poet")
        await until(lambda: len(lines(screen)) == 1 and "poet" in lines(screen)[0])
        screen.query_one(Input).value = ""
        await until(lambda: len(lines(screen)) == 3)
        await pilot.press("ctrl+t")
        choice = await on_screen(app, until, "ChooseScreen")
        assert [value for _, value in choice.options] == ["", "style", "sea"]
        await pilot.press("down", "down", "enter")
        await until(lambda: app.screen is screen and len(lines(screen)) == 1)
        assert "sailor" in lines(screen)[0] and "ctrl+t sea" in shown(app, "#filters")
        await pilot.press("ctrl+t")
        await on_screen(app, until, "ChooseScreen")
        await pilot.press("home", "enter")
        await until(lambda: len(lines(screen)) == 3)
        await pilot.press("ctrl+l")
        await on_screen(app, until, "ChooseScreen")
        await pilot.press("down", "enter")
        await until(lambda: len(lines(screen)) == 2 and "ctrl+l Apache-2.0" in shown(app, "#filters"))
        await pilot.press("ctrl+b")
        await until(lambda: lines(screen) == [] and "this base alone" in shown(app, "#filters"))


async def test_the_card_says_who_signed_what_it_is_for_and_what_it_says(opened, until, market):
    market.list_all("captain", system_prompt="You sail.")
    market.known()
    async with opened() as (app, _):
        await opened_market(app, until, 1)
        await until(lambda: "Where is the sea?" in shown(app))
        text = shown(app)
        for said in (
            *("New publisher", market.words, market.ada.keys.fingerprint, "Its base is not here: tiny-llama"),
            *("Apache-2.0", "safety passed", "Ahoy, there.", "tail-lora", "You sail.", "exact"),
        ):
            assert said in text, said


async def test_a_card_is_that_of_the_registry_that_lists_it(opened, until, market):
    market.list_all("captain")
    market.known()
    copy = market.keep_copy()
    (file,) = (copy / "targets" / "slots").rglob("*.slot")
    file.write_bytes(file.read_bytes().replace(b'"payload"', b'"paylord"'))
    meet(market.home, str(copy), name="stick", confirmed=look(str(copy))[0].root)
    async with opened() as (app, pilot):
        await opened_market(app, until, 2)
        await until(lambda: "Where is the sea?" in shown(app))
        await pilot.press("down")
        await until(lambda: "[envelope]" in shown(app))


async def test_a_new_publisher_is_asked_about_before_anything_is_kept(opened, engine, until, market):
    market.list_all("captain")
    market.known()
    async with opened() as (app, pilot):
        await opened_market(app, until, 1)
        await pilot.press("enter")
        screen = await on_screen(app, until, "InstallScreen")
        await pilot.press("enter")
        question = await on_screen(app, until, "ConfirmScreen")
        assert market.words in question.subject and market.ada.keys.fingerprint in question.subject
        assert market.trust.pins() == []
        await pilot.press("escape")
        await until(lambda: app.screen is screen and "[new-publisher]" in shown(app, "#how > Static"))
        assert market.trust.pins() == [] and "captain" not in engine.slots and market.in_quarantine() == []


async def installed_captain(app, pilot, until):
    await opened_market(app, until, 1)
    await until(lambda: "Where is the sea?" in shown(app))
    await pilot.press("enter")
    await on_screen(app, until, "InstallScreen")
    await pilot.press("enter")
    await on_screen(app, until, "ConfirmScreen")
    await pilot.press("ctrl+s")
    return await on_screen(app, until, "PreviewScreen")


async def test_what_was_installed_is_seen_before_and_after_and_answers_only_when_activated(
    opened,
    engine,
    until,
    market,
):
    market.list_all("captain")
    market.known()
    async with opened() as (app, pilot):
        preview = await installed_captain(app, pilot, until)
        await until(lambda: not preview.running and preview.rows)
        text = shown(app, "#both > Static")
        for said in ("Where is the sea?", "Generation 0 says so.", "Generation 1 says so.", "0 of 1 replies"):
            assert said in text
        assert market.trust.pin("ada").highest["captain"].version == "1.1.0"
        assert engine._slot("captain").current == 0
        await pilot.press("o")
        await on_screen(app, until, "AskScreen")
        await pilot.press(*"Why?", "enter")
        await until(lambda: len(preview.rows) == 2 and preview.rows[1].done)
        await pilot.press("a")
        await until(lambda: engine.versions["captain"][-1].restores == 1 and app.screen is not preview)
        await until(lambda: type(app.screen).__name__ == "MarketScreen" and "●" in lines(app.screen)[0])
        assert "Verified" in lines(app.screen)[0]
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)
        await command("undo").run(app.chat)
        assert (engine.versions["captain"][-1].number, engine.versions["captain"][-1].restores) == (3, 0)


async def test_leaving_the_replies_before_and_after_changes_nothing(opened, engine, until, market):
    market.list_all("captain")
    market.known()
    engine.pause = 0.4
    async with opened() as (app, pilot):
        preview = await installed_captain(app, pilot, until)
        await until(lambda: any(row.said[0] for row in preview.rows))
        await pilot.press("escape")
        await until(lambda: type(app.screen).__name__ == "MarketScreen")
        await until(lambda: any(isinstance(row, ask.CancelCompare) for row in engine.asked))
        assert not [row for row in engine.asked if isinstance(row, ask.Rollback)]


async def test_a_refusal_is_one_sentence_with_its_code_and_nothing_stays(opened, engine, until, market):
    market.list_all("captain")
    market.known()
    (file,) = (market.folder / "targets" / "slots").rglob("*.slot")
    data = bytearray(file.read_bytes())
    data[-1500] ^= 1
    file.write_bytes(data)
    async with opened() as (app, pilot):
        await opened_market(app, until, 1)
        await pilot.press("enter")
        await on_screen(app, until, "InstallScreen")
        await pilot.press("enter")
        await until(lambda: "[registry-mix]" in shown(app, "#how > Static"))
        assert market.in_quarantine() == [] and "captain" not in engine.slots


async def test_what_the_gates_refuse_is_said_with_its_report(opened, engine, until, market):
    market.list_all("captain")
    market.known()
    engine.accept = False
    async with opened() as (app, pilot):
        await opened_market(app, until, 1)
        await pilot.press("enter")
        await on_screen(app, until, "InstallScreen")
        await pilot.press("enter")
        await on_screen(app, until, "ConfirmScreen")
        await pilot.press("ctrl+s")
        await until(lambda: "Refused, nothing was kept" in shown(app, "#how > Static"))
        assert market.trust.pins() == []


async def test_an_installation_is_stopped_and_nothing_stays(opened, engine, until, market, monkeypatch):
    market.list_all("captain")
    market.known()

    def slow(self, slot, version, target, *, allow_stale=False, source=None, tell=None):
        target.write_bytes(b"half")
        while True:
            tell(version.length // 2)

    monkeypatch.setattr(Client, "download", slow)
    async with opened() as (app, pilot):
        await opened_market(app, until, 1)
        await pilot.press("enter")
        await on_screen(app, until, "InstallScreen")
        await pilot.press("enter")
        await until(lambda: "50%" in shown(app, "#how > Static"))
        await pilot.press("ctrl+x")
        await until(lambda: "Stopped; nothing was kept." in shown(app, "#how > Static"))
        assert app.session.taking is None and market.in_quarantine() == []


async def test_what_was_kept_as_it_was_stopped_is_pinned_and_said(opened, engine, until, market):
    market.list_all("captain")
    market.known()
    taken, reached = engine._bundles_take, asyncio.Event()

    async def stopped_too_late(request, tell):
        reached.set()
        while not any(isinstance(row, ask.CancelStudy) for row in engine.asked):
            await asyncio.sleep(0.01)
        return await taken(request, tell)

    engine._bundles_take = stopped_too_late
    async with opened() as (app, pilot):
        await opened_market(app, until, 1)
        await pilot.press("enter")
        screen = await on_screen(app, until, "InstallScreen")
        await pilot.press("enter")
        await on_screen(app, until, "ConfirmScreen")
        await pilot.press("ctrl+s")
        await until(lambda: reached.is_set() and app.screen is screen)
        await pilot.press("ctrl+x")
        await until(lambda: "captain has it as generation 1" in shown(app, "#how > Static"))
        assert market.trust.pin("ada").highest["captain"].seq == 1


async def test_an_installation_goes_on_when_its_screen_is_left(opened, engine, until, market, monkeypatch):
    market.list_all("captain")
    market.known()
    engine.pause = 0.02
    async with opened() as (app, pilot):
        await opened_market(app, until, 1)
        await pilot.press("enter")
        await on_screen(app, until, "InstallScreen")
        await pilot.press("enter")
        await on_screen(app, until, "ConfirmScreen")
        await pilot.press("ctrl+s")
        await pilot.press("escape", "escape")
        await until(lambda: any("does not answer before" in note.message for note in app._notifications))


async def test_what_is_stale_is_said_looked_at_and_installed_after_a_question(opened, engine, until, market):
    market.list_all("captain")
    market.known()
    market.grow_old()
    async with opened() as (app, pilot):
        await opened_market(app, until, 1)
        await until(lambda: "STALE" in shown(app, "#notice"))
        await pilot.press("enter")
        screen = await on_screen(app, until, "InstallScreen")
        await pilot.press("enter")
        await on_screen(app, until, "ConfirmScreen")
        await pilot.press("escape")
        await until(lambda: app.screen is screen and "[stale]" in shown(app, "#how > Static"))
        await pilot.press("ctrl+s")
        stale = await on_screen(app, until, "ConfirmScreen")
        await pilot.press("ctrl+s")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen" and app.screen is not stale)
        await pilot.press("ctrl+s")
        await on_screen(app, until, "PreviewScreen")


async def test_what_is_new_is_read_and_what_is_away_is_said(opened, until, market):
    market.list_all("captain")
    market.known()
    async with opened() as (app, pilot):
        screen = await opened_market(app, until, 1)
        market.list_all("poet")
        await pilot.press("ctrl+r")
        await until(lambda: len(lines(screen)) == 2)
        market.folder.rename(market.folder.with_name("away"))
        await pilot.press("ctrl+r")
        await until(lambda: "[unreachable]" in shown(app, "#notice"))
        assert len(lines(screen)) == 2


async def test_a_slot_of_ones_own_name_is_not_written_over(opened, engine, until, market):
    market.list_all("science")
    market.known()
    async with opened() as (app, pilot):
        await opened_market(app, until, 1)
        await pilot.press("enter")
        await on_screen(app, until, "InstallScreen")
        await pilot.press("enter")
        await on_screen(app, until, "ConfirmScreen")
        await pilot.press("ctrl+s")
        await until(lambda: "a slot science of your own" in shown(app, "#how > Static"))
        app.screen.query_one(Input).value = "borrowed"
        await pilot.press("enter")
        await on_screen(app, until, "ConfirmScreen")
        await pilot.press("ctrl+s")
        await on_screen(app, until, "PreviewScreen")
        assert len(engine.versions["borrowed"]) == 2


async def test_a_preview_that_fails_says_so(opened, engine, until, market):
    market.list_all("captain")
    market.known()
    engine.fail["versions.preview"] = StorageError("The adapter is damaged; roll back.")
    async with opened() as (app, pilot):
        preview = await installed_captain(app, pilot, until)
        await until(lambda: not preview.running)
        await until(lambda: "damaged" in shown(app, "#both > Static"))


async def test_generations_are_seen_before_and_after_from_their_list(opened, engine, until, market):
    async with opened() as (app, pilot):
        await engine.call(ask.ForkSlot(slot="science", title="Fork"))
        await engine.call(ask.Rollback(slot="fork", to=0))
        await app.chat.refresh_slots()
        await app.chat.choose_slot("fork")
        await pilot.press("f4")
        screen = await on_screen(app, until, "VersionsScreen")
        await until(lambda: len(lines(screen)) == 3)
        await pilot.press("down", "v")
        preview = await on_screen(app, until, "PreviewScreen")
        await until(lambda: not preview.running and len(preview.rows) == 2)
        assert "Generation 2 says so." in shown(app, "#both > Static")
        await pilot.press("a")
        await until(lambda: app.screen is screen and len(lines(screen)) == 4)
