"""What plugins supply beside learning: commands, and what they may read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...schemas.records import Conversation, Lesson, Message, Slot


class Context(Protocol):
    """What a command may read, and where it was asked for. Nothing can be changed through it."""

    @property
    def slot(self) -> str:
        """Of the screen or the option ``--slot``; empty: none was named."""
        ...

    @property
    def conversation(self) -> int | None:
        """The one that is open in the app; None: none, as on the command line."""
        ...

    def slots(self) -> list[Slot]:
        """Return the slots in use."""
        ...

    def conversations(self, slot: str | None = None) -> list[Conversation]:
        """Return the conversations of a slot, or all, the latest first."""
        ...

    def messages(self, conversation: int | None) -> list[Message]:
        """Return what was said in a conversation, the earliest first; nothing for None.

        Raises:
            NotFound: If there is no such conversation.
        """
        ...

    def lessons(self, slot: str | None = None) -> list[Lesson]:
        """Return the lessons of a slot, or all, the latest first."""
        ...


class Command(Protocol):
    """Something the user can ask for, on the command line and, with a ``title``, in the palette."""

    @property
    def name(self) -> str:
        """Small letters, digits and dashes; unique among commands of plugins."""
        ...

    @property
    def about(self) -> str:
        """What it does, in one sentence."""
        ...

    @property
    def title(self) -> str:
        """A few words for the palette; empty: only on the command line."""
        ...

    def run(self, context: Context, arguments: Sequence[str]) -> str:
        """Do it and return what it has to say.

        Raises:
            UsageError: If the arguments are not those it takes.
        """
        ...
