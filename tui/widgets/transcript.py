"""The conversation on the screen: its last messages as widgets, older ones on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.css.query import DOMQuery
from textual.message import Message as UiMessage
from textual.widgets import Static

from ...schemas.records import Message
from ..keys import bindings_of
from .message import MessageView

PAGE = 40
"""Messages mounted at once; each is three nodes."""
MOUNTED = 100
"""Messages kept on the screen while a conversation grows."""


class Earlier(Static, can_focus=True):
    """The line above the first message that loads older ones."""

    DEFAULT_CSS = """
    Earlier { width: 100%; content-align: center middle; color: $text-muted; height: 1; margin-bottom: 1; }
    Earlier:hover, Earlier:focus { color: $primary; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row) for row in bindings_of("earlier")]

    class Asked(UiMessage):
        """Older messages are wanted."""

    def __init__(self) -> None:
        super().__init__("↑ earlier messages", markup=False)

    def action_load(self) -> None:
        """Ask for older messages."""
        self.post_message(self.Asked())

    def on_click(self) -> None:
        """Ask for older messages."""
        self.action_load()


class Transcript(VerticalScroll, can_focus=False):
    """Messages from top to bottom; sticks to the bottom until the user scrolls up."""

    DEFAULT_CSS = """
    Transcript { height: 1fr; padding: 1 0 0 0; scrollbar-size-vertical: 1; }
    Transcript > #welcome { padding: 2 4; color: $text-muted; width: 100%; height: auto; display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._turn = asyncio.Lock()
        """Several tasks may want to show something; each change of the whole is done before the next begins."""

    def compose(self) -> ComposeResult:
        """The greeting stays mounted and is hidden while there are messages."""
        yield Static("", id="welcome", markup=False)

    def on_mount(self) -> None:
        """Follow the end of the conversation."""
        self.anchor()

    @property
    def views(self) -> list[MessageView]:
        """The mounted messages in order."""
        return [child for child in self.children if isinstance(child, MessageView)]

    @property
    def replies(self) -> list[MessageView]:
        """The mounted replies in order."""
        return [view for view in self.views if view.is_reply]

    def view_of(self, message: int) -> MessageView | None:
        """Return the widget of a message, if it is mounted."""
        return next((view for view in self.views if view.message.id == message), None)

    async def welcome(self, content: Content) -> None:
        """Show a greeting in place of messages."""
        async with self._turn:
            await self._empty()
            for greeting in self._greeting():
                greeting.update(content)
                greeting.display = True

    async def show(self, messages: Sequence[Message], slot: str, *, earlier: bool, origin: str = "") -> None:
        """Show a conversation from its end; ``earlier``: there are older messages to load."""
        async with self._turn:
            await self._empty()
            if earlier:
                await self.mount(Earlier())
            for message in messages:
                await self.mount(MessageView(message, slot, origin))
                await asyncio.sleep(0)
            self.anchor()

    async def _empty(self) -> None:
        self._greeting().set(display=False)
        await self.query("MessageView, Earlier").remove()

    def _greeting(self) -> DOMQuery[Static]:
        """Return what greets; nothing, where the app is being left."""
        return self.query(Static).filter("#welcome")

    async def add(self, message: Message, slot: str) -> MessageView:
        """Show one more message at the end; the oldest leave when there are too many."""
        async with self._turn:
            self._greeting().set(display=False)
            view = MessageView(message, slot)
            await self.mount(view)
            surplus = self.views[:-MOUNTED]
            for old in surplus:
                await old.remove()
            if surplus and not self.query(Earlier):
                await self.mount(Earlier(), before=0)
            return view

    async def add_earlier(
        self, messages: Sequence[Message], slot: str, first: MessageView, *, earlier: bool, origin: str = ""
    ) -> None:
        """Show older messages above what was the first when they were asked for, unless another is by now.

        The place that the user was reading stays.
        """
        async with self._turn:
            if first not in self.views[:1]:
                return
            await self.query(Earlier).remove()
            self.release_anchor()
            for place, message in enumerate(messages):
                await self.mount(MessageView(message, slot, origin), before=place)
                await asyncio.sleep(0)
            if earlier:
                await self.mount(Earlier(), before=0)
            self.call_after_refresh(self.scroll_to_widget, first, animate=False, top=True)
