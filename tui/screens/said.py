"""What a plugin's command has to say, to be read and closed."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ..keys import bindings_of
from ..safe_text import one_line, safe


class SaidScreen(ModalScreen[None]):
    """A text under a title."""

    CSS_PATH = "said.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("said")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self.heading, self.text = title, text

    def compose(self) -> ComposeResult:
        """The text."""
        with Vertical(classes="dialog", id="said") as box:
            box.border_title = Content(one_line(self.heading, 60))
            box.border_subtitle = "esc back"
            with VerticalScroll():
                yield Static(Content(safe(self.text) or "It has nothing to say."), markup=False)

    def on_mount(self) -> None:
        """Let the arrows scroll."""
        self.query_one(VerticalScroll).focus()

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)
