"""Commands of the generations of slots: list, pin, go back, and how good each was."""

from __future__ import annotations

import click

from ...schemas.audit import Audit, Finding
from ...schemas.messages import (
    AuditVersion,
    GetQuality,
    ListSlots,
    ListVersions,
    PinVersion,
    PreviewVersion,
    Rollback,
)
from ...schemas.records import GenerationQuality, Version, VersionKind
from ..merge_words import merge_words
from ..safe_text import one_line
from .desk import Desk, talks, talks_alone, talks_plainly
from .options import NamingGroup, examples
from .output import table, when


@click.group(
    cls=NamingGroup,
    epilog=examples(
        "nightschool versions", "nightschool versions science --json", "nightschool versions pin science 3"
    ),
)
def versions() -> None:
    """List the generations of a slot, or of all; pin one.

    `nightschool versions SLOT` is `nightschool versions list SLOT`.
    """


@versions.command("list", epilog=examples("nightschool versions list science --json"))
@click.argument("slot", required=False)
@talks
async def list_versions(desk: Desk, slot: str | None) -> None:
    """List the generations of a slot, or of all.

    The newest is the first; * marks the one that answers.
    """
    named = await desk.slot_filter(slot)
    names = [named] if named is not None else [row.name for row in await desk.ask(ListSlots())]
    rows = [row for name in names for row in await desk.ask(ListVersions(slot=name))]
    desk.give(rows, _version_lines(rows))


@versions.command(epilog=examples("nightschool versions pin science 3"))
@click.argument("slot")
@click.argument("number", metavar="GENERATION", type=click.IntRange(min=1))
@talks_alone
async def pin(desk: Desk, slot: str, number: int) -> None:
    """Keep a generation whatever `slots gc` removes."""
    row = await desk.ask(PinVersion(slot=(await desk.slot(slot)).name, number=number))
    desk.give(row, _version_lines([row]))


@versions.command(epilog=examples("nightschool versions unpin science 3"))
@click.argument("slot")
@click.argument("number", metavar="GENERATION", type=click.IntRange(min=1))
@talks_alone
async def unpin(desk: Desk, slot: str, number: int) -> None:
    """Keep a generation no longer than others of its slot."""
    row = await desk.ask(PinVersion(slot=(await desk.slot(slot)).name, number=number, pinned=False))
    desk.give(row, _version_lines([row]))


@versions.command(
    epilog=examples("nightschool versions audit science", "nightschool versions audit science --generation 3 --json")
)
@click.argument("slot")
@click.option("--generation", type=click.IntRange(min=1), metavar="N", help="Without it the current one.")
@talks
async def audit(desk: Desk, slot: str, generation: int | None) -> int:
    """Look for what a generation could give away of you.

    Names, addresses, numbers and keys out of your own words are looked for in what it says, and in how likely it holds
    them. What is found can be forgotten: `nightschool lessons forget LESSON`. That nothing is found proves nothing.
    Exit code 1: something was found.
    """
    found = await desk.ask(AuditVersion(slot=(await desk.slot(slot)).name, number=generation), desk.hear)
    desk.give(found, audit_lines(found))
    return int(bool(found.findings))


@versions.command(
    epilog=examples(
        "nightschool versions preview captain 2",
        'nightschool versions preview captain 2 --prompt "What is a tide?" --json',
    )
)
@click.argument("slot")
@click.argument("number", metavar="GENERATION", type=click.IntRange(min=0))
@click.option("--prompt", "prompts", multiple=True, metavar="TEXT", help="Ask this; may be repeated.")
@click.option("--max-tokens", type=click.IntRange(1, 1000), default=96, show_default=True, help="Of each reply.")
@talks
async def preview(desk: Desk, slot: str, number: int, *, prompts: tuple[str, ...], max_tokens: int) -> None:
    """See what would change before a generation answers: the same questions, before and after.

    Without --prompt the questions are those on the card of its bundle, where a registry that is known lists it; else
    prompts that it was never trained on. Nothing is kept. `nightschool rollback SLOT --to GENERATION` has it answer.
    """
    from ..previews import preview_lines, questions

    name = (await desk.slot(slot)).name
    asked = list(prompts) or await questions(desk.ask, desk.profile.home, name, number)
    desk.status.show("Asking both ...", "Asking both")
    found = await desk.ask(PreviewVersion(slot=name, number=number, prompts=asked, max_tokens=max_tokens))
    desk.give(found, preview_lines(found))


def audit_lines(found: Audit) -> list[str]:
    """Return what an audit found, in words."""
    looked = f"{found.strings} strings of your own words were looked for in {found.replies} replies"
    if not found.findings:
        return [f"Nothing was found: {looked}." if found.strings else "Your words hold nothing that tells who you are."]
    heads = ("FINDING", "KIND", "STRING", "LESSON", "SAID", "LIKELIER", "AFTER")
    return [f"{looked}; it could give away {len(found.findings)}:", *table([heads, *map(_finding_row, found.findings)])]


def _finding_row(row: Finding) -> tuple[object, ...]:
    said = f"{row.said}x" if row.said else "-"
    likelier = f"{row.gain:+.1f} nats" if row.gain > 0 else "-"
    return (row.name, row.kind, one_line(row.text, 40), row.lesson, said, likelier, one_line(row.asked, 40))


@click.command(epilog=examples("nightschool quality science", "nightschool quality science --json"))
@click.argument("slot", required=False)
@talks
async def quality(desk: Desk, slot: str | None) -> None:
    """Say how good each generation of a slot was, the oldest first.

    PER 100 is how many of a hundred replies were edited, corrected or rejected. STICKS is the share of unseen prompts
    on which its lessons were followed when it was studied, KL how far the rest of its replies had moved from the base.
    """
    rows = await desk.ask(GetQuality(slot=(await desk.slot(slot)).name))
    heads = ("GENERATION", "MADE", "HOW", "LESSONS", "REPLIES", "CORRECTED", "PER 100", "STICKS", "KL")
    desk.give(rows, table([heads, *map(_quality_row, rows)]))


def _quality_row(row: GenerationQuality) -> tuple[object, ...]:
    rate = f"{100 * row.corrected / row.replies:.0f}" if row.replies else "-"
    stick = "-" if row.stick is None else f"{row.stick:.0%}"
    drift = "-" if row.kept_kl is None else f"{row.kept_kl:.3f}"
    return (row.version, when(row.created), row.kind.value, row.lessons, row.replies, row.corrected, rate, stick, drift)


@click.command(epilog=examples("nightschool rollback science", "nightschool rollback science --to 0"))
@click.argument("slot")
@click.option("--to", type=click.IntRange(min=0), metavar="N", help="The generation; without it the one before.")
@talks_plainly
async def rollback(desk: Desk, slot: str, to: int | None) -> None:
    """Go back to an older generation of a slot.

    Nothing is lost: going back is a new generation that equals the old one.
    """
    made = await desk.ask(Rollback(slot=(await desk.slot(slot)).name, to=to))
    desk.give(made, _version_lines([made]))


def _version_lines(rows: list[Version]) -> list[str]:
    heads = ("", "SLOT", "GENERATION", "MADE", "HOW", "LESSONS", "SIZE")
    return table([heads, *(_version_row(row) for row in rows)])


def _version_row(row: Version) -> tuple[object, ...]:
    how = f"rollback to {row.restores}" if row.kind is VersionKind.ROLLBACK else row.kind.value
    if row.merge is not None:
        how = merge_words(row.merge)
    size = f"{row.adapter_bytes / 1e6:.1f} MB" if row.adapter_sha256 else "-"
    size = "removed" if row.removed else f"{size}, pinned" if row.pinned else size
    return ("*" if row.current else "", row.slot, row.number, when(row.created), how, len(row.lessons), size)
