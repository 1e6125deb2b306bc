"""Small dialogs: one line of text, one question, one of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

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

    DEFAULT_CSS = """
    ConfirmScreen VerticalScroll { height: auto; max-height: 100%; }
    ConfirmScreen .buttons { dock: bottom; }
    """
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
            box.border_subtitle = "tab choose · ctrl+s agree · esc cancel"
            with VerticalScroll():
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


class ChooseScreen(ModalScreen[str | None]):
    """Ask for one of several; None: the user left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("choose")]

    def __init__(self, title: str, options: Sequence[tuple[str, str]], chosen: str = "") -> None:
        """``options`` are what is shown, and what is given back."""
        super().__init__()
        self.heading = title
        self.options = list(options)
        self.chosen = chosen

    def compose(self) -> ComposeResult:
        """The list."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(safe(self.heading))
            box.border_subtitle = "enter choose · esc cancel"
            yield OptionList(*(Option(Content(safe(shown))) for shown, _ in self.options), markup=False)

    def on_mount(self) -> None:
        """Begin at what is chosen now."""
        values = [value for _, value in self.options]
        options = self.query_one(OptionList)
        options.highlighted = values.index(self.chosen) if self.chosen in values else 0
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Give back what was chosen."""
        self.dismiss(self.options[event.option_index][1])

    def action_back(self) -> None:
        """Leave everything as it was."""
        self.dismiss(None)
