"""Commands of providers elsewhere: which the profile names, and what one is worth.

They need no engine process, and work while the app is open: it looks at the settings before each reply.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from ...engine.paths import Home
from ...engine.settings import HSP, ServerSettings, choose_provider, read_settings
from ...engine.slots.store import SlotStore
from ...engine.wire.named import add_provider, known_providers, remove_provider
from ...schemas.errors import UsageError
from ...schemas.providers import Examined, KnownProvider, KnownProviders
from ..safe_text import one_line
from .options import ListingGroup, examples, json_option
from .output import StatusLine, document, table
from .profile import Profile

if TYPE_CHECKING:
    from ...engine.base.supply import FinalKind, ProviderKind

NAMING = """In config.toml:
  provider = ["home", "local"]   # where one fails the next goes on
  [servers.home]
  url = "https://gpu.home:8765"
  key_file = "~/gpu.key"
  kl_budget = 1e-4               # or codec = "i8h64"
  [servers.box]
  url = "http://127.0.0.1:8000"
  kind = "vllm"                  # or llama.cpp, sglang: final states, the plain base speaks"""


_kind_option = click.option(
    "--kind", default=HSP, show_default=True, help="What serves: hsp (nightschool serve), vllm, llama.cpp, sglang."
)


@click.group(
    cls=ListingGroup,
    epilog=examples(
        "nightschool providers",
        "cat gpu.key | nightschool providers add home https://gpu.home:8765 --token - --kl-budget 1e-4 --use",
        "nightschool providers test home",
        "nightschool providers use local",
    )
    + "\n\n\b\n"
    + NAMING,
)
def providers() -> None:
    """List, add, choose, test and remove servers that compute elsewhere.

    They compute the lower blocks of the base; config.toml of the profile names them. vLLM, llama.cpp and SGLang
    compute all blocks: what speaks there has learned nothing yet, or learns in a head adapter.
    """


@providers.command("list", epilog=examples("nightschool providers list --json"))
@json_option
@click.pass_context
def list_all(context: click.Context, *, as_json: bool) -> None:
    """List the servers that the profile names, and which it uses."""
    _list(_known(_profile(context)), as_json=as_json)


@providers.command(
    epilog=examples(
        "nightschool providers add home https://gpu.home:8765 --key-file ~/gpu.key",
        "cat gpu.key | nightschool providers add home https://gpu.home:8765 --token -",
        "nightschool providers add desk http://127.0.0.1:8765 --kl-budget 1e-4 --use",
        "nightschool providers add box http://127.0.0.1:8000 --kind vllm",
    )
)
@click.argument("name")
@click.argument("url")
@_kind_option
@click.option("--key-file", default="", metavar="FILE", help="Which holds the server's key and nothing else.")
@click.option("--token", default="", metavar="KEY|-", help="The key itself, or - to read it from standard input.")
@click.option("--codec", default="bf16", show_default=True, help="How states are written.")
@click.option(
    "--kl-budget", type=click.FloatRange(0), metavar="NATS", help="Use the cheapest codec that costs no more, measured."
)
@click.option("--no-zstd", is_flag=True, help="Never compress.")
@click.option("--plain-http", is_flag=True, help="Allow http:// beyond this machine, readable for anybody on the way.")
@click.option(
    "--carrier",
    type=click.Choice(["auto", "http", "socket"]),
    default="auto",
    show_default=True,
    help="Of each token: a WebSocket where there can be one, HTTP alone, or a WebSocket wanted.",
)
@click.option("--use", is_flag=True, help="Compute there from now on.")
@json_option
@click.pass_context
def add(
    context: click.Context,
    name: str,
    url: str,
    *,
    kind: str,
    key_file: str,
    token: str,
    codec: str,
    kl_budget: float | None,
    no_zstd: bool,
    plain_http: bool,
    carrier: str,
    use: bool,
    as_json: bool,
) -> None:
    """Name a server in config.toml; nothing is asked of it.

    A key that is given with --token is kept in a file of the profile that only you can read.
    """
    profile = _profile(context)
    _check_kind(kind, profile.home)
    writing = {"codec": codec, "zstd": not no_zstd, "kl_budget": kl_budget}
    way = {"plain_http": plain_http, "carrier": carrier}
    server = ServerSettings.model_validate({"url": url, "kind": kind, "key_file": key_file, **way, **writing})
    add_provider(profile.home, name, server, _key(token))
    if use:
        choose_provider(profile.home, [name])
    _list(_known(profile), as_json=as_json)


@providers.command(epilog=examples("nightschool providers remove home"))
@click.argument("name")
@json_option
@click.pass_context
def remove(context: click.Context, name: str, *, as_json: bool) -> None:
    """Forget a server, and its key if it is kept in the profile."""
    profile = _profile(context)
    remove_provider(profile.home, name, _store(profile).list())
    _list(_known(profile), as_json=as_json)


@providers.command(
    epilog=examples(
        "nightschool providers use home",
        "nightschool providers use home local",
        "nightschool providers use local",
        "nightschool providers use home --studies",
    )
)
@click.argument("names", metavar="NAME...|local", nargs=-1, required=True)
@click.option("--studies", is_flag=True, help="Studies in place of chats: who computes there sees your corrections.")
@json_option
@click.pass_context
def use(context: click.Context, names: tuple[str, ...], *, studies: bool, as_json: bool) -> None:
    """Compute there from the next reply on.

    Of several the first is preferred, and where one fails the next goes on; local is this machine.
    """
    profile = _profile(context)
    choose_provider(profile.home, names, studies=studies)
    _list(_known(profile), as_json=as_json)


@providers.command(
    epilog=examples(
        "nightschool providers test home",
        "nightschool providers test http://127.0.0.1:8765 --json",
        "nightschool providers test https://gpu.home:8765 --key-file ~/gpu.key --describe",
        "nightschool providers test http://127.0.0.1:8080 --kind llama.cpp",
    )
)
@click.argument("server", metavar="URL|NAME")
@_kind_option
@click.option("--key-file", default="", metavar="FILE", help="Which holds the server's key and nothing else.")
@click.option("--plain-http", is_flag=True, help="Allow http:// beyond this machine, readable for anybody on the way.")
@click.option("--cut", type=click.IntRange(0), help="Blocks on this machine; without it the usual number.")
@click.option("--describe", is_flag=True, help="Only ask what it is: load no model, prove nothing.")
@json_option
@click.pass_context
def test(
    context: click.Context,
    server: str,
    *,
    kind: str,
    key_file: str,
    plain_http: bool,
    cut: int | None,
    describe: bool,
    as_json: bool,
) -> None:
    """Say how far a server is, whether it computes this profile's base, and what its codecs cost.

    Another base is refused with the measured distance; exit code 14.
    """
    profile = _profile(context)
    named = read_settings(profile.home).servers.get(server)
    if named is not None and (key_file or plain_http):
        raise UsageError(f"{server} has its key in config.toml; give --key-file and --plain-http with an address only.")
    _check_kind(kind, profile.home)
    settings = named or ServerSettings(url=server, kind=kind, key_file=key_file, plain_http=plain_http)
    if settings.kind != HSP and describe:
        raise UsageError(f"{settings.kind} does not say what it is; leave --describe out, and it is compared.")
    status = StatusLine(sys.stderr)
    try:
        found = asyncio.run(_examined(profile, settings, cut, status, describe=describe))
    finally:
        status.clear()
    _give(found.model_dump(mode="json"), _lines(found), as_json=as_json)


async def _examined(
    profile: Profile, settings: ServerSettings, cut: int | None, status: StatusLine, *, describe: bool
) -> Examined:
    from ...engine.wire.examine import look
    from ...engine.wire.named import client_of

    status.show("Asking the server")
    if describe:
        return await look(client_of(settings))
    from ...engine.base.library import load, prepare
    from ...engine.host.elsewhere import Elsewhere

    spec = profile.model or read_settings(profile.home).base
    base = load(prepare(spec, profile.home, lambda stage, fraction: status.show(stage)))
    status.show("Comparing")
    return await Elsewhere(base, base.cut, _kinds(profile.home)).examine(settings, cut)


def _check_kind(kind: str, home: Home) -> None:
    from ...engine.host.elsewhere import check_kind

    if kind != HSP:
        check_kind(kind, _kinds(home))


def _kinds(home: Home) -> list[ProviderKind | FinalKind]:
    from ...engine.host.plugins import PluginHost

    return PluginHost.load(home=home).collect("nightschool_providers")


def _lines(found: Examined) -> list[str]:
    said = found.description
    base, compute = said.base, said.compute
    rows: list[tuple[object, ...]] = [
        ("base", f"{one_line(base.name)} ({base.fingerprint[:12]})"),
        ("computed by", one_line(", ".join(filter(None, (compute.engine, compute.device, compute.numbers))), 200)),
        ("cuts", ", ".join(map(str, said.cuts[:20]))),
        ("verbs", one_line(", ".join(said.verbs), 200) or "none: whole prompts are sent"),
        ("round trip", f"{found.round_trip_ms:.1f} ms"),
    ]
    if found.distance is not None:
        rows += [
            ("it is the base", f"the probe lies {found.distance:.2g} nats from the card"),
            ("one token", f"{found.step_ms:.1f} ms at cut {found.cut}{_carried(found)}"),
        ]
    lines = table(rows)
    if found.codecs:
        heads = ("CODEC", "BITS", "BYTES A TOKEN", "KL", "SAME WORD", "")
        costs = [
            (
                *(codec.name, f"{codec.bits:g}", codec.bytes_a_token, f"{codec.kl:.2g}", f"{codec.same_top:.1%}"),
                "used" if codec.name == found.chosen else "",
            )
            for codec in found.codecs
        ]
        lines += ["", *table([heads, *costs])]
    return lines + [one_line(note, 300) for note in said.notes]


def _carried(found: Examined) -> str:
    return f", over {found.carrier}" if found.carrier else ""


def _known(profile: Profile) -> KnownProviders:
    return known_providers(profile.home, _store(profile).list())


def _store(profile: Profile) -> SlotStore:
    return SlotStore(profile.home.slots)


def _list(known: KnownProviders, *, as_json: bool) -> None:
    rows = [
        (
            one_line(row.name),
            one_line(row.url),
            _written(row),
            ", ".join(["profile"] * row.used + ["studies"] * row.studies + row.slots),
        )
        for row in known.servers
    ]
    lines = table([("NAME", "URL", "CODEC", "USED BY"), *rows]) if rows else ["No server is named."]
    if tuple(known.provider) == ("local",):
        lines.append("This machine computes." if not rows else "This machine computes; `use NAME` changes that.")
    _give(known.model_dump(mode="json"), lines, as_json=as_json)


def _written(row: KnownProvider) -> str:
    if row.kind != HSP:
        return f"{row.kind}, final"
    return row.codec if row.kl_budget is None else f"KL <= {row.kl_budget:g}"


def _key(token: str) -> str:
    """Return the key that was given, or what stands in standard input for ``-``."""
    key = sys.stdin.read(8192).strip() if token == "-" else token  # noqa: S105
    if token and not key:
        raise UsageError("Standard input holds no key; write the server's key into it.")
    return key


def _profile(context: click.Context) -> Profile:
    profile = context.find_object(Profile)
    assert profile is not None
    return profile


def _give(data: object, lines: list[str], *, as_json: bool) -> None:
    click.echo(document(data, pretty=sys.stdout.isatty()) if as_json else "\n".join(lines))
