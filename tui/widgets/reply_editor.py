"""The editor that stands in place of a reply: what is written here is a correction."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message as UiMessage
from textual.widgets import TextArea

from ...schemas.records import Message
from ..keys import bindings_of


class ReplyEditor(TextArea):
    """A reply, open for rewriting."""

    DEFAULT_CSS = """
    ReplyEditor {
        height: auto;
        min-height: 3;
        max-height: 24;
        border: round $success;
        &:focus { border: round $success; border-title-color: $success; }
        border-subtitle-color: $text-muted;
        padding: 0 1;
        margin: 0 0 1 0;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("editor")]

    class Saved(UiMessage):
        """The user's own wording."""

        def __init__(self, message: Message, text: str) -> None:
            super().__init__()
            self.message = message
            self.text = text

    class Left(UiMessage):
        """The reply stays as it was."""

        def __init__(self, message: Message) -> None:
            super().__init__()
            self.message = message

    def __init__(self, message: Message) -> None:
        super().__init__(message.text, soft_wrap=True, tab_behavior="indent")
        self.edited = message
        self.border_title = "your wording"
        self.border_subtitle = "ctrl+s save · esc leave"
        self.move_cursor(self.document.end)

    def action_save(self) -> None:
        """Send the wording as a correction."""
        self.post_message(self.Saved(self.edited, self.text))

    def action_go(self, where: str) -> None:
        """Put the cursor at the very ``start`` or ``end``."""
        self.move_cursor((0, 0) if where == "start" else self.document.end)

    def action_leave(self) -> None:
        """Close without a correction."""
        self.post_message(self.Left(self.edited))
