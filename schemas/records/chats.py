"""Conversations and what is said in them."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .record import Record


class Role(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"


class Finish(StrEnum):
    """Why a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Conversation(Record):
    """One chat in one slot."""

    id: int
    slot: str
    title: str
    created: float
    updated: float
    messages: int = 0
    origin: str = Field(default="", description="Name of the importer that brought it; empty: it was had here.")


class Message(Record):
    """One turn. ``original`` is the model's own text where the user has edited the reply."""

    id: int
    conversation: int
    role: Role
    text: str
    created: float
    version: int | None = Field(default=None, description="Generation of the slot that answered; None for users.")
    finish: Finish | None = None
    tokens: int = 0
    original: str | None = None
    thumb: int = Field(default=0, ge=-1, le=1)


class SearchHit(Record):
    """One message that matches a full-text query, with the words around the match."""

    conversation: int
    message: int
    title: str
    slot: str
    role: Role
    excerpt: str = Field(description="Plain text; the match stands between U+E000 and U+E001.")
