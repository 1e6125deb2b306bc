"""Answers outside a conversation: side by side, and for other programs."""

from __future__ import annotations

from pydantic import Field

from .chats import Finish, Role
from .record import Record


class Compared(Record):
    """What one of several slots said to the same question."""

    slot: str
    version: int
    text: str
    finish: Finish
    tokens: int


class GivenTurn(Record):
    """What one side said, in a chat whose history lies with the caller."""

    role: Role
    text: str


class Answered(Record):
    """A reply to a chat whose history lies with the caller. Nothing of it was stored."""

    text: str
    finish: Finish
    tokens: int = Field(description="Of the reply.")
    prompt_tokens: int = Field(default=0, description="Of all that was read, system prompt and turn markers included.")
    held_tokens: int = Field(default=0, description="Of these, what was still in memory from an earlier request.")
    version: int = Field(default=0, description="Generation of the slot that answered.")
