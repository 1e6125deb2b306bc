"""The command ``nightschool`` itself: its options, its commands, and the app where none is named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ... import __version__
from ...engine.paths import find_home
from ...schemas.errors import NightSchoolError, UsageError
from ...schemas.messages import Check
from ...schemas.messages import Doctor as LookAround
from . import chat, conversations, learning, models, nightly, slots
from .desk import Connect, Desk, Profile, talks
from .options import examples
from .output import table


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "nightschool",
        'nightschool ask "Why is the sky blue?"',
        "nightschool study --slot science",
        "nightschool --home ~/other-profile conversations",
    )
    + "\n\nExit codes: 0 done, 2 wrong use, 3 not found, 10-16 model, 20-23 files (22: Night School is open already), "
    "30-32 chat, 40-44 study, 50-52 engine, 60 plugin, 70-73 import and export, 80 scheduler, 130 stopped with ctrl+c.",
)
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="Another profile.")
@click.option(
    "--model",
    default="",
    metavar="MODEL",
    help="A name of `nightschool models`, owner/name[@revision] of the Hugging Face hub, a folder or a .gguf file.",
)
@click.option("--slot", metavar="SLOT", help="The slot to begin in, by name.")
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def root(context: click.Context, home: Path | None, model: str, slot: str | None) -> int:
    """Night School: a terminal chat that learns you. Without a command the full-screen app opens.

    Data goes to stdout; words, progress and errors go to stderr. With --json, a command writes one JSON document, and
    an error as {"error": {"code", "message", "exit_code"}} to stderr.
    """
    if home is not None:
        os.environ["NIGHTSCHOOL_HOME"] = str(home.expanduser().absolute())
    connect: Connect = context.obj
    context.obj = Profile(find_home(), model, slot, connect)
    return 0 if context.invoked_subcommand is not None else _open_app(context.obj)


def _open_app(profile: Profile) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The app needs a terminal; in a script use `nightschool ask`, or see `nightschool --help`.")
    from ..app import run

    return run(profile.connect(profile.home, profile.model), profile.slot)


@click.command(epilog=examples("nightschool doctor", "nightschool doctor --json"))
@talks
async def doctor(desk: Desk) -> int:
    """Look at model, files, database, plugins and machine.

    Every line that is not well says what to do. The exit code is 1 if there is one.
    """
    code = 0
    try:
        await desk.awake()
        checks = await desk.ask(LookAround())
    except NightSchoolError as error:
        checks, code = [Check(name="engine", ok=False, text=str(error))], error.exit_code
    desk.give(checks, table([("ok" if check.ok else "NOT OK", check.name, check.text) for check in checks]))
    return code or int(not all(check.ok for check in checks))


COMMANDS = (
    chat.ask,
    chat.edit,
    chat.undo,
    learning.lessons,
    learning.study,
    learning.report,
    nightly.nightly,
    slots.slots,
    slots.versions,
    slots.quality,
    slots.rollback,
    conversations.conversations,
    models.models,
    doctor,
)
for _command in COMMANDS:
    root.add_command(_command)
