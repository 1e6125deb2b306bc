"""The conversation on the screen: its last messages as widgets, older ones on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message as UiMessage
from textual.widgets import Static

from ...schemas.records import Message
from .message import MessageView

PAGE = 40
"""Messages mounted at once; a reply of ten lines is about fourteen nodes (so 40 messages are some 300)."""
MOUNTED = 100
"""Messages kept on the screen while a conversation grows."""


class Earlier(Static, can_focus=True):
    """The line above the first message that loads older ones."""

    DEFAULT_CSS = """
    Earlier { width: 100%; content-align: center middle; color: $text-muted; height: 1; margin-bottom: 1; }
    Earlier:hover, Earlier:focus { color: $primary; text-style: bold; }
    """
    BINDINGS = [("enter", "load", "Load earlier messages")]

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
    Transcript > .welcome { padding: 2 4; color: $text-muted; width: 100%; height: auto; }
    """

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
        await self.remove_children()
        await self.mount(Static(content, classes="welcome", markup=False))

    async def show(self, messages: Sequence[Message], slot: str, *, earlier: bool) -> None:
        """Show a conversation from its end; ``earlier``: there are older messages to load."""
        await self.remove_children()
        if earlier:
            await self.mount(Earlier())
        for message in messages:
            await self.mount(MessageView(message, slot))
            await asyncio.sleep(0)
        self.anchor()

    async def add(self, message: Message, slot: str) -> MessageView:
        """Show one more message at the end; the oldest leave when there are too many."""
        await self.query(".welcome").remove()
        view = MessageView(message, slot)
        await self.mount(view)
        surplus = self.views[:-MOUNTED]
        if surplus:
            for old in surplus:
                await old.remove()
            if not self.query(Earlier):
                await self.mount(Earlier(), before=0)
        return view

    async def add_earlier(self, messages: Sequence[Message], slot: str, *, earlier: bool) -> None:
        """Show older messages above the first and keep the place the user was reading."""
        first = self.views[0] if self.views else None
        await self.query(Earlier).remove()
        self.release_anchor()
        for place, message in enumerate(messages):
            await self.mount(MessageView(message, slot), before=place)
            await asyncio.sleep(0)
        if earlier:
            await self.mount(Earlier(), before=0)
        if first is not None:
            self.call_after_refresh(self.scroll_to_widget, first, animate=False, top=True)

    async def clear(self) -> None:
        """Show nothing."""
        await self.remove_children()
