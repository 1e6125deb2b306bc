"""Every key and what it does, made from the registry."""

from __future__ import annotations

from itertools import groupby
from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ..commands import COMMANDS
from ..keys import KEYS, PARTS, bindings_of

KEY_WIDTH = 18


def help_text(width: int) -> Content:
    """Return the whole help, ``width`` cells wide: commands by group, then the keys of each part."""
    lines: list[Content] = []
    for group, rows in groupby(COMMANDS, key=lambda row: row.group):
        lines.append(Content.styled(group, "bold $primary"))
        for row in rows:
            keys = ", ".join(filter(None, (row.keys.replace(",", ", "), row.on_message)))
            lines.append(_line(keys or "palette", row.help, width))
        lines.append(Content(""))
    for part, title in PARTS.items():
        lines.append(Content.styled(title, "bold $primary"))
        lines.extend(_line(row.key.replace(",", ", "), row.help, width) for row in KEYS[part])
        lines.append(Content(""))
    lines.append(
        Content.styled("A single letter after a comma works while a message is selected.", "$foreground-muted")
    )
    return Content("\n").join(lines)


def _line(keys: str, words: str, width: int) -> Content:
    lines = wrap(words, max(width - KEY_WIDTH - 4, 20))
    indent = "\n" + " " * (KEY_WIDTH + 2)
    begin = f"  {keys:<{KEY_WIDTH}}" if len(keys) < KEY_WIDTH else f"  {keys}{indent}"
    return Content.assemble((begin, "$accent"), indent.join(lines))


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
                yield Static("", markup=False)

    def on_resize(self) -> None:
        """Wrap the words to the space there is."""
        area = self.query_one(VerticalScroll)
        self.query_one("VerticalScroll > Static", Static).update(help_text(area.scrollable_content_region.width))

    def action_back(self) -> None:
        """Back to where the user was."""
        self.dismiss(None)
