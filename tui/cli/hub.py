"""Versions to the Hugging Face hub, and adapters from it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import click

from ...schemas.errors import UsageError
from ...schemas.messages import AuditVersion, FetchAdapter, PublishVersion
from ...schemas.sharing import FetchedAdapter, Published
from .bundle import check_accepted
from .card import card_options, choice_of
from .desk import Desk, ask_first, talks
from .models import show_pull
from .options import examples


@click.command(
    epilog=examples(
        "nightschool slots publish science owner/captain --license CC-BY-4.0 --dry-run",
        "nightschool slots publish science@3 owner/captain --license Apache-2.0 --samples turns.jsonl --private",
        "nightschool slots publish science owner/captain --license MIT --yes --json",
    )
)
@click.argument("version", metavar="SLOT[@GENERATION]")
@click.argument("repository", metavar="OWNER/NAME")
@card_options
@click.option("--private", is_flag=True, help="Nobody else may see it.")
@click.option("--base-model", "base", default="", metavar="OWNER/NAME", help="The base's name on the hub.")
@click.option("--message", default="", help="Of the commit.")
@click.option("--dry-run", is_flag=True, help="Only say what would be uploaded.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@talks
async def publish(
    desk: Desk,
    version: str,
    repository: str,
    *,
    base: str,
    message: str,
    accept: tuple[str, ...],
    private: bool,
    dry_run: bool,
    yes: bool,
    **said: Any,
) -> None:
    """Publish a version on the Hugging Face hub, as a PEFT adapter.

    Three files go out: the weights, their configuration and a page (README.md), all of it shown before. Nothing that
    was said in a chat and no lesson is in them, unless you add it by hand. First it is audited as for `bundle pack`;
    exit code 106. The token is that of `hf auth login`, or HF_TOKEN. Done again, it is a new commit.
    """
    from ..bundles import card_of

    name, _, number = version.partition("@")
    if number and not number.isdecimal():
        raise UsageError(f"{number!r} is no generation; write SLOT@NUMBER, as in science@3.")
    slot = await desk.slot(name)
    choice = choice_of({**said, "publisher": ""}, slot.system_prompt)
    request = PublishVersion(
        slot=slot.name,
        repository=repository,
        card=card_of(slot.title, choice),
        number=int(number) if number else None,
        text=choice.card_text,
        base=base,
        message=message,
        private=private,
        accepted=[*accept],
        dry_run=True,
    )
    audit = await desk.ask(AuditVersion(slot=slot.name, number=request.number), desk.hear)
    check_accepted(desk, audit, accept)
    planned = await desk.ask(request)
    if dry_run:
        desk.give(planned, _plan_lines(planned))
        return
    for line in _plan_lines(planned):
        desk.note(line)
    if not yes:
        whom = "for you alone" if private else "for everybody"
        ask_first(desk, f"Publish this as {repository}, {whom}?", "give --yes to publish it")
    # What was shown is what goes out: the generation cannot become another one in between.
    told = request.model_copy(update={"dry_run": False, "number": planned.number})
    done = await desk.ask(told, partial(show_pull, desk))
    desk.give(done, [f"Published as {done.url}, commit {done.commit[:12]}."])


async def fetch(desk: Desk, spec: str) -> FetchedAdapter:
    """Fetch an adapter from the hub, and say what it says of itself."""
    try:
        found = await desk.ask(FetchAdapter(spec=spec), partial(show_pull, desk))
    except asyncio.CancelledError:
        desk.note("Stopped; the next import goes on from there.")
        raise
    base, licence = found.base or "a base that it does not name", found.licence or "none named"
    desk.note(f"{found.source}: {found.bytes / 1e6:.1f} MB, for {base}, licence {licence}, by its own words.")
    return found


def _plan_lines(planned: Published) -> list[str]:
    whom = "for you alone" if planned.private else "for everybody"
    lines = [f"Generation {planned.number} as {planned.repository}, {whom}, an adapter of {planned.base}:"]
    lines += [f"  {file.name}  {file.bytes:,} bytes  {file.sha256[:16]}" for file in planned.files]
    return [*lines, "README.md:", *(f"  | {line}" for line in planned.page.splitlines())]
