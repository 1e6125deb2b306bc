"""Commands of conversations: find, read, rename, put away; those of files stand in ``exchange.py``."""

from __future__ import annotations

import click

from ...schemas.errors import UsageError
from ...schemas.messages import (
    DeleteConversation,
    ListSignals,
    RenameConversation,
    RestoreConversation,
    SearchConversations,
)
from ...schemas.records import Conversation, Message, Role
from .desk import Desk, talks
from .exchange import export, import_file
from .options import ListingGroup, any_slot_option, examples
from .output import table, when
from .pages import all_conversations, all_messages, conversation_of

NUMBER = click.IntRange(min=1)
MATCH = str.maketrans({"\ue000": "[", "\ue001": "]"})
"""Search marks a match with these two; a terminal shows brackets."""


@click.group(
    cls=ListingGroup,
    epilog=examples(
        "nightschool conversations --slot science",
        'nightschool conversations search "solar wind"',
        "nightschool conversations import chatgpt-export.zip",
        "nightschool conversations export 7 --output chat.md",
    ),
)
def conversations() -> None:
    """List, show, search, import, export, rename, delete and restore conversations."""


conversations.add_command(import_file)
conversations.add_command(export)


@conversations.command("list", epilog=examples("nightschool conversations list --limit 10 --json"))
@any_slot_option
@click.option("--limit", type=NUMBER, metavar="N", help="Only the latest N; without it all.")
@talks
async def list_conversations(desk: Desk, slot: str | None, limit: int | None) -> None:
    """List conversations, the latest first."""
    rows: list[Conversation] = []
    async for row in all_conversations(desk, await desk.slot_filter(slot)):
        if len(rows) == limit:
            break
        rows.append(row)
    desk.give(rows, _lines(rows))


@conversations.command(epilog=examples("nightschool conversations show 7", "nightschool conversations show 7 --json"))
@click.argument("number", metavar="CONVERSATION", type=NUMBER)
@talks
async def show(desk: Desk, number: int) -> None:
    """Show a conversation with the numbers of its messages."""
    conversation = await conversation_of(desk, number)
    messages = await all_messages(desk, number)
    signals = await desk.ask(ListSignals(conversation=number))
    words = [f"{conversation.title or 'Untitled'} ({conversation.slot}, {when(conversation.created)})"]
    for message in messages:
        words += ["", _heading(message, conversation.origin), message.text]
    desk.give({"conversation": conversation, "messages": messages, "signals": signals}, words)


def _heading(message: Message, origin: str) -> str:
    """Return who said a message; a reply of another chat has no generation."""
    other = origin if origin and message.version is None else f"Night School, generation {message.version or 0}"
    who = "You" if message.role is Role.USER else other
    return f"[{message.id}] {who}{' (edited by you)' if message.original is not None else ''}:"


@conversations.command(epilog=examples('nightschool conversations search "solar wind"'))
@click.argument("query")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many messages.")
@talks
async def search(desk: Desk, query: str, limit: int) -> None:
    """Find messages that hold all the words; words are beginnings."""
    hits = await desk.ask(SearchConversations(query=query, limit=limit))
    heads = ("CONVERSATION", "MESSAGE", "SLOT", "TITLE", "TEXT")
    rows = [(hit.conversation, hit.message, hit.slot, hit.title, hit.excerpt.translate(MATCH)) for hit in hits]
    desk.give(hits, table([heads, *rows]))


@conversations.command(epilog=examples('nightschool conversations rename 7 "Solar wind"'))
@click.argument("number", metavar="CONVERSATION", type=NUMBER)
@click.argument("title")
@talks
async def rename(desk: Desk, number: int, title: str) -> None:
    """Give a conversation another title."""
    if not title.strip():
        raise UsageError("A title needs words; give some.")
    row = await desk.ask(RenameConversation(conversation=number, title=title.strip()))
    desk.give(row, _lines([row]))


@conversations.command(epilog=examples("nightschool conversations delete 7 8"))
@click.argument("numbers", metavar="CONVERSATION...", type=NUMBER, nargs=-1, required=True)
@talks
async def delete(desk: Desk, numbers: tuple[int, ...]) -> None:
    """Put conversations away; restore brings them back."""
    for number in numbers:
        await desk.ask(DeleteConversation(conversation=number))
    back = " ".join(map(str, numbers))
    desk.give(
        {"deleted": numbers}, [f"Deleted; `nightschool conversations restore {back}` brings back what was there."]
    )


@conversations.command(epilog=examples("nightschool conversations restore 7"))
@click.argument("numbers", metavar="CONVERSATION...", type=NUMBER, nargs=-1, required=True)
@talks
async def restore(desk: Desk, numbers: tuple[int, ...]) -> None:
    """Bring deleted conversations back."""
    rows = [await desk.ask(RestoreConversation(conversation=number)) for number in numbers]
    desk.give(rows, _lines(rows))


def _lines(rows: list[Conversation]) -> list[str]:
    heads = ("CONVERSATION", "SLOT", "LATEST", "MESSAGES", "TITLE")
    return table([heads, *((row.id, row.slot, when(row.updated), row.messages, row.title) for row in rows)])
