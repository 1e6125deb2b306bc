"""The command that serves a base to others, and those of its keys. They need no engine process: a server is its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ...engine.base.numbers import Numbers
from ...engine.heap import keep_few_kernels
from ...engine.threads import share_cores
from ...schemas.errors import UsageError
from ..paths import expanded
from ..safe_text import one_line
from .key_file import KeyFile
from .options import ListingGroup, examples, json_option, the_serve_extra
from .output import StatusLine, document, when
from .profile import Profile

if TYPE_CHECKING:
    from ...engine.wire.server.keys import Key
    from ...engine.wire.server.run import Listening


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "nightschool serve",
        "nightschool serve --base qwen3-4b --cut 4 --cut 8 --cache-mb 8000",
        "nightschool serve keys add laptop",
        "nightschool serve --host 0.0.0.0 --json",
        "nightschool serve --engine vllm --engine-python ~/vllm/bin/python",
        "nightschool serve --engine vllm --engine-arg=--tensor-parallel-size=2",
    ),
)
@click.option("--base", default="", metavar="MODEL", help="What to serve; without it what the profile starts with.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="To listen at; others than this machine need keys."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: any that is free.")
@click.option(
    "--cut", "cuts", type=click.IntRange(0), multiple=True, help="Blocks left to the client; may be repeated."
)
@click.option("--cache-mb", type=click.IntRange(1), help="For all sessions; without it a quarter of the free memory.")
@click.option("--device", default="", help="cpu, cuda, cuda:1 or mps; without it as config.toml says.")
@click.option(
    "--numbers",
    type=click.Choice([kind.value for kind in Numbers]),
    help="To keep matrices in; without it the quicker of the exact and the 16-bit ones here.",
)
@click.option("--idle", type=click.FloatRange(1), default=1800, show_default=True, help="Seconds a session may rest.")
@click.option(
    "--stream/--no-stream",
    "streams",
    default=True,
    show_default=True,
    help="Run ahead with what the plain base would say, for which the whole base is loaded.",
)
@click.option(
    "--tail/--no-tail",
    "gives_tail",
    default=True,
    show_default=True,
    help="Let whoever may ask fetch the tail of the largest cut (nightschool tail pull).",
)
@click.option(
    "--engine",
    type=click.Choice(["own", "vllm"]),
    default="own",
    show_default=True,
    help="What computes: Night School itself, or vLLM in a process of its own, which shards and batches as it can.",
)
@click.option(
    "--engine-python", default="", metavar="FILE", help="The python of vLLM's environment; without it this one."
)
@click.option("--engine-arg", "engine_args", multiple=True, metavar="ARG", help="For vLLM itself; may be repeated.")
@click.option("--log-steps", is_flag=True, help="Write down every step, not only what opens, ends and fails.")
@json_option
@click.pass_context
def serve(context: click.Context, *, as_json: bool, **values: Any) -> int:
    """Serve a base to others: its lower blocks compute here, what is personal stays with them.

    It sees the text of whoever asks, keeps nothing of it but open sessions in memory, and writes down numbers and names
    alone. One line says where it listens; its log goes to stderr, with --json as one object a line. Ctrl+C lets steps
    that run end first, a second one does not.
    """
    if context.invoked_subcommand is not None:
        return 0
    profile = context.find_object(Profile)
    assert profile is not None
    return _serve(profile, as_json=as_json, **values)


def _serve(
    profile: Profile,
    *,
    as_json: bool,
    cuts: tuple[int, ...],
    numbers: str | None,
    idle: float,
    log_steps: bool,
    engine: str,
    engine_python: str,
    engine_args: tuple[str, ...],
    **rest: Any,
) -> int:
    if engine == "own" and (engine_python or engine_args):
        raise UsageError("--engine-python and --engine-arg are for another engine; add --engine vllm.")
    if engine == "vllm" and rest["device"]:
        raise UsageError("vLLM finds its devices itself; leave --device out, or tell it with --engine-arg.")
    share_cores()  # whoever asks may compute on this machine, too
    keep_few_kernels()
    with the_serve_extra("Serving"):
        from ...engine.wire.server.journal import Journal
        from ...engine.wire.server.run import Options, serve
        from ...engine.wire.server.vllm.run import serve_vllm
    status = StatusLine(sys.stderr)
    rest["base"] = rest["base"] or profile.model
    options = Options(cuts=cuts, numbers=Numbers(numbers) if numbers else None, idle_seconds=idle, **rest)

    def tell(stage: str, fraction: float | None) -> None:
        share = "" if fraction is None else f" {fraction:.0%}"
        status.show(f"{stage}{share}", "" if as_json else stage)

    def listening(at: Listening) -> None:
        status.clear()
        click.echo(document(_facts(at), pretty=False) if as_json else one_line(_words(at), 1000))
        if at.note and not as_json:
            click.echo(one_line(at.note, 1000), err=True)

    journal = Journal(as_json=as_json, steps=log_steps)
    try:
        if engine == "own":
            serve(profile.home, options, journal, tell, listening)
        else:
            python = str(expanded(engine_python)) if engine_python else ""
            serve_vllm(profile.home, options, journal, tell, listening, python=python, arguments=engine_args)
    finally:
        status.clear()
    return 0


def _words(at: Listening) -> str:
    cuts = ", ".join(map(str, at.cuts))
    key = " (with a key)" if at.needs_key else ""
    where = f"on {at.compute.device}, {at.cache_mb} MB for sessions" if at.cache_mb else f"by {at.compute.engine}"
    how = f"cut {cuts}, {at.compute.numbers} {where}"
    try_it = f"try it{key} with `nightschool providers test {at.url}`, ctrl+c stops it"
    return f"Serving {at.card.name} ({at.card.short}) at {at.url}, {how}; {try_it}."


def _facts(at: Listening) -> dict[str, object]:
    return {
        "url": at.url,
        "base": at.card.name,
        "fingerprint": at.card.fingerprint,
        "cuts": at.cuts,
        "numbers": at.compute.numbers,
        "device": at.compute.device,
        "engine": at.compute.engine,
        "cache_mb": at.cache_mb,
        "needs_key": at.needs_key,
        "note": at.note,
    }


# -- keys -------------------------------------------------------------------------------------------------------------


def _key_row(key: Key) -> tuple[object, ...]:
    allowed = key.allowance
    cache = f"{allowed.cache_mb} MB" if allowed.cache_mb else "all"
    rate = f"{allowed.tokens_a_second:g}" if allowed.tokens_a_second else "any"
    return (key.name, when(key.created), allowed.sessions, cache, rate, allowed.step_tokens)


_KEYS = KeyFile(
    place=lambda home: home.serve_keys,
    heads=("KEY", "MADE", "SESSIONS", "CACHE", "TOKENS/S", "TOKENS A STEP"),
    row=_key_row,
    facts=lambda key: {"name": key.name, "created": key.created, **key.allowance.model_dump()},
)


@serve.group(
    cls=ListingGroup,
    epilog=examples(
        "nightschool serve keys",
        "nightschool serve keys add laptop",
        "nightschool serve keys add guest --sessions 4 --cache-mb 500 --tokens-a-second 50",
        "nightschool serve keys remove guest",
    ),
)
def keys() -> None:
    """List, add and remove the keys that may ask this profile's server.

    Of a key only a hash is kept. A server that runs sees a change within a second.
    """


@keys.command("list", epilog=examples("nightschool serve keys list --json"))
@json_option
@click.pass_context
def list_all(context: click.Context, *, as_json: bool) -> None:
    """List the keys and what each may."""
    _KEYS.list_all(context, as_json=as_json)


@keys.command(epilog=examples("nightschool serve keys add laptop", "nightschool serve keys add guest --sessions 4"))
@click.argument("name")
@click.option("--sessions", type=click.IntRange(1), help="Open at once.")
@click.option("--cache-mb", type=click.IntRange(1), help="Of the memory for sessions.")
@click.option("--tokens-a-second", type=click.FloatRange(0, min_open=True), help="On average; without it no limit.")
@click.option("--step-tokens", type=click.IntRange(1), help="Of one request.")
@click.option("--tails", type=click.IntRange(0), help="Tensors of the tail sent at once; 0: it may fetch none.")
@click.option("--capture-tokens", type=click.IntRange(0), help="Of one capture, which a study asks for; 0: none.")
@json_option
@click.pass_context
def add(context: click.Context, name: str, *, as_json: bool, **limits: Any) -> None:
    """Add a key and show it, this once."""
    from ...engine.wire.server.allowance import Allowance

    given = {limit: value for limit, value in limits.items() if value is not None}
    _KEYS.add(context, name, Allowance(**given), as_json=as_json)


@keys.command(epilog=examples("nightschool serve keys remove guest"))
@click.argument("name")
@json_option
@click.pass_context
def remove(context: click.Context, name: str, *, as_json: bool) -> None:
    """Remove a key; whoever has it is refused from now on."""
    _KEYS.remove(context, name, as_json=as_json)
