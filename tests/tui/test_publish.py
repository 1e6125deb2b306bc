"""Publishing in the app, step by step; what is written is whole, and nothing is before the user signs."""

from __future__ import annotations

import pytest
from textual.widgets import Input, OptionList, Select, Static

from nightschool.marketplace.bundle.reading import read_verified
from nightschool.marketplace.key_file import save_key
from nightschool.schemas import messages as ask
from nightschool.schemas.audit import Finding
from nightschool.schemas.records import VersionKind
from nightschool.tests.marketplace.bundle.making import factors, safetensors
from nightschool.tests.marketplace.people import key
from nightschool.tests.marketplace.registry.world import ONLINE
from nightschool.tui.commands import command
from nightschool.tui.publishing import become

PASSPHRASE = "four or more words"


@pytest.fixture
def ready(market, engine, tmp_path, monkeypatch):
    """A version to share, and a folder to work in."""
    folder, work = tmp_path / "version", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(safetensors(factors()))
    engine.shared_folder = str(folder)
    engine._add_version("science", kind=VersionKind.STUDY)
    monkeypatch.chdir(work)
    return work


def wrong(app):
    return str(app.screen.query_one("#wrong", Static).content)


def type_in(app, **values):
    for name, value in values.items():
        app.screen.query_one(f"#{name}", Input).value = value


async def opened_screen(app, until):
    command("publish").run(app.chat)
    await until(lambda: type(app.screen).__name__ == "PublishScreen" and app.screen.query(OptionList))
    await until(lambda: app.screen.versions)
    return app.screen


async def to_card(app, pilot, until):
    screen = await opened_screen(app, until)
    await pilot.press("enter")
    await until(lambda: screen.step == 1)
    return screen


async def to_signature(app, pilot, until, **card):
    screen = await to_card(app, pilot, until)
    type_in(app, **card)
    await pilot.press("ctrl+s")
    await until(lambda: screen.step == 2 and screen.audit and not screen.working)
    await pilot.press("ctrl+s")
    await until(lambda: screen.step == 3 and not screen.working)
    return screen


async def signed(app, pilot, until, screen, **fields):
    type_in(app, **{"publisher": "ada", "passphrase": PASSPHRASE, "again": PASSPHRASE, **fields})
    await pilot.press("ctrl+s")
    await until(lambda: screen.step == 4)


def written(folder):
    return sorted(path.name for path in folder.iterdir())


async def test_a_version_is_packed_by_a_new_publisher(opened, until, market, ready):
    async with opened() as (app, pilot):
        screen = await to_signature(app, pilot, until, title="Captain", tags="style, sea", summary="Ahoy.")
        assert written(ready) == [] and not market.home.keys.exists()
        await signed(app, pilot, until, screen)
        assert written(ready) == ["science-1.0.0.slot"]
        card = read_verified(ready / "science-1.0.0.slot").manifest.card
        assert (card.title, card.tags, card.license, card.summary) == (
            "Captain",
            ["style", "sea"],
            "CC-BY-4.0",
            "Ahoy.",
        )
        assert written(market.home.keys) == ["ada.pem", "ada.publisher.json"]
        assert all(screen.query_one(f"#{name}", Input).value == "" for name in ("passphrase", "again"))
        await pilot.press("ctrl+s")
        await until(lambda: screen.step == 5)
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)


async def test_sample_questions_are_answered_here_and_shown_before_anything_is_signed(
    opened, engine, until, market, ready
):
    async with opened() as (app, pilot):
        screen = await to_card(app, pilot, until)
        type_in(app, questions="Why? | Where is the sea?")
        await pilot.press("ctrl+s")
        await until(lambda: screen.step == 2 and screen.audit and not screen.working)
        text = str(screen.query_one("#audited", Static).content)
        assert (
            "asked | Why?" in text
            and "base  | Generation 0 says so." in text
            and "slot  | Generation 1 says so." in text
        )
        await pilot.press("ctrl+s")
        await until(lambda: screen.step == 3 and not screen.working)
        await signed(app, pilot, until, screen)
        samples = read_verified(ready / "science-1.0.0.slot").manifest.card.samples
        assert [(row.prompt, row.before, row.after) for row in samples] == [
            (prompt, "Generation 0 says so.", "Generation 1 says so.") for prompt in ("Why?", "Where is the sea?")
        ]


async def test_what_no_card_can_say_is_said_before_anything_is_asked(opened, engine, until, market, ready):
    async with opened() as (app, pilot):
        screen = await to_card(app, pilot, until)
        for field, value, word in (
            ("licence", "what ever?", "license"),
            ("tags", "No Tag", "tags"),
            ("title", "[x]", "title"),
        ):
            before = screen.query_one(f"#{field}", Input).value
            type_in(app, **{field: value})
            await pilot.press("ctrl+s")
            await until(lambda word=word: word in wrong(app))
            assert screen.step == 1
            type_in(app, **{field: before})
        assert not [row for row in engine.asked if isinstance(row, ask.AuditVersion)]


async def test_what_a_version_could_give_away_is_accepted_one_by_one_or_forgotten(opened, engine, until, market, ready):
    rows = [
        Finding(name=name, kind="name", text=text, lesson=3, said=2, asked="Who am I?")
        for name, text in (("1234abcd", "Kowalczyk"), ("5678ef01", "Agnieszka"))
    ]
    engine.audit = engine.audit.model_copy(update={"findings": rows})
    async with opened() as (app, pilot):
        screen = await to_card(app, pilot, until)
        await pilot.press("ctrl+s")
        await until(lambda: screen.step == 2 and screen.audit and not screen.working)
        findings = screen.query_one("#findings", OptionList)
        await pilot.press("a", "ctrl+s")
        await until(lambda: "1 of them are neither" in wrong(app))
        assert screen.step == 2 and "accepted" in str(findings.get_option_at_index(0).prompt)
        await pilot.press("down", "a", "ctrl+s")
        await until(lambda: screen.step == 3 and not screen.working)
        await pilot.press("escape")
        await until(lambda: screen.step == 2)
        await pilot.press("f")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.press("escape")
        await until(lambda: app.screen is screen)
        assert written(ready) == []


async def test_a_wrong_passphrase_writes_nothing(opened, until, market, ready):
    market.home.keys.mkdir(parents=True)
    save_key(market.home.keys / "ada.pem", key(1), PASSPHRASE)
    become(market.home, "ada", [key(1)])
    async with opened() as (app, pilot):
        screen = await to_signature(app, pilot, until)
        assert screen.query_one(Select).value == "ada"
        type_in(app, passphrase="another one")
        await pilot.press("ctrl+s")
        await until(lambda: "does not open" in wrong(app) and not screen.working)
        assert screen.step == 3 and written(ready) == []
        await signed(app, pilot, until, screen)
        assert written(ready) == ["science-1.0.0.slot"]


async def test_passphrases_that_differ_or_protect_nothing_make_no_publisher(opened, until, market, ready):
    async with opened() as (app, pilot):
        screen = await to_signature(app, pilot, until)
        for first, again, words in ((PASSPHRASE, "other", "differ"), ("short", "short", "at least 8")):
            type_in(app, publisher="ada", passphrase=first, again=again)
            await pilot.press("ctrl+s")
            await until(lambda words=words: words in wrong(app) and not screen.working)
            assert written(ready) == [] and not market.home.keys.exists()


async def test_a_bundle_is_listed_in_a_registry_that_one_keeps(opened, until, market, ready):
    async with opened() as (app, pilot):
        screen = await to_signature(app, pilot, until, name="captain")
        save_key(market.home.keys / "registry-home.pem", key(ONLINE), PASSPHRASE)
        await signed(app, pilot, until, screen, publisher="eve")
        type_in(app, folder=str(market.folder), online="another one")
        await pilot.press("ctrl+s")
        await until(lambda: "does not open" in wrong(app) and not screen.working)
        assert market.keeper.state().slots == []
        type_in(app, online=PASSPHRASE)
        await pilot.press("ctrl+s")
        await until(lambda: screen.step == 5)
        (slot,) = market.keeper.state().slots
        assert (slot.name, slot.publisher, slot.latest.version) == ("captain", "eve", "1.0.0")


async def test_escape_goes_one_step_back_and_leaves_at_the_first(opened, until, market, ready):
    async with opened() as (app, pilot):
        screen = await to_signature(app, pilot, until)
        for step in (2, 1, 0):
            await pilot.press("escape")
            await until(lambda step=step: screen.step == step)
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)
        assert written(ready) == []


async def test_an_audit_is_left_with_escape(opened, engine, until, market, ready):
    engine.stalled.add("versions.audit")
    async with opened() as (app, pilot):
        screen = await to_card(app, pilot, until)
        await pilot.press("ctrl+s")
        await until(lambda: screen.step == 2 and screen.working)
        await pilot.press("escape")
        await until(lambda: screen.step == 1 and not screen.working)


async def test_where_nothing_was_learned_the_way_is_said(opened, until, market):
    async with opened() as (app, _):
        command("publish").run(app.chat)
        await until(lambda: type(app.screen).__name__ == "PublishScreen" and app.screen.query("#wrong"))
        await until(lambda: "study first" in wrong(app))
