"""Where the user writes: enter sends, shift+enter begins a new line, up and down at the edges walk the history."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message as UiMessage
from textual.widgets import TextArea

from ..keys import bindings_of

HISTORY = 200


class Prompt(TextArea):
    """A text area that grows with its text and remembers what was sent."""

    DEFAULT_CSS = """
    Prompt {
        height: auto;
        min-height: 3;
        max-height: 10;
        border: round $panel-lighten-2;
        border-title-color: $text-muted;
        border-subtitle-color: $text-muted;
        padding: 0 1;
        margin: 0 1;
        background: transparent;
        &:focus { border: round $primary; border-title-color: $primary; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, show=False) for row in bindings_of("prompt")]

    class Sent(UiMessage):
        """The user pressed enter on a text that is not empty."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(
            soft_wrap=True,
            tab_behavior="focus",
            placeholder="Say something",
            highlight_cursor_line=False,
            id="prompt",
        )
        self.sent: list[str] = []
        self._place: int | None = None
        self._draft = ""

    async def _on_key(self, event: events.Key) -> None:
        """Take enter and the edges before the text area does; everything else is writing."""
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.action_send()
        elif (event.key == "up" and self.cursor_at_first_line and self._walk(-1)) or (
            event.key == "down" and self.cursor_at_last_line and self._walk(1)
        ):
            event.stop()
            event.prevent_default()
        else:
            await super()._on_key(event)

    def action_send(self) -> None:
        """Send the text; an empty one stays."""
        text = self.text.strip()
        if text:
            self.post_message(self.Sent(text))

    def action_newline(self) -> None:
        """Begin a new line."""
        self.insert("\n")

    def take(self) -> str:
        """Return the text, remember it and empty the prompt."""
        text = self.text.strip()
        self.remember(text)
        self.clear()
        return text

    def remember(self, text: str) -> None:
        """Put a text at the end of the history."""
        if text and (not self.sent or self.sent[-1] != text):
            self.sent = [*self.sent, text][-HISTORY:]
        self._place = None

    def give_back(self, text: str) -> None:
        """Bring a text that could not be sent back, above what was written since."""
        rest = self.text
        self.text = text if not rest.strip() else f"{text}\n{rest}"
        self.move_cursor(self.document.end)

    def _walk(self, step: int) -> bool:
        """Go through the history; False where there is nowhere to go."""
        if self._place is None:
            if step > 0 or not self.sent:
                return False
            self._draft, self._place = self.text, len(self.sent)
        place = self._place + step
        if place < 0:
            return True
        if place >= len(self.sent):
            self._place = None
            self.text = self._draft
        else:
            self._place = place
            self.text = self.sent[place]
        self.move_cursor(self.document.end)
        return True
