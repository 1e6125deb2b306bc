"""Commands of those who take from registries: which they look at, search, look; the rest is in ``market_installed``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ...schemas.errors import NightSchoolError, NotFound
from . import market_installed
from .market_installed import registry_option, trust_of
from .options import ListingGroup, examples, json_option
from .output import table, when
from .plain import agree, give, home_of

if TYPE_CHECKING:
    from ...marketplace.registry.client import Client


@click.group(
    cls=ListingGroup,
    epilog=examples(
        "nightschool market add /media/stick",
        "nightschool market search sailor --tag style",
        "nightschool market install captain",
        "nightschool market update",
    ),
)
def market() -> None:
    """Search registries; install, update, verify and remove what they list."""


@market.command("list", epilog=examples("nightschool market list", "nightschool market list --json"))
@json_option
@click.pass_context
def list_all(context: click.Context, *, as_json: bool) -> None:
    """List the registries that are known, and until when what they said is believed."""
    from ...marketplace.registry.client import clients

    rows, facts = [], []
    for client in clients(home_of(context).registries):
        known = client.known()
        try:
            fetched = client.fetched()
            count, expires, stale = len(client.index().lines), fetched.expires, client.stale()
        except NotFound:
            count, expires, stale = 0, 0.0, True
        rows.append((known.name, count, f"{when(expires)}{' STALE' if stale else ''}", known.words, known.address))
        facts.append({**known.model_dump(), "slots": count, "expires": expires, "stale": stale, "words": known.words})
    give(facts, table([("REGISTRY", "SLOTS", "BELIEVED UNTIL", "WORDS", "WHERE"), *rows]), as_json=as_json)


@market.command(
    epilog=examples(
        "nightschool market add /media/stick",
        "nightschool market add https://example.org/slots --name team --confirm FINGERPRINT",
    )
)
@click.argument("address", metavar="FOLDER|ADDRESS")
@click.option("--name", default="", help="What it is called here; without it as it calls itself.")
@click.option("--confirm", default="", metavar="FINGERPRINT", help="Agree to its fingerprint without being asked.")
@json_option
@click.pass_context
def add(context: click.Context, address: str, *, name: str, confirm: str, as_json: bool) -> None:
    """Get to know a registry: a folder, a stick, or a web address.

    Compare the six words with who keeps it, over another way than the address came.
    """
    from ...marketplace.keys import words_of
    from ...marketplace.registry.client import look
    from ..market import meet

    home = home_of(context)
    if not confirm:
        face, _ = look(address)
        click.echo(f"{face.title}: {words_of(face.root)}\n{face.root}", err=True)
        agree("Believe this registry from now on?", f"agree with --confirm {face.root}")
        confirm = face.root
    client, refreshed = meet(home, address, name=name, confirmed=confirm)
    known = client.known()
    facts = {**known.model_dump(), "words": known.words, "slots": len(client.index().lines)}
    lines = [f"{known.title} is known as {known.name}: {len(client.index().lines)} slots."]
    if refreshed.fetched.stale(datetime.now(UTC).timestamp()):
        lines.append("It is STALE: you can look, and install only with --allow-stale.")
    give(facts, lines, as_json=as_json)


@market.command(epilog=examples("nightschool market forget team"))
@click.argument("name")
@json_option
@click.pass_context
def forget(context: click.Context, name: str, *, as_json: bool) -> None:
    """Forget a registry. What was installed from it stays, and so does what it revoked."""
    (client,) = _clients(context, name)
    client.forget()
    give({"forgotten": name}, [f"{name} is not asked any more; what it revoked stays so."], as_json=as_json)


@market.command(epilog=examples("nightschool market refresh", "nightschool market refresh team --json"))
@click.argument("name", metavar="[REGISTRY]", required=False)
@json_option
@click.pass_context
def refresh(context: click.Context, name: str | None, *, as_json: bool) -> int:
    """Read what is new in the registries: bundles, new keys of publishers, revocations."""
    trust, lines = trust_of(home_of(context)), list[str]()
    facts: list[dict[str, Any]] = []
    failure: NightSchoolError | None = None
    for client in _clients(context, name):
        try:
            found = client.refresh(trust)
        except NightSchoolError as error:
            failure, code = error, getattr(error, "code", type(error).__name__)
            facts.append({"registry": client.folder.name, "error": str(error), "code": code})
            lines.append(f"{client.folder.name}: {error}")
            continue
        stale = found.fetched.stale(datetime.now(UTC).timestamp())
        count = len(client.index().lines)
        news = f"{'new' if found.changed else 'nothing new'}, {count} slots, {found.revoked} new revocations"
        lines.append(f"{client.folder.name}: {news}{', STALE' if stale else ''}")
        lines += [f"{client.folder.name}: WARNING {warning}" for warning in found.warnings]
        warnings = [{"code": row.code, "text": str(row)} for row in found.warnings]
        facts.append(
            {
                "registry": client.folder.name,
                "changed": found.changed,
                "slots": count,
                "revoked": found.revoked,
                "stale": stale,
                "expires": found.fetched.expires,
                "warnings": warnings,
            }
        )
    give(facts, lines, as_json=as_json)
    return failure.exit_code if failure is not None else 0


@market.command(
    epilog=examples(
        "nightschool market search sailor",
        "nightschool market search --base smollm2 --tag style --license CC-BY --max-mb 5",
        "nightschool market search --json",
    )
)
@click.argument("words", nargs=-1)
@click.option("--base", default="", help="Part of a base's name, or the beginning of its fingerprint.")
@click.option("--tag", "tags", multiple=True, help="May be repeated; all must fit.")
@click.option("--license", "licence", default="", metavar="SPDX", help="Or its beginning.")
@click.option("--max-mb", type=click.FloatRange(min=0), help="The largest file, in MB.")
@click.option("--publisher", default="", help="By its name.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@registry_option
@json_option
@click.pass_context
def search(
    context: click.Context,
    words: tuple[str, ...],
    *,
    max_mb: float | None,
    limit: int,
    registry: str | None,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Search what the registries listed when they were last read; nothing is asked of any of them."""
    from ...marketplace.registry.search import Query
    from ..market import read, state_of
    from ..market import search as search_all

    home = home_of(context)
    largest = None if max_mb is None else int(max_mb * 1e6)
    query, trust = Query(text=" ".join(words), largest=largest, **wanted), trust_of(home)
    found, count = search_all(read(_clients(context, registry)), query, limit)
    states = [state_of(one, trust) for one in found]
    heads = ("SLOT", "VERSION", "PUBLISHER", "STATE", "BASE", "LICENCE", "MB", "REGISTRY", "TITLE")
    rows = [
        (
            *(one.slot.name, one.slot.latest.version, one.slot.publisher, state.value, one.slot.latest.base.id),
            *(one.slot.latest.license, f"{one.slot.latest.length / 1e6:.1f}", one.registry, one.slot.title),
        )
        for one, state in zip(found, states, strict=True)
    ]
    facts = [
        {"registry": one.registry, "state": state.value, **one.slot.model_dump()}
        for one, state in zip(found, states, strict=True)
    ]
    lines = table([heads, *rows])
    if count > len(found):
        lines.append(f"{count - len(found)} more; narrow the search, or raise --limit.")
    give(facts, lines, as_json=as_json)


@market.command(epilog=examples("nightschool market show captain", "nightschool market show captain --registry team"))
@click.argument("name")
@registry_option
@json_option
@click.pass_context
def show(context: click.Context, name: str, *, registry: str | None, as_json: bool) -> None:
    """Show what a bundle says of itself, from the beginning of its file: card, figures, sample turns, versions."""
    from ...marketplace.trust.judging import Offer
    from ..bundle_words import card_lines, fit_words
    from ..bundles import fingerprints_here
    from ..market import find

    home = home_of(context)
    found = find(home, name, registry)
    latest = found.slot.latest
    signed = found.client.manifest(found.slot, latest)
    offer = Offer.of(signed, registry=found.registry, stale=found.client.stale())
    judgement = trust_of(home).judge(offer)
    base = signed.manifest.predicate.base
    fits = fit_words(base.fingerprint, base.id, "", fingerprints_here(home))
    rows = [(row.version, when(row.created), f"{row.length / 1e6:.1f} MB") for row in found.slot.versions]
    lines = [
        *card_lines(signed.manifest, signed.id),
        "",
        f"{judgement.state.value}: {judgement.sentence}",
        f"keys      {offer.keys.words} ({offer.keys.fingerprint})",
        fits,
        "",
        *table([("VERSION", "MADE", "SIZE"), *rows]),
    ]
    facts = {
        "registry": found.registry,
        "state": judgement.state.value,
        "sentence": judgement.sentence,
        "fingerprint": offer.keys.fingerprint,
        "words": offer.keys.words,
        "listing": found.slot,
        "manifest": signed.manifest.model_dump(mode="json", by_alias=True),
    }
    give(facts, lines, as_json=as_json)


for command in (
    market_installed.install,
    market_installed.outdated,
    market_installed.update,
    market_installed.hold,
    market_installed.verify,
    market_installed.remove,
):
    market.add_command(command)


def _clients(context: click.Context, name: str | None) -> list[Client]:
    from ..market import registries

    return registries(home_of(context), name)
