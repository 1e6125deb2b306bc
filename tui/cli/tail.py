"""Commands of tails: the last blocks of a base whose rest computes elsewhere. No base is loaded here for them."""

from __future__ import annotations

import asyncio
import re

import click

from ...schemas.errors import UsageError
from ...schemas.messages import PullTail
from ...schemas.models import PulledTail
from ..safe_text import one_line
from .desk import Desk, talks_alone
from .models import OWN_HEADS, own_row, show_pull
from .options import examples
from .output import table

_EXAMPLES = (
    "nightschool tail pull --from home",
    "nightschool tail pull --from home --use",
    "nightschool tail pull --from https://gpu.home:8765 --key-file ~/gpu.key --cut 8",
    "nightschool tail pull --from home --hub Qwen/Qwen3-8B",
)


@click.group(epilog=examples(*_EXAMPLES[:2]))
def tail() -> None:
    """Fetch the last blocks of a base whose rest computes on a server.

    So a small machine speaks with a large base: only the last blocks, the head and the tokenizer lie here. `nightschool
    models` lists and removes them as it does whole models.
    """


@tail.command(epilog=examples(*_EXAMPLES))
@click.option("--from", "server", required=True, metavar="NAME|URL", help="The server that computes the rest.")
@click.option("--cut", type=click.IntRange(0), help="Blocks to fetch; without it the usual number.")
@click.option("--hub", default="", metavar="OWNER/NAME[@REV]", help="Take the weights from the Hugging Face hub.")
@click.option(
    "--fingerprint", default="", metavar="HEX", help="Refuse any other base; the first digits are enough to look at."
)
@click.option("--key-file", default="", metavar="FILE", help="Which holds the server's key, with an address only.")
@click.option("--plain-http", is_flag=True, help="Allow http:// beyond this machine, readable for anybody on the way.")
@click.option("--use", is_flag=True, help="Start with it, and compute at this server, from now on.")
@talks_alone
async def pull(desk: Desk, **asked: object) -> None:
    """Fetch the tail of the base that a server has.

    The server says what its base consists of; that list must give the fingerprint that the server names, and every
    tensor must fit the list, also where it comes from the hub. Then the tail must, with the server, predict what the
    base's card says. The card's reference values are the word of this first server, and are kept. Stopped with ctrl+c
    or in any other way, the next pull goes on from there.
    """
    server, fingerprint = str(asked["server"]), str(asked["fingerprint"])
    if not re.fullmatch("[0-9a-f]{0,64}", fingerprint):
        raise UsageError(f"{fingerprint!r} is no fingerprint; give the first digits that `models` shows.")
    try:
        found = await desk.ask(PullTail.model_validate(asked), lambda event: show_pull(desk, event))
    except asyncio.CancelledError:
        desk.note("Stopped; the next pull goes on from there.")
        raise
    desk.give(found, [*table([OWN_HEADS, own_row(found.base)]), "", *_words(found, server, used=bool(asked["use"]))])


def _words(found: PulledTail, server: str, *, used: bool) -> list[str]:
    share = f"{found.tail / max(1, found.whole):.0%}"
    lines = [f"Moved {_mb(found.moved)}. The tail is {_mb(found.tail)}, {share} of {_mb(found.whole)} in all."]
    if used:
        return [*lines, f"It answers from the next start on, with {one_line(server)}."]
    if not found.chosen:
        lines.append(f"Start with it: `nightschool models use {one_line(found.base.spec)}`.")
    return [*lines, f"Its lower blocks compute elsewhere: `nightschool providers use {_name(server)}`."]


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count >= 1_000_000 else f"{count / 1e3:,.0f} kB"


def _name(server: str) -> str:
    return "NAME" if "://" in server else one_line(server)
