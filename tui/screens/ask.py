"""Two small dialogs: one line of text, and one question."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from ..keys import bindings_of
from ..safe_text import safe

DIALOG: list[BindingType] = [Binding(*row, priority=True) for row in bindings_of("form")]


class AskScreen(ModalScreen[str | None]):
    """Ask for one line; None: the user left."""

    BINDINGS: ClassVar[list[BindingType]] = DIALOG

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self.heading = title
        self.text = text

    def compose(self) -> ComposeResult:
        """One input; enter keeps it."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(safe(self.heading))
            box.border_subtitle = "enter save · esc cancel"
            yield Input(self.text, select_on_focus=True)

    def on_input_submitted(self) -> None:
        """Keep what was entered."""
        self.action_save()

    def action_save(self) -> None:
        """Keep what was entered."""
        self.dismiss(self.query_one(Input).value)

    def action_back(self) -> None:
        """Leave everything as it was."""
        self.dismiss(None)


class ConfirmScreen(ModalScreen[bool]):
    """Ask yes or no about something shown in full."""

    BINDINGS: ClassVar[list[BindingType]] = DIALOG

    def __init__(self, question: str, subject: str, yes: str) -> None:
        super().__init__()
        self.question = question
        self.subject = subject
        self.yes = yes

    def compose(self) -> ComposeResult:
        """The subject as plain text, and two buttons; the harmless one has the focus."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(safe(self.question))
            yield Static(safe(self.subject), markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="no")
                yield Button(self.yes, id="yes", variant="primary")

    def on_mount(self) -> None:
        """Enter must not agree by accident."""
        self.query_one("#no", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        self.dismiss(event.button.id == "yes")

    def action_save(self) -> None:
        """Agree."""
        self.dismiss(True)

    def action_back(self) -> None:
        """Refuse."""
        self.dismiss(False)
