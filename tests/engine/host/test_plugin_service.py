"""Plugins in a running engine: trusted and turned off without a restart, their commands and forms in use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nightschool.engine.host.plugins import PluginHost
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import NotFound, PluginError, UsageError
from nightschool.schemas.plugins import PluginState
from nightschool.tests.plugged import Shelf

PLUGIN = """
from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.study.contracts import Finding
from nightschool.schemas.errors import UsageError
from nightschool.schemas.records import Scope, SignalKind

class Moo:
    name, about, title = "moo", "Counts.", "Moo"

    def find(self, prompt, reply, said):
        rule = "Never use exclamation marks."
        return [Finding(SignalKind.RULE, rule, confidence=0.9, scope=Scope.SLOT)] if "moo" in said else []

    def run(self, context, arguments):
        if "--wrong" in arguments:
            raise UsageError("Not so.")
        if "--broken" in arguments:
            return 1 / 0
        said = [message.text for message in context.messages(context.conversation)]
        slots, lessons = [slot.name for slot in context.slots()], context.lessons(context.slot or None)
        return f"{len(slots)} slots, {len(context.conversations())} conversations, {len(said)} messages, {len(lessons)}"

    def write(self, transcript):
        return "".join(f"{turn.role.value}: {turn.text}\\n" for turn in transcript.turns)

@hookimpl
def nightschool_detectors():
    return [Moo()]

@hookimpl
def nightschool_commands():
    return [Moo()]

@hookimpl
def nightschool_exporters():
    return [Moo()]
"""


@pytest.fixture
def shelf(tmp_path, monkeypatch, home):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    yield Shelf(folder, home)
    sys.modules.pop("moo", None)


@pytest.fixture
async def farm(desk, shelf):
    """A service in whose environment a plugin is installed."""
    shelf.put("moo", PLUGIN)
    desk.rooms.plugins = PluginHost.load(home=desk.home)
    return desk


async def lessons(desk, said):
    before = len(await desk.ask(ask.ListLessons()))
    await desk.say(said, await desk.conversation())
    return len(await desk.ask(ask.ListLessons())) - before


async def test_a_plugin_is_trusted_and_turned_off_while_the_engine_runs(farm):
    listed = await farm.ask(ask.ListPlugins())
    assert (listed.built_in, listed.plugins[0].state) == (45, PluginState.UNTRUSTED)
    assert await lessons(farm, "moo one") == 0
    row = await farm.ask(ask.TrustPlugin(name="moo"))
    assert row.state is PluginState.LOADED
    assert row.hooks == ["nightschool_commands", "nightschool_detectors", "nightschool_exporters"]
    assert await lessons(farm, "moo two") == 1
    assert (await farm.ask(ask.DisablePlugin(name="moo"))).state is PluginState.BLOCKED
    assert "moo" not in [plugin.name for plugin in farm.rooms.plugins.plugins()]
    with pytest.raises(NotFound, match="No plugin that is loaded supplies the command moo"):
        await farm.ask(ask.RunPluginCommand(command="moo"))
    assert (await farm.ask(ask.EnablePlugin(name="moo"))).state is PluginState.LOADED
    assert "4 slots" in await farm.ask(ask.RunPluginCommand(command="moo"))


async def test_what_is_not_there_cannot_be_trusted(farm):
    with pytest.raises(NotFound, match="There is no plugin cow; installed: moo"):
        await farm.ask(ask.TrustPlugin(name="cow"))
    with pytest.raises(PluginError, match="not trusted"):
        await farm.ask(ask.EnablePlugin(name="moo"))


async def test_a_command_reads_what_it_may_and_fails_alone(farm):
    await farm.ask(ask.TrustPlugin(name="moo"))
    conversation = await farm.conversation()
    await farm.say("Hello", conversation)
    request = ask.RunPluginCommand(command="moo", slot="science", conversation=conversation)
    assert await farm.ask(request) == "4 slots, 1 conversations, 2 messages, 0"
    with pytest.raises(UsageError, match="Not so"):
        await farm.ask(request.model_copy(update={"arguments": ["--wrong"]}))
    with pytest.raises(PluginError, match=r"moo failed at nightschool_commands moo\.run: .*ZeroDivisionError"):
        await farm.ask(request.model_copy(update={"arguments": ["--broken"]}))
    assert (await farm.ask(ask.ListPlugins())).plugins[0].strikes == 1
    assert await farm.say("And now?", conversation)


async def test_conversations_are_written_in_the_form_of_a_plugin(farm, tmp_path):
    await farm.ask(ask.TrustPlugin(name="moo"))
    await farm.say("Hello", await farm.conversation())
    target = tmp_path / "moo.txt"
    written = await farm.ask(ask.ExportConversations(file=str(target), form="moo"))
    assert written.conversations == 1
    assert Path(target).read_text() == "user: Hello\nassistant: It is Paris.\n"
    with pytest.raises(UsageError, match="There is no form cow; there is jsonl, markdown, moo, nightschool, sharegpt"):
        await farm.ask(ask.ExportConversations(file=str(target), form="cow"))


async def test_what_a_start_left_out_is_not_shown_as_loaded(farm, monkeypatch):
    await farm.ask(ask.TrustPlugin(name="moo"))
    monkeypatch.setenv("NIGHTSCHOOL_LOAD_PLUGINS", "")
    farm.rooms.plugins = PluginHost.load(home=farm.home)
    (row,) = (await farm.ask(ask.ListPlugins())).plugins
    assert (row.state, "--no-plugins" in row.reason) == (PluginState.BLOCKED, True)
