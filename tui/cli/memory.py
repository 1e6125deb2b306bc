"""Commands of the memory: what is known of the user, in words."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ...schemas.messages import AddNote, ChangeNote, ForgetNote, ListNotes, TeachNote
from ...schemas.records import MemoryNote
from .desk import Desk, talks_alone
from .options import ListingGroup, any_slot_option, examples, slot_option
from .output import table, when


@click.group(
    cls=ListingGroup,
    epilog=examples(
        "nightschool memory",
        'nightschool memory add "I am allergic to nuts."',
        "nightschool memory forget 3",
        "nightschool memory teach 3 --slot professional",
    ),
)
def memory() -> None:
    """List, add, re-word, forget and teach what is known of you.

    What you say of yourself in a chat is noted and told to the model, within some 1,200 characters; it is not taught
    unless you say so with `teach`. `memory = false` in config.toml does without.
    """


@memory.command("list", epilog=examples("nightschool memory list --json"))
@any_slot_option
@talks_alone
async def list_notes(desk: Desk, slot: str | None) -> None:
    """List the notes, the oldest first; with --slot those that this slot is told."""
    rows = await desk.ask(ListNotes(slot=await desk.slot_filter(slot)))
    desk.give(rows, _lines(rows) if rows else ["Nothing is noted."])


@memory.command(
    epilog=examples('nightschool memory add "My name is Ada."', 'nightschool memory add "Likes elves." --slot gaming')
)
@click.argument("text")
@click.option("--slot", metavar="SLOT", help="Tell it this slot only; without it all are told.")
@talks_alone
async def add(desk: Desk, text: str, slot: str | None) -> None:
    """Remember something."""
    made = await desk.ask(AddNote(text=text, slot=await desk.slot_filter(slot)))
    desk.give(made, _lines([made]))


@memory.command(epilog=examples('nightschool memory edit 3 "I live in Bergen."'))
@click.argument("number", metavar="NOTE", type=click.IntRange(min=1))
@click.argument("text")
@talks_alone
async def edit(desk: Desk, number: int, text: str) -> None:
    """Put a note in other words."""
    changed = await desk.ask(ChangeNote(note=number, text=text))
    desk.give(changed, _lines([changed]))


@memory.command(epilog=examples("nightschool memory forget 3 4"))
@click.argument("numbers", metavar="NOTE...", type=click.IntRange(min=1), nargs=-1, required=True)
@talks_alone
async def forget(desk: Desk, numbers: tuple[int, ...]) -> None:
    """Remove notes."""
    for number in numbers:
        await desk.ask(ForgetNote(note=number))
    desk.give({"forgotten": list(numbers)}, [f"Forgotten: {', '.join(map(str, numbers))}."])


@memory.command(epilog=examples("nightschool memory teach 3 --slot professional", "nightschool study"))
@click.argument("number", metavar="NOTE", type=click.IntRange(min=1))
@slot_option
@talks_alone
async def teach(desk: Desk, number: int, slot: str | None) -> None:
    """Make a lesson of a note: the next study of the slot teaches the model to answer with it when it is asked."""
    lesson = await desk.ask(TeachNote(note=number, slot=(await desk.slot(slot)).name))
    desk.give(lesson, [f"Lesson {lesson.id} of {lesson.slot}, {lesson.state}: {lesson.rule}"])


def _lines(rows: Sequence[MemoryNote]) -> list[str]:
    heads = ("NOTE", "TOLD TO", "MADE", "TEXT")
    return table([heads, *((row.id, row.slot or "all", when(row.created), row.text) for row in rows)])
