"""The plugins of others, and the commands that they supply to the palette."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...schemas.messages import ListPlugins, RunPluginCommand

if TYPE_CHECKING:
    from ..screens.chat import ChatScreen


def manage(screen: ChatScreen) -> None:
    """Open the list of plugins."""
    from ..screens.plugins import PluginsScreen

    screen.app.push_screen(PluginsScreen(screen.link, screen.session))


async def learn_commands(screen: ChatScreen) -> None:
    """Ask which commands plugins supply to the palette."""
    from ..screens.plugins import commands_of

    listed = await screen.link.call(ListPlugins())
    screen.session.plugin_commands = commands_of(listed.plugins)


async def run_command(screen: ChatScreen, name: str, title: str) -> None:
    """Do what a plugin's command does, and show what it says."""
    from ..screens.said import SaidScreen

    slot, conversation = screen.session.slot, screen.session.conversation
    request = RunPluginCommand(
        command=name,
        slot=slot.name if slot is not None else "",
        conversation=conversation.id if conversation is not None else None,
    )
    with screen.errors_told():
        said = await screen.link.call(request)
        screen.app.push_screen(SaidScreen(title, said))
