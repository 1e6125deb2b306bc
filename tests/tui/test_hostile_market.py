"""What bundles, registries and publishers say is text alone, in every field of every screen of the market."""

from __future__ import annotations

import dataclasses
import json

import pytest
from pydantic import BaseModel
from textual.widgets import OptionList

from nightschool.marketplace.registry.client import Client
from nightschool.marketplace.trust.records import Incident, Seen
from nightschool.marketplace.trust.store import TrustStore
from nightschool.schemas.audit import Finding
from nightschool.schemas.errors import Refused
from nightschool.schemas.records import BundleOrigin, SamplePair, VersionKind, VersionPreview
from nightschool.schemas.trust import Revocation, RevocationFile, RevokedKind
from nightschool.tests.marketplace.people import publisher
from nightschool.tests.tui.test_hostile_text import HOSTILE, drawn, is_plain
from nightschool.tui.commands import command
from nightschool.tui.market import Found

KEPT = {"public", "alg", "publisher"}
"""Without which there is nothing to be shown: keys, and a name that the trust store accepts."""


def poisoned(value, text):
    """Return a record in which every text is another, past every check that would refuse it."""
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [poisoned(one, text) for one in value]
    if isinstance(value, dict):
        return dict.fromkeys([text], *[*value.values()][:1]) if value else {}
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields if name not in KEPT}
        return value.model_copy(update={name: poisoned(one, text) for name, one in fields.items()})
    return value


def harmless(app, text, *, at_least=1):
    screen = drawn(app)
    assert [line for line in screen.splitlines() if not is_plain(line)] == []
    if text.startswith("[") and text.endswith("[/]"):
        assert screen.count(text) >= at_least, screen


async def on_screen(app, until, name):
    await until(lambda: type(app.screen).__name__ == name and app.screen.is_mounted)
    return app.screen


@pytest.fixture
def hostile(market, monkeypatch):
    """A registry whose every text is another."""
    market.list_all("captain", system_prompt="You sail.", warnings=["Beware."])
    market.known()
    listed, manifest = market.client().index().slots()[0], Client.manifest

    def say(text):
        slot = poisoned(listed, text).model_copy(update={"publisher": text})

        def search(known, query, limit):
            return [Found(client, slot) for client in known], 1

        def told(self, _, version, source=None):
            signed = manifest(self, listed, listed.latest)
            return dataclasses.replace(signed, manifest=poisoned(signed.manifest, text), id=text)

        monkeypatch.setattr("nightschool.tui.screens.market.search", search)
        monkeypatch.setattr(Client, "manifest", told)

    return say


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_registry_and_its_cards_are_only_shown(opened, until, hostile, market, text):
    hostile(text)
    async with opened(size=(120, 60)) as (app, pilot):
        command("market").run(app.chat)
        screen = await on_screen(app, until, "MarketScreen")
        await until(lambda: screen.rows and screen.cards)
        await pilot.pause()
        harmless(app, text, at_least=8)
        await pilot.press("ctrl+t")
        await on_screen(app, until, "ChooseScreen")
        await pilot.press("escape", "enter")
        await on_screen(app, until, "InstallScreen")
        await pilot.pause()
        harmless(app, text)
        assert app.is_running


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_refusal_and_what_is_noted_of_a_bundle_are_only_shown(opened, engine, until, market, text):
    market.list_all("captain")
    market.known()
    engine.fail["bundles.take"] = Refused(f"It is wrong ({text}); do not use it.", "subject")
    async with opened() as (app, pilot):
        command("market").run(app.chat)
        screen = await on_screen(app, until, "MarketScreen")
        await until(lambda: screen.rows)
        await pilot.press("enter")
        await on_screen(app, until, "InstallScreen")
        await pilot.press("enter")
        await on_screen(app, until, "ConfirmScreen")
        await pilot.press("ctrl+s")
        await until(lambda: "[subject]" in drawn(app))
        harmless(app, text)


@pytest.mark.parametrize("text", HOSTILE)
async def test_replies_before_and_after_are_only_shown(opened, engine, until, market, text):
    async def preview(request, tell):
        pair = SamplePair(prompt=text, one=text, other=f"{text}\n{text}")
        return VersionPreview(slot=request.slot, one=0, other=1, samples=[pair])

    engine._versions_preview = preview
    engine._add_version("science", kind=VersionKind.IMPORT)
    rows = engine.versions["science"]
    engine.versions["science"] = [row.model_copy(update={"current": not row.number}) for row in rows]
    async with opened() as (app, pilot):
        await pilot.press("f4")
        screen = await on_screen(app, until, "VersionsScreen")
        await until(lambda: screen.versions)
        await pilot.press("v")
        shown = await on_screen(app, until, "PreviewScreen")
        await until(lambda: shown.rows and not shown.running)
        await pilot.pause()
        harmless(app, text, at_least=4)


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_came_from_others_is_only_shown(opened, engine, until, market, text):
    origin = BundleOrigin(id=text, publisher=text, slot=text, version=text, seq=1, signers=[text], threshold=1)
    engine._add_version("science", kind=VersionKind.IMPORT, origins=[origin])
    engine.slots["science"] = engine.slots["science"].model_copy(update={"title": text})
    async with opened() as (app, pilot):
        command("installed").run(app.chat)
        screen = await on_screen(app, until, "InstalledScreen")
        await until(lambda: screen.here)
        await pilot.pause()
        harmless(app, text, at_least=4)
        await pilot.press("v")
        await until(lambda: screen.looked)
        await pilot.press("d")
        await on_screen(app, until, "ConfirmScreen")
        harmless(app, text)


@pytest.mark.parametrize("text", HOSTILE)
async def test_publishers_and_what_is_said_of_them_are_only_shown(opened, until, market, monkeypatch, text):
    made = publisher("eve", (5,))
    pin = market.trust.meet(made, confirmed=made.keys.fingerprint)
    seen = Seen(seq=1, id=text, version=text)
    pin = pin.model_copy(update={"name": text, "registry": text, "highest": {text: seen}, "hold": [text]})
    gone = Revocation.model_construct(kind=RevokedKind.BUNDLE, id=text, reason=text, by=text, publisher=text, seen=1.0)
    monkeypatch.setattr(TrustStore, "pins", lambda self: [pin])
    monkeypatch.setattr(TrustStore, "incidents", lambda self: [Incident(at=1.0, code=text, publisher=text, text=text)])
    monkeypatch.setattr(
        TrustStore, "revocations", lambda self: RevocationFile.model_construct(format=1, revocations=(gone,))
    )
    async with opened(size=(120, 50)) as (app, pilot):
        command("trust").run(app.chat)
        screen = await on_screen(app, until, "TrustScreen")
        await until(lambda: screen.pins and screen.query_one(OptionList).option_count)
        await pilot.pause()
        harmless(app, text, at_least=6)
        await pilot.press("d")
        await on_screen(app, until, "ConfirmScreen")
        harmless(app, text)


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_registrys_own_words_are_only_shown(opened, until, market, text):
    market.list_all("captain")
    market.known()
    source = market.home.registries / "home" / "source.json"
    source.write_text(json.dumps({**json.loads(source.read_text()), "title": text, "address": text}))
    async with opened() as (app, pilot):
        command("market").run(app.chat)
        await on_screen(app, until, "MarketScreen")
        await pilot.press("ctrl+o")
        screen = await on_screen(app, until, "RegistriesScreen")
        await until(lambda: screen.known)
        await pilot.pause()
        harmless(app, text, at_least=2)


@pytest.mark.parametrize("text", HOSTILE)
async def test_ones_own_words_while_publishing_are_only_shown(opened, engine, until, market, text):
    engine.slots["science"] = engine.slots["science"].model_copy(update={"title": text})
    engine._add_version("science", kind=VersionKind.STUDY)
    found = Finding(name="1234abcd", kind=text, text=text, lesson=3, said=1, asked=text)
    engine.audit = engine.audit.model_copy(update={"findings": [found]})
    async with opened() as (app, pilot):
        command("publish").run(app.chat)
        screen = await on_screen(app, until, "PublishScreen")
        await until(lambda: screen.versions)
        await pilot.pause()
        harmless(app, text)
        await pilot.press("enter")
        await until(lambda: screen.step == 1)
        screen.query_one("#title").value = "Captain"
        await pilot.press("ctrl+s")
        await until(lambda: screen.step == 2 and screen.audit and not screen.working)
        await pilot.pause()
        harmless(app, text, at_least=2)
        await pilot.press("f")
        await on_screen(app, until, "ConfirmScreen")
        harmless(app, text)
