"""Commands of providers elsewhere: which the profile names, and what one is worth. They need no engine process."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from ...engine.settings import ServerSettings, read_settings
from ...schemas.errors import UsageError
from ..safe_text import one_line
from .options import ListingGroup, examples, json_option
from .output import StatusLine, document, table
from .profile import Profile

if TYPE_CHECKING:
    from ...engine.wire.examine import Examined

NAMING = """In config.toml:
  provider = ["home", "local"]   # where one fails the next goes on
  [servers.home]
  url = "https://gpu.home:8765"
  key_file = "~/gpu.key"
  codec = "i8h64\""""


@click.group(
    cls=ListingGroup,
    epilog=examples("nightschool providers", "nightschool providers test https://gpu.home:8765 --key-file ~/gpu.key")
    + "\n\n\b\n"
    + NAMING,
)
def providers() -> None:
    """List and test servers that compute elsewhere.

    They compute the lower blocks of the base; config.toml of the profile names them.
    """


@providers.command("list", epilog=examples("nightschool providers list --json"))
@json_option
@click.pass_context
def list_all(context: click.Context, *, as_json: bool) -> None:
    """List the servers that the profile names, and which it uses."""
    settings = read_settings(_profile(context).home)
    used = settings.provider or ("local",)
    facts = [{"name": name, "used": name in used, **server.model_dump()} for name, server in settings.servers.items()]
    rows = [(one_line(row["name"]), one_line(row["url"]), row["codec"], "used" if row["used"] else "") for row in facts]
    lines = table([("NAME", "URL", "CODEC", ""), *rows]) if rows else ["No server is named; this machine computes all."]
    _give({"provider": list(used), "servers": facts}, lines, as_json=as_json)


@providers.command(
    epilog=examples(
        "nightschool providers test home",
        "nightschool providers test http://127.0.0.1:8765 --json",
        "nightschool providers test https://gpu.home:8765 --key-file ~/gpu.key --describe",
    )
)
@click.argument("server", metavar="URL|NAME")
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
    settings = named or ServerSettings(url=server, key_file=key_file, plain_http=plain_http)
    status = StatusLine(sys.stderr)
    try:
        found = asyncio.run(_examined(profile, settings, cut, status, describe=describe))
    finally:
        status.clear()
    _give(found.model_dump(mode="json"), _lines(found), as_json=as_json)


async def _examined(
    profile: Profile, settings: ServerSettings, cut: int | None, status: StatusLine, *, describe: bool
) -> Examined:
    from ...engine.wire.examine import look, prove
    from ...engine.wire.named import client_of

    client = client_of(settings)
    status.show("Asking the server")
    found = await look(client)
    if describe:
        return found
    from ...engine.base.library import load, prepare
    from ...engine.base.size import default_cut
    from ...engine.wire.rows import Writing
    from ...plugins.providers.remote import RemoteProvider

    spec = profile.model or read_settings(profile.home).base
    base = load(prepare(spec, profile.home, lambda stage, fraction: status.show(stage)))
    status.show("Comparing")
    wanted = cut if cut is not None else default_cut(base.card.layers)
    try:
        return await prove(found, base, wanted, lambda codec: RemoteProvider(base.card, client, Writing(codec)))
    finally:
        await client.aclose()


def _lines(found: Examined) -> list[str]:
    said = found.description
    base, compute = said.base, said.compute
    rows: list[tuple[object, ...]] = [
        ("base", f"{one_line(base.name)} ({base.fingerprint[:12]})"),
        ("computed by", one_line(", ".join(filter(None, (compute.engine, compute.device, compute.numbers))), 200)),
        ("cuts", ", ".join(map(str, said.cuts[:20]))),
        ("verbs", one_line(", ".join(said.verbs), 200)),
        ("round trip", f"{found.round_trip_ms:.1f} ms"),
    ]
    if found.distance is not None:
        rows += [
            ("it is the base", f"the probe lies {found.distance:.2g} nats from the card"),
            ("one token", f"{found.step_ms:.1f} ms at cut {found.cut}"),
        ]
    lines = table(rows)
    if found.codecs:
        heads = ("CODEC", "BYTES A TOKEN", "KL", "SAME WORD")
        costs = [
            (codec.name, codec.bytes_a_token, f"{codec.kl:.2g}", f"{codec.same_top:.1%}") for codec in found.codecs
        ]
        lines += ["", *table([heads, *costs])]
    return lines + [one_line(note, 300) for note in said.notes]


def _profile(context: click.Context) -> Profile:
    profile = context.find_object(Profile)
    assert profile is not None
    return profile


def _give(data: object, lines: list[str], *, as_json: bool) -> None:
    click.echo(document(data, pretty=sys.stdout.isatty()) if as_json else "\n".join(lines))
