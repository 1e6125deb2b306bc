"""Everything of a list that the engine gives in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ...schemas.errors import NotFound
from ...schemas.messages import ListConversations, ListMessages
from ...schemas.records import Conversation, Message
from .desk import Desk

PAGE = 1000


async def all_conversations(desk: Desk, slot: str | None = None) -> AsyncIterator[Conversation]:
    """Give the conversations of a slot or of all, the latest first."""
    offset = 0
    while page := await desk.ask(ListConversations(slot=slot, limit=PAGE, offset=offset)):
        for conversation in page:
            yield conversation
        offset += len(page)


async def conversation_of(desk: Desk, number: int) -> Conversation:
    """Return a conversation by its number.

    Raises:
        NotFound: If there is none, or it is deleted.
    """
    async for conversation in all_conversations(desk):
        if conversation.id == number:
            return conversation
    raise NotFound(f"There is no conversation {number}; `nightschool conversations` lists them.")


async def all_messages(desk: Desk, conversation: int) -> list[Message]:
    """Return the messages of a conversation in order."""
    found: list[Message] = []
    before = None
    while page := await desk.ask(ListMessages(conversation=conversation, before=before, limit=PAGE)):
        found[:0] = page
        before = page[0].id
    return found
