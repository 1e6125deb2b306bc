"""A command that a plugin supplies, as one of ours: the engine does it, and no code of the plugin runs here."""

from __future__ import annotations

import click

from ...schemas.messages import RunPluginCommand
from ..safe_text import one_line
from .desk import Desk, talks_alone
from .plugin_names import PluginWords


def command_of(known: PluginWords) -> click.Command:
    """Return a command that hands all its arguments, ``--json`` too, to the plugin."""

    @click.command(
        known.name,
        help=f"{one_line(known.about, 400)}\n\nA command of a plugin; it is given every argument as it stands.",
        context_settings={"ignore_unknown_options": True},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    @talks_alone
    async def command(desk: Desk, arguments: tuple[str, ...]) -> None:
        given = [*arguments, *(["--json"] if desk.as_json else [])]
        slot = await desk.slot_filter(None)
        said = await desk.ask(RunPluginCommand(command=known.name, arguments=given, slot=slot or ""))
        desk.write(said if said.endswith("\n") or not said else f"{said}\n")

    return command
