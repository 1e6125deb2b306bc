"""The command that lets other chat apps speak to the slots, and those of its keys."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any

import click

from ...schemas.errors import EngineError, error_classes
from ...schemas.messages import GetStatus, ListSlots
from ..safe_text import one_line
from .desk import Desk, talks
from .key_file import KeyFile
from .options import ListingGroup, examples, json_option, the_serve_extra
from .output import when

if TYPE_CHECKING:
    from ...engine.api.run import Listening


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "nightschool api",
        "nightschool api --port 9000 --json",
        "nightschool api keys add editor",
        "nightschool api --host 0.0.0.0",
    ),
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="To listen at; others than this machine need a key first."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8766, show_default=True, help="0: any that is free.")
@json_option
@click.pass_context
def api(context: click.Context, *, as_json: bool, **values: Any) -> int:
    """Let editors and other chat apps speak to the slots, as to OpenAI's chat completions.

    One line says the base URL and, the first time, the key. Chats stay with the app that asks: nothing is stored until
    it sends feedback (docs/api.md). The log goes to stderr. Ctrl+C lets a reply that runs end first, a second one does
    not.
    """
    if context.invoked_subcommand is not None:
        return 0
    with the_serve_extra("The endpoint"):
        from ...engine.api import run  # noqa: F401
    return _listen(as_json=as_json, **values)


@talks
async def _listen(desk: Desk, host: str, port: int) -> None:
    from ...engine.api.run import Options, serve
    from ...engine.wire.server.journal import Journal

    await desk.awake()
    slots = await desk.ask(ListSlots())
    status = await desk.ask(GetStatus())
    if status.state == "failed":
        raise error_classes().get(status.error_code, EngineError)(status.error)
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)  # the server lets replies end first

    def listening(at: Listening) -> None:
        names = [slot.name for slot in slots]
        desk.give(
            {"base_url": at.base_url, "key": at.key or None, "models": names}, [one_line(_words(at, names), 1000)]
        )

    await serve(desk.profile.home, desk.link, Options(host, port), Journal(as_json=desk.as_json), listening)


def _words(at: Listening, names: list[str]) -> str:
    another = "`nightschool api keys add NAME` makes another"
    key = f"the key {at.key} (shown this once; {another})" if at.key else f"the key you were shown ({another})"
    return f"Listening: base URL {at.base_url}, {key}, models {', '.join(names)}; ctrl+c stops it."


# -- keys -------------------------------------------------------------------------------------------------------------

_KEYS = KeyFile(
    place=lambda home: home.api_keys,
    heads=("KEY", "MADE"),
    row=lambda key: (key.name, when(key.created)),
    facts=lambda key: {"name": key.name, "created": key.created},
)


@api.group(
    cls=ListingGroup,
    epilog=examples("nightschool api keys", "nightschool api keys add editor", "nightschool api keys remove editor"),
)
def keys() -> None:
    """List, add and remove the keys of programs that may speak to the slots.

    Of a key only a hash is kept. An endpoint that runs sees a change within a second.
    """


@keys.command("list", epilog=examples("nightschool api keys list --json"))
@json_option
@click.pass_context
def list_all(context: click.Context, *, as_json: bool) -> None:
    """List the keys."""
    _KEYS.list_all(context, as_json=as_json)


@keys.command(epilog=examples("nightschool api keys add editor"))
@click.argument("name")
@json_option
@click.pass_context
def add(context: click.Context, name: str, *, as_json: bool) -> None:
    """Add a key and show it, this once."""
    from ...engine.wire.server.allowance import Allowance

    _KEYS.add(context, name, Allowance(), as_json=as_json)


@keys.command(epilog=examples("nightschool api keys remove editor"))
@click.argument("name")
@json_option
@click.pass_context
def remove(context: click.Context, name: str, *, as_json: bool) -> None:
    """Remove a key; whoever has it is refused from now on."""
    _KEYS.remove(context, name, as_json=as_json)
