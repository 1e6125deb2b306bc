"""The command ``nightschool`` itself: its options, its commands, and the app where none is named."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ... import __version__
from ...engine.paths import Home, find_home
from ...schemas.errors import UsageError
from ..paths import expanded
from ..safe_text import one_line
from .options import examples
from .plugin_names import plugin_commands
from .profile import LOAD_PLUGINS, Profile

if TYPE_CHECKING:
    from .profile import Connect

COMMANDS = {
    "ask": ("chat", "Ask something; the reply streams to stdout."),
    "edit": ("chat", "Correct a reply: put it in your own words."),
    "undo": ("chat", "Take a signal back."),
    "lessons": ("learning", "List, approve, dismiss, reword, merge, end and forget lessons."),
    "study": ("learning", "Study the approved lessons of a slot."),
    "memory": ("memory", "List, add, re-word, forget and teach what is known of you."),
    "report": ("learning", "Read the report of a study; without a number, of the latest."),
    "nightly": ("nightly", "Study by itself each night."),
    "slots": (
        "slots",
        "List, make, change, rename, archive, delete, fork, blend, compare, check, clean, export, import, publish.",
    ),
    "versions": ("versions", "List the generations of a slot, or of all; pin one."),
    "quality": ("versions", "Say how good each generation of a slot was, the oldest first."),
    "rollback": ("versions", "Go back to an older generation of a slot."),
    "conversations": (
        "conversations",
        "List, show, search, import, export, rename, delete and restore conversations.",
    ),
    "bundle": ("bundle", "Pack, show, verify, import and export slots in signed files."),
    "publisher": ("publisher", "Make, show, change and revoke the keys that you publish with."),
    "trust": ("trust", "List, pin and forget publishers, and see what was revoked and refused."),
    "market": ("market", "Search registries; install, update, verify and remove what they list."),
    "registry": ("registry", "Keep a registry of your own: a folder, or the same behind a web server."),
    "models": ("models", "List, fetch, choose and remove models."),
    "tail": ("tail", "Fetch the last blocks of a base whose rest computes on a server."),
    "backup": ("backup", "Save the whole profile in one file."),
    "restore": ("backup", "Bring a profile back from a backup."),
    "serve": ("serve", "Serve a base to others: its lower blocks compute here, what is personal stays with them."),
    "api": ("api", "Let editors and other chat apps speak to the slots, as to OpenAI's chat completions."),
    "providers": ("providers", "List, add, choose, test and remove servers that compute elsewhere."),
    "plugins": ("plugins", "List, trust, install, update and remove plugins."),
    "doctor": ("doctor", "Look at model, files, database, plugins and machine."),
}
"""Each command with the module that has it and its first line of help, so that help imports none of them."""


class Commands(click.Group):
    """The commands; each is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one, or None."""
        if cmd_name not in COMMANDS:
            return _of_a_plugin(cmd_name)
        module = import_module(f".{COMMANDS[cmd_name][0]}", __package__)
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write their names and what they do."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])
        more = plugin_commands(_home(ctx), COMMANDS)
        if more:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(command.name, one_line(command.about, 120)) for command in more.values()])


def _of_a_plugin(name: str) -> click.Command | None:
    """Return the command of a plugin that is loaded; what it does is done by the engine."""
    known = plugin_commands(find_home(), COMMANDS).get(name)
    if known is None:
        return None
    from .plugin_command import command_of

    return command_of(known)


def _home(context: click.Context) -> Home:
    named = context.params.get("home")
    return Home(expanded(named).absolute()) if named is not None else find_home()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "nightschool",
        'nightschool ask "Why is the sky blue?"',
        "nightschool study --slot science",
        "nightschool --home ~/other-profile conversations",
    )
    + "\n\nExit codes: 0 done, 2 wrong use, 3 not found, 10-16 model, 20-23 files (22: Night School is open already), "
    "30-32 chat, 40-44 study, 50-52 engine, 60 plugin, 70-73 import and export, 80 scheduler, "
    "90-95 servers elsewhere, 100-105 bundles and trust, 130 stopped with ctrl+c.",
)
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="Another profile.")
@click.option(
    "--model",
    default="",
    metavar="MODEL",
    help="A name of `nightschool models`, owner/name[@revision] of the Hugging Face hub, a folder or a .gguf file.",
)
@click.option("--slot", metavar="SLOT", help="The slot to begin in, by name.")
@click.option("--no-plugins", is_flag=True, help="Load no plugins of others this time.")
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def root(context: click.Context, home: Path | None, model: str, slot: str | None, *, no_plugins: bool) -> int:
    """Night School: a terminal chat that learns you. Without a command the full-screen app opens.

    Data goes to stdout; words, progress and errors go to stderr. With --json, a command writes one JSON document, and
    an error as {"error": {"code", "message", "exit_code"}} to stderr.
    """
    if home is not None:
        os.environ["NIGHTSCHOOL_HOME"] = str(expanded(home).absolute())
    if no_plugins:
        os.environ[LOAD_PLUGINS] = ""
    connect: Connect = context.obj
    context.obj = Profile(find_home(), model, slot, connect)
    return 0 if context.invoked_subcommand is not None else _open_app(context.obj)


def _open_app(profile: Profile) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The app needs a terminal; in a script use `nightschool ask`, or see `nightschool --help`.")
    from ..app import run

    return run(profile.connect(profile.home, profile.model), profile.slot)
