"""Commands of bases: what there is, what is here, fetching, choosing and removing. None of them loads one."""

from __future__ import annotations

import asyncio
from functools import partial

import click

from ...schemas.events import Event, PullEvent
from ...schemas.messages import ListModels, PullModel, RemoveModel, UseModel
from ...schemas.models import KnownBase
from ..model_words import download, fits, licence, parameters, size, standing, suggestion, title
from ..safe_text import one_line
from .desk import Desk, ask_first, talks_alone
from .options import ListingGroup, examples
from .output import table

HEADS = ("MODEL", "SIZE", "MEMORY", "FITS", "DOWNLOAD", "LICENCE", "")
OWN_HEADS = ("ON THIS MACHINE", "DISK", "FINGERPRINT", "LEARNED ON IT", "FROM")


@click.group(
    cls=ListingGroup,
    epilog=examples(
        "nightschool models",
        "nightschool models pull qwen2.5-1.5b",
        "nightschool models use qwen2.5-1.5b",
        "nightschool models remove qwen2.5-1.5b",
    ),
)
def models() -> None:
    """List, fetch, choose and remove models.

    A MODEL is a name of the list, owner/name[@revision] on the Hugging Face hub, a folder, or a .gguf file.
    """


@models.command("list", epilog=examples("nightschool models list --json"))
@talks_alone
async def list_models(desk: Desk) -> None:
    """List the models worth having, and those on this machine.

    MEMORY is what the weights take at 4 bits, FITS what that means here.
    """
    bases = await desk.ask(ListModels())
    rows = [row for row in bases.rows if row.note]
    heads, *lines = table([HEADS, *map(_row, rows)])
    lines = [heads, *(line for row, words in zip(rows, lines, strict=True) for line in (words, _about(row)))]
    here = [row for row in bases.rows if row.installed or row.partial]
    if here:
        lines += ["", *table([OWN_HEADS, *map(own_row, here)])]
    words = suggestion(bases)
    if words:
        lines += ["", f"{one_line(words, 1000)} `nightschool models pull {bases.suggestion}`"]
    desk.give(bases, lines)


@models.command(
    epilog=examples(
        "nightschool models pull qwen2.5-1.5b",
        "nightschool models pull HuggingFaceTB/SmolLM2-360M-Instruct@main",
        "nightschool models pull ./model.Q4_K_M.gguf",
    )
)
@click.argument("model")
@talks_alone
async def pull(desk: Desk, model: str) -> None:
    """Fetch a model and make it ready.

    It is pinned to the commit it has now. Stopped with ctrl+c or in any other way, the next pull goes on from there.
    """
    try:
        row = await desk.ask(PullModel(spec=model), partial(show_pull, desk))
    except asyncio.CancelledError:
        desk.note("Stopped; the next pull goes on from there.")
        raise
    desk.give(row, [*table([OWN_HEADS, own_row(row)]), "", f"Use it with `nightschool models use {one_line(model)}`."])


def show_pull(desk: Desk, event: Event) -> None:
    """Show how far a pull is."""
    if isinstance(event, PullEvent):
        share = "" if event.fraction is None else f"{event.fraction:4.0%}  "
        # Where lines cannot be redrawn, one for every stage and every tenth is enough.
        tenth = "" if event.fraction is None else f"{int(event.fraction * 10) * 10:3}%  "
        stage = event.stage.partition(",")[0]
        desk.status.show(f"{share}{event.stage}", f"{tenth}{one_line(stage)}")


@models.command(epilog=examples("nightschool models use qwen2.5-1.5b", "nightschool models use default"))
@click.argument("model")
@talks_alone
async def use(desk: Desk, model: str) -> None:
    """Let this profile start with a model that is here.

    What slots learned belongs to the model they learned it on; it waits there until that one is used again.
    """
    row = await desk.ask(UseModel(spec=model))
    desk.give(row, [f"{one_line(row.title)} answers from the next start on."])


@models.command(
    epilog=examples("nightschool models remove qwen2.5-1.5b", "nightschool models remove qwen2.5-1.5b --yes --force")
)
@click.argument("model")
@click.option("--force", is_flag=True, help="Also where the profile starts with it, or slots learned on it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@talks_alone
async def remove(desk: Desk, model: str, *, force: bool, yes: bool) -> None:
    """Remove a model, or what a broken pull left of it, from the disk."""
    if not yes:
        ask_first(desk, f"Remove {one_line(model)} from this machine?", "give --yes to remove the model")
    freed = await desk.ask(RemoveModel(spec=model, force=force))
    desk.give({"removed": model, "bytes": freed}, [f"Removed; {size(freed)} came free."])


def _row(row: KnownBase) -> tuple[object, ...]:
    terms = f"{licence(row)}{', log in first' if row.gated else ''}"
    return (row.spec, parameters(row), size(row.memory), fits(row), download(row), terms, standing(row))


def _about(row: KnownBase) -> str:
    return f"    {one_line(row.note)} Languages: {one_line(row.languages)}."


def own_row(row: KnownBase) -> tuple[object, ...]:
    """Return the row of a base on this machine, below ``OWN_HEADS``."""
    taken = size(row.size) if row.installed else size(row.partial)
    source = row.trouble or row.source or "-"
    return (title(row), taken, row.fingerprint[:12] or "-", ", ".join(row.slots) or "-", source)
