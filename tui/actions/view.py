"""Moving about, and what concerns the app itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..screens.chat import ChatScreen


def can_write(screen: ChatScreen) -> bool:
    """The prompt does not have the focus, and no reply is being edited."""
    return not screen.editing and not screen.prompt.has_focus


def can_scroll(screen: ChatScreen) -> bool:
    """No editor wants the key."""
    return not screen.editing


def write(screen: ChatScreen) -> None:
    """Back to the prompt."""
    screen.prompt.focus()


def select_up(screen: ChatScreen) -> None:
    """Select the message above the selected one, or the last."""
    views = screen.transcript.views
    if views:
        selected = screen.selected()
        place = views.index(selected) - 1 if selected in views else len(views) - 1
        views[max(place, 0)].focus()


def select_down(screen: ChatScreen) -> None:
    """Select the message below; after the last one, go back to the prompt."""
    views = screen.transcript.views
    selected = screen.selected()
    if selected in views and selected is not views[-1]:
        views[views.index(selected) + 1].focus()
    else:
        screen.prompt.focus()


def page_up(screen: ChatScreen) -> None:
    """Scroll up."""
    screen.transcript.scroll_page_up(animate=False)


def page_down(screen: ChatScreen) -> None:
    """Scroll down."""
    screen.transcript.scroll_page_down(animate=False)


def toggle_sidebar(screen: ChatScreen) -> None:
    """Show or hide the left side."""
    screen.toggle_sidebar()


def show_help(screen: ChatScreen) -> None:
    """Open the help."""
    from ..screens.help import HelpScreen

    screen.app.push_screen(HelpScreen())


def models(screen: ChatScreen) -> None:
    """Open the models; also while none is loaded, and where none could be."""
    from ..screens.models import ModelsScreen

    screen.app.push_screen(ModelsScreen(screen.session))


def providers(screen: ChatScreen) -> None:
    """Open the servers that compute elsewhere."""
    from ..screens.providers import ProvidersScreen

    screen.app.push_screen(ProvidersScreen(screen.link, screen.session))


def palette(screen: ChatScreen) -> None:
    """Open the command palette."""
    screen.app.action_command_palette()


def theme(screen: ChatScreen) -> None:
    """Choose a theme."""
    screen.app.search_themes()


def save_screen(screen: ChatScreen) -> None:
    """Write the screen as a picture into the current folder."""
    name = time.strftime("nightschool-%Y%m%d-%H%M%S.svg")
    try:
        (Path.cwd() / name).write_text(screen.app.export_screenshot(title="Night School"), encoding="utf-8")
    except OSError as error:
        screen.tell(f"The picture could not be written: {error.strerror or error}.", "error")
    else:
        screen.tell(f"Saved {name} in the current folder.")


def leave(screen: ChatScreen) -> None:
    """End the app."""
    screen.app.exit(0)
