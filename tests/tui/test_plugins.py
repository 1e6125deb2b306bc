"""Plugins in the app: how each stands, trust with one key, and the commands that they supply."""

from __future__ import annotations

import json

from textual.widgets import OptionList, Static

from nightschool.schemas import messages as ask
from nightschool.schemas.plugins import PluginCommand, PluginFault, PluginRow, PluginState
from nightschool.tui.commands import command

GERMAN = PluginRow(
    name="nightschool-german",
    version="1.0",
    state=PluginState.UNTRUSTED,
    reason="Its code never ran.",
    summary="Deutsch",
)
COUNT = PluginRow(
    name="count", version="2.0", state=PluginState.LOADED, trusted_version="2.0", load_ms=12.0,
    hooks=["nightschool_commands"],
    commands=[PluginCommand(name="count", about="Counts.", title="Count words"), PluginCommand(name="quiet")],
    faults=[
        PluginFault(text="run() failed", hook="nightschool_commands", traceback="Traceback\n  [red]in deep[/]\x1b[2J")
    ],
)  # fmt: skip


async def opened_screen(app, until):
    command("plugins").run(app.chat)
    await until(lambda: type(app.screen).__name__ == "PluginsScreen" and app.screen.query(OptionList))
    await until(lambda: app.screen.query_one(OptionList).option_count)
    return app.screen


def line(screen, place):
    return str(screen.query_one(OptionList).get_option_at_index(place).prompt)


def known(screen):
    return str(screen.query_one("#known > Static", Static).content)


async def test_a_plugin_is_trusted_with_one_key_and_a_question(opened, engine, until):
    engine.plugins = {row.name: row for row in (GERMAN, COUNT)}
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        assert "untrusted" in line(screen, 0)
        assert "12 ms" in line(screen, 1) and "commands" in line(screen, 1)
        assert "Its code never ran." in known(screen)
        await pilot.press("t")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.press("escape")
        await until(lambda: app.screen is screen)
        assert not [request for request in engine.asked if isinstance(request, ask.TrustPlugin)]
        await pilot.press("t")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.press("ctrl+s")
        await until(lambda: app.screen is screen and "loaded" in line(screen, 0))
        await pilot.press("d")
        await until(lambda: "blocked" in line(screen, 0) and "You turned it off." in known(screen))
        await pilot.press("e")
        await until(lambda: "loaded" in line(screen, 0))


async def test_what_a_plugin_did_wrong_is_shown_and_obeyed_by_nothing(opened, engine, until):
    engine.plugins = {"count": COUNT}
    async with opened() as (app, _):
        screen = await opened_screen(app, until)
        assert "run() failed" in known(screen)
        assert "[red]in deep[/]␛[2J" in known(screen)


async def test_a_plugin_that_does_not_load_says_why(opened, engine, until):
    engine.plugins = {"nightschool-german": GERMAN}
    engine.broken = {"nightschool-german"}
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        await pilot.press("t")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.press("ctrl+s")
        await until(lambda: "failed" in line(screen, 0) and "ZeroDivisionError" in known(screen))
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)


async def test_a_plugin_that_was_never_trusted_cannot_be_turned_on(opened, engine, until):
    engine.plugins = {"nightschool-german": GERMAN}
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        await pilot.press("e")
        await until(lambda: "not trusted" in known(screen))


async def test_commands_of_loaded_plugins_are_in_the_palette(opened, engine, until):
    engine.plugins = {row.name: row for row in (GERMAN, COUNT)}
    engine.said = "42 words"
    async with opened() as (app, _):
        await until(lambda: app.session.plugin_commands)
        rows = [row for row in app.get_system_commands(app.screen) if row.title.startswith("Plugin: ")]
        assert [(row.title, row.help) for row in rows] == [("Plugin: Count words", "Counts.")]
        await rows[0].callback()
        await until(lambda: type(app.screen).__name__ == "SaidScreen" and app.screen.query(Static))
        await until(lambda: "42 words" in str(app.screen.query_one(Static).content))
        (asked,) = [request for request in engine.asked if isinstance(request, ask.RunPluginCommand)]
        assert (asked.command, asked.slot) == ("count", "science")


def test_the_command_line_forwards_a_plugins_command(call, engine, tmp_path):
    counts = {"sha256": "a", "state": "loaded", "commands": [{"name": "count", "about": "Counts."}]}
    sighting = json.dumps({"plugins": {"count": counts}})
    decision = json.dumps({"plugins": {"count": {"version": "2", "sha256": "a", "enabled": True}}})
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "seen.json").write_text(sighting)
    (tmp_path / "plugins" / "plugins.lock").write_text(decision)
    code, out, _ = call("count", "--deep", "7")
    assert (code, out) == (0, "Moo.\n")
    asked = next(request for request in engine.asked if isinstance(request, ask.RunPluginCommand))
    assert (asked.command, asked.arguments) == ("count", ["--deep", "7"])
    assert "Commands of plugins" in call("--help")[1]
    (tmp_path / "plugins" / "plugins.lock").write_text(decision.replace("true", "false"))
    assert call("count")[0] == 2
    assert "Commands of plugins" not in call("--help")[1]
