"""Every key and what it does, made from the registry."""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ..commands import COMMANDS, KEYS, PARTS, bindings_of

KEY_WIDTH = 24


def help_text() -> Content:
    """Return the whole help: commands by group, then the keys of each part."""
    lines: list[Content] = []
    for group, rows in groupby(COMMANDS, key=lambda row: row.group):
        lines.append(Content.styled(group, "bold $primary"))
        for row in rows:
            keys = ", ".join(filter(None, (row.keys.replace(",", ", "), row.on_message)))
            lines.append(_line(keys or "palette", row.help))
        lines.append(Content(""))
    for part, title in PARTS.items():
        lines.append(Content.styled(title, "bold $primary"))
        lines.extend(_line(row.key.replace(",", ", "), row.help) for row in KEYS[part])
        lines.append(Content(""))
    lines.append(
        Content.styled("A single letter after a comma works while a message is selected.", "$foreground-muted")
    )
    return Content("\n").join(lines)


def _line(keys: str, words: str) -> Content:
    return Content.assemble((f"  {keys:<{KEY_WIDTH}}", "$accent"), words)


class HelpScreen(ModalScreen[None]):
    """The help; up, down and the mouse scroll it."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("help")]

    def compose(self) -> ComposeResult:
        """One scrolling text."""
        with Vertical(classes="dialog", id="help") as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc back"
            with VerticalScroll(can_focus=True):
                yield Static(help_text(), markup=False)

    def action_back(self) -> None:
        """Back to where the user was."""
        self.dismiss(None)
