"""Commands of a slot's life: rename, put out of sight, delete, bring back."""

from __future__ import annotations

import click

from ...engine.slots.lifecycle import KEPT_DAYS, KEPT_SECONDS
from ...schemas.errors import UsageError
from ...schemas.messages import ArchiveSlot, DeleteSlot, ListConversations, ListLessons, RenameSlot, UndeleteSlot
from ...schemas.records import Slot
from ..safe_text import one_line
from .desk import Desk, ask_first, talks_alone
from .options import examples
from .output import when


@click.command(
    epilog=examples(
        'nightschool slots rename science "Field notes"',
        'nightschool slots rename science "Field notes" --name field-notes',
        "nightschool slots rename science --name field-notes",
    )
)
@click.argument("slot")
@click.argument("title", required=False)
@click.option("--name", help="Its new folder and handle, of a-z, 0-9 and hyphens; without it that stays.")
@talks_alone
async def rename(desk: Desk, slot: str, title: str | None, name: str | None) -> None:
    """Give a slot another title, another name, or both.

    Its conversations, lessons and generations stay with it.
    """
    if title is None and name is None:
        raise UsageError("Nothing is to be changed; give a title, --name, or both.")
    row = await desk.ask(RenameSlot(slot=(await desk.slot(slot)).name, title=title, name=name))
    desk.give(row, [f"{row.title} is slot {row.name} now."])


@click.command(epilog=examples("nightschool slots archive gaming", "nightschool slots list --archived"))
@click.argument("slot")
@talks_alone
async def archive(desk: Desk, slot: str) -> None:
    """Put a slot out of sight.

    It keeps everything, and is not studied at night. Its conversations are still found, and it answers where it is
    named.
    """
    row = await desk.ask(ArchiveSlot(slot=(await desk.slot(slot)).name))
    desk.give(row, [f"{row.title} is archived; `nightschool slots unarchive {row.name}` puts it back."])


@click.command(epilog=examples("nightschool slots unarchive gaming"))
@click.argument("slot")
@talks_alone
async def unarchive(desk: Desk, slot: str) -> None:
    """Put an archived slot back among the others."""
    row = await desk.ask(ArchiveSlot(slot=(await desk.slot(slot)).name, archived=False))
    desk.give(row, [f"{row.title} is back among the slots."])


@click.command(epilog=examples("nightschool slots delete gaming", "nightschool slots delete gaming --yes --json"))
@click.argument("slot")
@click.option("--yes", is_flag=True, help="Do not ask.")
@talks_alone
async def delete(desk: Desk, slot: str, *, yes: bool) -> None:
    """Delete a slot, with its conversations and lessons.

    For 30 days `slots undelete` brings all of it back; then it is removed for good.
    """
    row = await desk.slot(slot, deleted=True)
    if row.deleted is None:
        if not yes:
            ask_first(desk, await _question(desk, row), f"give --yes to delete {row.name}")
        row = await desk.ask(DeleteSlot(slot=row.name))
    desk.give(row, [f"Deleted; until {until(row)}, `nightschool slots undelete {row.name}` brings it back."])


@click.command(epilog=examples("nightschool slots list --deleted", "nightschool slots undelete gaming"))
@click.argument("slot")
@talks_alone
async def undelete(desk: Desk, slot: str) -> None:
    """Bring a deleted slot back, with its conversations and lessons."""
    row = await desk.ask(UndeleteSlot(slot=(await desk.slot(slot, deleted=True)).name))
    desk.give(row, [f"{row.title} is back, with all that was in it."])


def until(row: Slot) -> str:
    """Return when a deleted slot is removed for good."""
    return when((row.deleted or 0.0) + KEPT_SECONDS)


def state(row: Slot) -> str:
    """Return whether a slot is in use, in words."""
    if row.deleted is not None:
        return f"deleted, kept until {until(row)}"
    return "in use" if row.archived is None else f"archived {when(row.archived)}"


async def _question(desk: Desk, row: Slot) -> str:
    talks = len(await desk.ask(ListConversations(slot=row.name, limit=10_000)))
    lessons = len(await desk.ask(ListLessons(slot=row.name)))
    return (
        f"Delete {one_line(row.title)} with {talks} conversation{'' if talks == 1 else 's'} and "
        f"{lessons} lesson{'' if lessons == 1 else 's'}? It can be brought back for {KEPT_DAYS} days."
    )
