"""Conversations: begin, open, find, bring, rename, put away."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...schemas.messages import DeleteConversation, RenameConversation, RestoreConversation
from ...schemas.records import Conversation
from ..safe_text import one_line
from ..session import Undo

if TYPE_CHECKING:
    from ..screens.chat import ChatScreen


def has_one(screen: ChatScreen) -> bool:
    """A stored conversation is open."""
    return screen.session.conversation is not None


async def new(screen: ChatScreen) -> None:
    """Begin a new conversation; it is stored with its first message."""
    screen.session.conversation = None
    await screen.show_welcome()
    screen.draw_library()
    screen.prompt.focus()


def search(screen: ChatScreen) -> None:
    """Open the search."""
    from ..screens.search import SearchScreen

    screen.app.push_screen(SearchScreen(screen.link), screen.after_search)


def bring(screen: ChatScreen) -> None:
    """Open the import of conversations from elsewhere."""
    from ..screens.import_chats import ImportScreen

    screen.app.push_screen(ImportScreen(screen.session))


def rename(screen: ChatScreen, conversation: Conversation | None = None) -> None:
    """Ask for another title."""
    from ..screens.ask import AskScreen

    row = conversation or screen.session.conversation
    if row is None:
        return

    def entered(title: str | None) -> None:
        if title and title.strip() and title != row.title:
            screen.begin(_rename(screen, row, title.strip()))

    screen.app.push_screen(AskScreen("Rename conversation", row.title), entered)


async def _rename(screen: ChatScreen, row: Conversation, title: str) -> None:
    with screen.errors_told():
        renamed = await screen.link.call(RenameConversation(conversation=row.id, title=title))
        if screen.session.conversation is not None and screen.session.conversation.id == renamed.id:
            screen.session.conversation = renamed
        await screen.refresh_library()


async def delete(screen: ChatScreen, conversation: Conversation | None = None) -> None:
    """Put a conversation away; it can be brought back."""
    row = conversation or screen.session.conversation
    if row is None:
        return
    with screen.errors_told():
        await screen.link.call(DeleteConversation(conversation=row.id))
        screen.session.undos.append(Undo("deletion", partial(_restore, screen, row)))
        screen.tell(f"Deleted “{one_line(row.title or 'Untitled', 40)}”; ctrl+u brings it back.")
        if screen.session.conversation is not None and screen.session.conversation.id == row.id:
            await new(screen)
        await screen.refresh_library()


async def _restore(screen: ChatScreen, row: Conversation) -> None:
    restored = await screen.link.call(RestoreConversation(conversation=row.id))
    await screen.refresh_library()
    if restored.slot == screen.session.slot_name:
        await screen.open_conversation(restored)


async def newer(screen: ChatScreen) -> None:
    """Open the conversation above."""
    await _walk(screen, -1)


async def older(screen: ChatScreen) -> None:
    """Open the conversation below."""
    await _walk(screen, 1)


async def _walk(screen: ChatScreen, step: int) -> None:
    rows = screen.session.conversations
    open_id = screen.session.conversation.id if screen.session.conversation else None
    place = next((place for place, row in enumerate(rows) if row.id == open_id), -1) + step
    if 0 <= place < len(rows):
        await screen.open_conversation(rows[place])
    elif place < 0:
        await new(screen)
