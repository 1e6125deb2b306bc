"""One exchange under way: what the user said, what the model has answered so far, and where it is shown.

It lives as long as the engine works on it, also while the user looks at another conversation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..schemas.events import DeltaEvent, Event, MessageEvent
from ..schemas.records import Message, Role

if TYPE_CHECKING:
    from .widgets.message import MessageView


def draft(role: Role, text: str, conversation: int) -> Message:
    """Return a message that the engine has not stored yet; its id is 0."""
    return Message(id=0, conversation=conversation, role=role, text=text, created=time.time())


@dataclass
class Talk:
    """An exchange; ``said`` is None while a reply is made again."""

    said: str | None
    conversation: int = 0
    heard: str = ""
    said_view: MessageView | None = None
    reply_view: MessageView | None = None
    replaced: Message | None = None
    """The reply that is made again; it comes back where that fails."""
    forward: Callable[[Event], None] = field(default=lambda event: None)
    """Takes every event that is not a piece of the reply."""

    def hear(self, event: Event) -> None:
        """Take what the engine tells about this exchange. Cheap, and safe in any task."""
        if isinstance(event, DeltaEvent):
            self.heard += event.text
            if self.reply_view is not None:
                self.reply_view.hear(event.text)
        elif isinstance(event, MessageEvent) and event.message.role is Role.USER:
            if self.said_view is not None:
                self.said_view.message = event.message
        else:
            self.forward(event)
