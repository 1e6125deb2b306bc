"""Commands of conversations: find, read, export, rename, put away."""

from __future__ import annotations

from pathlib import Path

import click

from ...schemas.errors import UsageError
from ...schemas.messages import (
    DeleteConversation,
    ListSignals,
    ListSlots,
    RenameConversation,
    RestoreConversation,
    SearchConversations,
)
from ...schemas.records import Conversation, Message, Role
from .desk import Desk, talks
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
        "nightschool conversations export 7 --output chat.md",
    ),
)
def conversations() -> None:
    """List, show, search, export, rename, delete and restore conversations."""


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
        words += ["", _heading(message), message.text]
    desk.give({"conversation": conversation, "messages": messages, "signals": signals}, words)


def _heading(message: Message) -> str:
    who = "You" if message.role is Role.USER else f"Night School, generation {message.version or 0}"
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


@conversations.command(
    epilog=examples(
        "nightschool conversations export 7",
        "nightschool conversations export --format jsonl --output chats.jsonl",
    )
)
@click.argument("numbers", metavar="[CONVERSATION]...", type=NUMBER, nargs=-1)
@any_slot_option
@click.option(
    "--format", "form", type=click.Choice(["markdown", "jsonl"]), default="markdown", show_default=True,
    help="Markdown to read, or a line of OpenAI-style JSON for each conversation.",
)  # fmt: skip
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Without it stdout.")
@talks
async def export(desk: Desk, numbers: tuple[int, ...], *, slot: str | None, form: str, output: Path | None) -> None:
    """Write conversations as text for other programs; without numbers all of them.

    With --json, the document on stdout says how many were written, so it needs --output.
    """
    from ...engine.files import write_atomic
    from ...engine.records.export import to_markdown, to_openai_line

    if desk.as_json and output is None:
        raise UsageError("--json and the export would share stdout; give --output FILE, or leave --json out.")
    if output is not None and not output.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {output.absolute().parent}; make it first.")
    named = await desk.slot_filter(slot)
    if numbers:
        chosen = [await conversation_of(desk, number) for number in dict.fromkeys(numbers)]
    else:
        chosen = [row async for row in all_conversations(desk, named)]
    prompts = {row.name: row.system_prompt for row in await desk.ask(ListSlots())}
    parts = []
    for row in chosen:
        messages = await all_messages(desk, row.id)
        if form == "markdown":
            parts.append(to_markdown(row, messages))
        else:
            parts.append(to_openai_line(messages, prompts.get(row.slot, "")) + "\n")
    text = ("\n" if form == "markdown" else "").join(parts)
    if output is None:
        desk.write(text)
        return
    write_atomic(output.absolute(), text)
    desk.give({"conversations": [row.id for row in chosen], "file": str(output.absolute())}, ())
    desk.note(f"{len(chosen)} conversations are in {output}.")


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
