"""Conversations: listed, begun, renamed, put away, brought back, read and searched."""

from __future__ import annotations

from ...schemas.errors import Busy
from ...schemas.messages import (
    CreateConversation,
    DeleteConversation,
    ListConversations,
    ListMessages,
    RenameConversation,
    RestoreConversation,
    SearchConversations,
)
from ...schemas.records import Conversation, Message, SearchHit
from .rooms import Rooms, Tell


class ConversationService:
    """Handlers of ``conversations.*``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._records = rooms.records

    async def list_all(self, request: ListConversations, tell: Tell) -> list[Conversation]:
        """List conversations, the latest first."""
        return self._records.list_conversations(
            request.slot, request.limit, request.offset, without=self._rooms.hidden()
        )

    async def create(self, request: CreateConversation, tell: Tell) -> Conversation:
        """Begin a conversation in a slot that exists."""
        return self._records.create_conversation(self._rooms.store.slot(request.slot).name, request.title)

    async def rename(self, request: RenameConversation, tell: Tell) -> Conversation:
        """Give a conversation another title."""
        return self._records.rename_conversation(request.conversation, request.title)

    async def delete(self, request: DeleteConversation, tell: Tell) -> None:
        """Put a conversation away.

        Raises:
            Busy: If it is being answered.
        """
        if request.conversation in self._rooms.answering:
            raise Busy("This conversation is being answered; cancel the reply before you delete it.")
        self._records.delete_conversation(request.conversation)
        await self._rooms.model.forget(request.conversation)

    async def restore(self, request: RestoreConversation, tell: Tell) -> Conversation:
        """Bring a conversation back."""
        return self._records.restore_conversation(request.conversation)

    async def messages(self, request: ListMessages, tell: Tell) -> list[Message]:
        """Read a conversation."""
        return self._records.messages(request.conversation, request.before, request.limit)

    async def search(self, request: SearchConversations, tell: Tell) -> list[SearchHit]:
        """Search all messages."""
        return self._records.search(request.query, request.limit, without=self._rooms.hidden())
