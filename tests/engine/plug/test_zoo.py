"""Broken plugins: for each, commands and the engine work, and say what is wrong with it."""

from __future__ import annotations

import asyncio
import json

import pytest

from nightschool.engine.host.client import EngineClient
from nightschool.engine.plug.loading import IMPORT_SECONDS
from nightschool.engine.plug.manage import show_plugin
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import EngineLost
from nightschool.schemas.plugins import PluginState
from nightschool.tests.engine.plug.animals import ANIMALS, Animal
from nightschool.tui.cli import run

NOT_LOADED = (PluginState.FAILED, PluginState.INCOMPATIBLE)


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    monkeypatch.setenv(IMPORT_SECONDS, "1")


@pytest.fixture
def document(capsys):
    """Run a command and read what it says as JSON."""

    def run_it(*arguments):
        code = run([*arguments, "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out or said.err)

    return run_it


async def asked(home, *requests):
    """Return what a fresh engine answers, and what it told everybody."""
    client, told = EngineClient(home), []
    client.listen(told.append)
    try:
        await client.start(wake=False)
        answers = [await client.call(request) for request in requests]
    finally:
        await client.close()
    return answers, [event.text for event in told if event.kind == "notice"]


@pytest.mark.parametrize("animal", ANIMALS, ids=lambda animal: animal.name)
def test_what_is_tried_is_named_and_everything_works(shelf, document, animal: Animal):
    name = shelf.put(animal.name, animal.code, requires=animal.requires)
    code, row = document("plugins", "trust", name, "--yes")
    faults = " ".join(fault["text"] for fault in row["faults"])
    if animal.loaded:
        assert (code, row["state"]) == (0, "loaded")
        if animal.name != "clash":  # which is told, and no fault
            assert animal.said in faults
    else:
        assert code == 60
        assert row["state"] in NOT_LOADED
        assert animal.said in row["reason"]
    code, rows = document("plugins", "list")
    assert (code, [one["name"] for one in rows]) == (0, [name])
    code, gone = document("plugins", "disable", name)
    assert (code, gone["state"]) == (0, PluginState.BLOCKED)


def test_an_engine_goes_on_among_all_of_them(shelf):
    tame = [animal for animal in ANIMALS if not animal.ends]
    for animal in tame:
        shelf.add(animal.name, animal.code, requires=animal.requires)
    export = ask.ExportConversations(file=str(shelf.home.root / "all"), form="markdown")
    (slots, _, listed), told = asyncio.run(asked(shelf.home, ask.ListSlots(), export, ask.ListPlugins()))
    assert len(slots) == 4
    rows = {row.name: row for row in listed.plugins}
    for animal in tame:
        row = rows[animal.name.replace("_", "-")]
        if animal.loaded:
            assert row.state is PluginState.LOADED, animal
        else:
            assert row.state in NOT_LOADED, animal
            assert animal.said in row.reason
            assert any(animal.said in text for text in told)
    # One that let no import end is off, so that not every start waits for it.
    (_, listed), told = asyncio.run(asked(shelf.home, ask.ListSlots(), ask.ListPlugins()))
    rows = {row.name: row for row in listed.plugins}
    assert not any("took longer" in text for text in told)
    assert show_plugin(shelf.home, "hanging-import").state is rows["hanging-import"].state is PluginState.FAILED


@pytest.mark.parametrize("animal", [one for one in ANIMALS if one.ends], ids=lambda animal: animal.name)
def test_one_that_takes_an_engine_with_it_is_off_at_the_next_start(shelf, animal: Animal):
    name = shelf.add(animal.name, animal.code)
    with pytest.raises(EngineLost):
        asyncio.run(asked(shelf.home, ask.ListSlots()))
    (slots, listed), told = asyncio.run(asked(shelf.home, ask.ListSlots(), ask.ListPlugins()))
    assert len(slots) == 4
    assert listed.plugins[0].state is PluginState.BLOCKED
    assert "ended while this plugin was loading" in listed.plugins[0].reason
    assert any(name in text and "was loading" in text for text in told)


def test_what_was_never_trusted_is_not_even_imported(shelf):
    shelf.put("quiet", "open(__file__ + '.ran', 'w')")
    (listed, _), told = asyncio.run(asked(shelf.home, ask.ListPlugins(), ask.ListSlots()))
    assert listed.plugins[0].state is PluginState.UNTRUSTED
    assert "nightschool plugins trust quiet" in listed.plugins[0].reason
    assert not list(shelf.folder.glob("*.ran"))
    assert told == []


def test_one_that_changed_is_asked_about_again(shelf):
    name = shelf.add("quiet", "")
    shelf.put("quiet", "open(__file__ + '.ran', 'w')", version="1.3")
    (shelf.folder / "quiet-1.2.dist-info" / "METADATA").unlink()
    for file in (shelf.folder / "quiet-1.2.dist-info").iterdir():
        file.unlink()
    (shelf.folder / "quiet-1.2.dist-info").rmdir()
    (listed,), _ = asyncio.run(asked(shelf.home, ask.ListPlugins()))
    assert listed.plugins[0].state is PluginState.UNTRUSTED
    assert "has changed since you trusted 1.2 (it is 1.3 now)" in listed.plugins[0].reason
    assert not list(shelf.folder.glob("*.ran"))
    assert run(["plugins", "trust", name, "--yes"]) == 0
    assert list(shelf.folder.glob("*.ran"))


READING = [
    "doctor", "slots", "slots check", "slots gc", "lessons", "lessons compare", "memory list", "report", "quality",
    "versions list", "conversations list", "conversations search word", "conversations export", "models list",
    "providers list", "market list", "market outdated", "market search", "trust list", "trust incidents",
    "trust revoked", "publisher show", "nightly status", "plugins list", "plugins sync --dry-run",
    "serve keys list", "api keys list",
]  # fmt: skip


def test_every_command_that_reads_ends_as_without_any_of_them(shelf, capsys):
    def codes():
        found = {}
        for command in READING:
            found[command] = run(["--model", "none", *command.split()])
            said = capsys.readouterr()
            assert "Traceback" not in said.out + said.err, command
        return found

    without = codes()
    assert list(without.values()).count(0) > 20  # the others have nothing to tell in an empty profile
    for animal in ANIMALS:
        if not animal.ends:
            shelf.add(animal.name, animal.code, requires=animal.requires)
    assert codes() == without
