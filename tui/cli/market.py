"""Commands of those who take from registries: search, look, install, update, hold, verify, remove."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ...schemas.errors import MarketError, NightSchoolError, NotFound, UsageError
from ...schemas.messages import CheckSlots, DeleteSlot, ListVersions
from ...schemas.records import VersionKind
from .desk import Desk, ask_first, talks, talks_alone
from .options import ListingGroup, examples, json_option
from .output import table, when
from .plain import agree, give, home_of

if TYPE_CHECKING:
    from ...engine.paths import Home
    from ...marketplace.bundle.manifest import Signed
    from ...marketplace.registry.client import Client
    from ...marketplace.trust.judging import Offer
    from ...marketplace.trust.store import TrustStore
    from ...schemas.registry import ListedVersion
    from ...schemas.sharing import BundleTaken
    from ..market import Found, Here, Update

_registry_option = click.option("--registry", metavar="NAME", help="Only this registry; without it all.")
_stale_option = click.option(
    "--allow-stale", is_flag=True, help="Take it although what the registry says is too old to be sure."
)
_offline_option = click.option("--offline", is_flag=True, help="Do not look whether the registry has news.")
_confirm_option = click.option("--confirm", default="", metavar="FINGERPRINT", help="Agree to a new publisher's keys.")


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
    from ...marketplace.registry.client import Client, look

    home = home_of(context)
    if not confirm:
        face, _ = look(address)
        click.echo(f"{face.title}: {words_of(face.root)}\n{face.root}", err=True)
        agree("Believe this registry from now on?", f"agree with --confirm {face.root}")
        confirm = face.root
    client = Client.meet(home.registries, address, name=name, confirmed=confirm)
    try:
        refreshed = client.refresh(_trust(home))
    except NightSchoolError:
        client.forget()
        raise
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
    trust, lines = _trust(home_of(context)), list[str]()
    facts: list[dict[str, Any]] = []
    failure: MarketError | None = None
    for client in _clients(context, name):
        try:
            found = client.refresh(trust)
        except MarketError as error:
            failure = error
            facts.append({"registry": client.folder.name, "error": str(error), "code": error.code})
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
@_registry_option
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
    from ..market import Found, read, state_of

    home = home_of(context)
    largest = None if max_mb is None else int(max_mb * 1e6)
    query, trust = Query(text=" ".join(words), largest=largest, **wanted), _trust(home)
    found: list[Found] = []
    count = 0
    for client in read(_clients(context, registry)):
        slots, fitting = client.index().search(query, limit)
        found += [Found(client, slot) for slot in slots][: limit - len(found)]
        count += fitting
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
@_registry_option
@json_option
@click.pass_context
def show(context: click.Context, name: str, *, registry: str | None, as_json: bool) -> None:
    """Show what a bundle says of itself, from the beginning of its file: card, figures, sample turns, versions."""
    from ...marketplace.trust.judging import Offer
    from ..bundle_words import card_lines
    from ..market import find

    home = home_of(context)
    found = find(home, name, registry)
    latest = found.slot.latest
    signed = found.client.manifest(found.slot, latest)
    offer = Offer.of(signed, registry=found.registry, stale=found.client.stale())
    judgement = _trust(home).judge(offer)
    rows = [(row.version, when(row.created), f"{row.length / 1e6:.1f} MB") for row in found.slot.versions]
    lines = [
        *card_lines(signed.manifest, signed.id),
        "",
        f"{judgement.state.value}: {judgement.sentence}",
        f"keys      {offer.keys.words} ({offer.keys.fingerprint})",
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


@market.command(
    epilog=examples(
        "nightschool market install captain",
        "nightschool market install captain --as sea --registry team",
        "nightschool market install captain --confirm FINGERPRINT --json",
    )
)
@click.argument("name")
@click.option("--version", "wanted", metavar="N.N.N", help="Another version than the newest.")
@click.option("--as", "into", metavar="SLOT", help="The slot that keeps it; without it its own name.")
@_registry_option
@_confirm_option
@_offline_option
@_stale_option
@talks
async def install(
    desk: Desk,
    name: str,
    *,
    wanted: str | None,
    into: str | None,
    registry: str | None,
    confirm: str,
    offline: bool,
    allow_stale: bool,
) -> int:
    """Take a version of a slot from a registry.

    It is checked like any bundle, and must be the one that the registry lists. It does not answer until you say so with
    `nightschool rollback SLOT --to GENERATION`.
    """
    from ..market import find
    from .bundle import exit_code, kept_lines

    home = desk.profile.home
    if not offline:
        _refreshed(desk, home, registry)
    found = find(home, name, registry)
    version = next((row for row in found.slot.versions if wanted in (None, row.version)), None)
    if version is None:
        raise NotFound(f"{name} has no version {wanted}; `nightschool market show {name}` lists those there are.")
    kept = await _take(desk, found, version, into, confirm, allow_stale=allow_stale)
    desk.give(kept, kept_lines(kept))
    return exit_code(kept)


@market.command(epilog=examples("nightschool market outdated", "nightschool market outdated --json"))
@_offline_option
@talks_alone
async def outdated(desk: Desk, *, offline: bool) -> None:
    """List what is newer in the registries than what is installed, and what would be other."""
    found = await _updates(desk, offline=offline)
    heads = ("SLOT", "HERE", "NEWER", "REGISTRY", "HELD", "WHAT IS OTHER")
    desk.give([_update_facts(row) for row in found], table([heads, *map(_update_row, found)]))


@market.command(
    epilog=examples(
        "nightschool market update",
        "nightschool market update captain --yes",
        "nightschool market update --yes --json",
    )
)
@click.argument("names", metavar="[SLOT]...", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_confirm_option
@_offline_option
@_stale_option
@talks
async def update(
    desk: Desk, names: tuple[str, ...], *, yes: bool, confirm: str, offline: bool, allow_stale: bool
) -> int:
    """Take the newer versions of what is installed; those that are held are left out unless they are named.

    What is other is said before. Each new version waits beside the one that answers, until you activate it.
    """
    from .bundle import exit_code, kept_lines

    found = await _updates(desk, offline=offline)
    known = {name for row in found for name in (row.here.slot, row.found.slot.name)}
    if missing := [name for name in names if name not in known]:
        raise NotFound(f"There is nothing newer for {', '.join(missing)}; see `nightschool market outdated`.")
    chosen = [row for row in found if ({row.here.slot, row.found.slot.name} & set(names) if names else not row.held)]
    ended: list[BundleTaken] = []
    code = 0
    for row in chosen:
        words = "  ".join(_update_row(row))
        if not yes:
            ask_first(desk, f"Take {words}?", "agree with --yes")
        kept = await _take(desk, row.found, row.version, row.here.slot, confirm, allow_stale=allow_stale)
        ended.append(kept)
        code = code or exit_code(kept)
    desk.give(ended, [line for kept in ended for line in kept_lines(kept)] or ["Everything is as new as it can be."])
    return code


@market.command(epilog=examples("nightschool market hold captain", "nightschool market hold captain --release"))
@click.argument("name", metavar="SLOT")
@click.option("--release", is_flag=True, help="Update it again.")
@talks_alone
async def hold(desk: Desk, name: str, *, release: bool) -> None:
    """Keep a slot as it is: `market update` leaves it out."""
    one = await _here(desk, name)
    _trust(desk.profile.home).hold(one.origin.publisher, one.origin.slot, held=not release)
    words = "is updated again" if release else f"stays at {one.origin.version}"
    desk.give({"slot": one.slot, "held": not release}, [f"{one.slot} {words}."])


@market.command(epilog=examples("nightschool market verify", "nightschool market verify --json"))
@click.option("--repair", is_flag=True, help="Take what is damaged again from the registry that lists it.")
@_stale_option
@talks
async def verify(desk: Desk, *, repair: bool, allow_stale: bool) -> int:
    """Hash everything that is installed again, and look whether any of it was revoked.

    What is damaged is repaired from a whole copy here where there is one, or with --repair from its registry: as a new
    generation, to be activated like any.
    """
    from ..market import find, installed

    home, check = desk.profile.home, await desk.ask(CheckSlots())
    revocations = _trust(home).revocations()
    here = await installed(desk.ask)
    lines = [f"{check.files} files, {check.bytes / 1e6:.1f} MB are whole."]
    problems: list[dict[str, Any]] = []
    for row in check.findings:
        lines.append(f"{row.slot} {row.number or ''}: {row.text}")
        problems.append({"slot": row.slot, "number": row.number, "repaired": row.repaired, "text": row.text})
    for one in here:
        revocation = revocations.against(one.origin)
        if revocation is not None:
            text = f"{one.origin.slot} {one.origin.version} was revoked by {revocation.by}: {revocation.reason}"
            lines.append(f"{one.slot} {one.version.number}: {text}")
            problems.append({"slot": one.slot, "number": one.version.number, "repaired": False, "text": text})
    broken = {(row.slot, row.number) for row in check.findings if not row.repaired}
    for one in here if repair else ():
        if (one.slot, one.version.number) in broken:
            found = find(home, one.origin.slot, None)
            version = next((row for row in found.slot.versions if row.id == one.origin.id), found.slot.latest)
            kept = await _take(desk, found, version, one.slot, "", allow_stale=allow_stale)
            if kept.version is not None:
                broken.discard((one.slot, one.version.number))
                lines.append(f"{one.slot} {one.version.number}: taken again as generation {kept.version.number}.")
    desk.give({"files": check.files, "bytes": check.bytes, "problems": problems}, lines)
    return 101 if broken or any(not row["repaired"] for row in problems) else 0


@market.command(epilog=examples("nightschool market remove captain"))
@click.argument("name", metavar="SLOT")
@click.option("--yes", is_flag=True, help="Do not ask.")
@talks_alone
async def remove(desk: Desk, name: str, *, yes: bool) -> None:
    """Remove a slot that came from a bundle; for 30 days `nightschool slots undelete` brings it back."""
    one = await _here(desk, name)
    foreign = {VersionKind.IMPORT, VersionKind.ROLLBACK, VersionKind.BASE}
    if any(version.kind not in foreign for version in await desk.ask(ListVersions(slot=one.slot))):
        raise UsageError(
            f"Slot {one.slot} has learned from you besides; go back with `nightschool rollback {one.slot}`, or delete "
            f"all of it with `nightschool slots delete {one.slot}`."
        )
    if not yes:
        ask_first(desk, f"Remove {one.slot} with its conversations?", "agree with --yes")
    gone = await desk.ask(DeleteSlot(slot=one.slot))
    desk.give(gone, [f"{one.slot} was removed; `nightschool slots undelete {one.slot}` brings it back."])


# -- parts ------------------------------------------------------------------------------------------------------------


def _trust(home: Home) -> TrustStore:
    from ...marketplace.trust.store import TrustStore

    return TrustStore(home.trust)


def _clients(context: click.Context, name: str | None) -> list[Client]:
    from ..market import registries

    return registries(home_of(context), name)


def _refreshed(desk: Desk, home: Home, name: str | None) -> None:
    """Read what is new; a registry that cannot be reached is used as it was read before, as long as that is fresh."""
    from ..market import registries

    for client in registries(home, name):
        try:
            for warning in client.refresh(_trust(home)).warnings:
                desk.note(f"Warning: {warning}")
        except MarketError as error:
            if error.code != "unreachable":
                raise
            desk.note(f"Warning: {error}")


async def _take(
    desk: Desk, found: Found, version: ListedVersion, into: str | None, confirm: str, *, allow_stale: bool
) -> BundleTaken:
    """Download a listed bundle and take it in; nothing of the file stays."""
    from ...marketplace.registry.client import check_listed
    from ...marketplace.trust.judging import Offer
    from ..market import download_place
    from .bundle import take_in

    home, client = desk.profile.home, found.client
    client.check_fresh(allow_stale=allow_stale)
    stale = client.stale()
    if stale:
        desk.note(
            f"WARNING: what {found.registry} says is too old. It may list versions that have since been revoked, and "
            "newer ones are not seen."
        )

    def offer_of(signed: Signed) -> Offer:
        check_listed(signed, found.slot, version)
        return Offer.of(signed, registry=found.registry, stale=stale)

    target = download_place(home, found.slot.name)
    length = version.length

    def tell(count: int) -> None:
        desk.status.show(f"Fetching {found.slot.name} {count / length:.0%}", f"Fetching {found.slot.name}")

    try:
        client.download(found.slot, version, target, allow_stale=allow_stale, tell=tell)
        desk.status.clear()
        kept = await take_in(desk, target, into, confirm, offer_of)
    finally:
        target.unlink(missing_ok=True)
    if kept.version is not None:
        _follow(desk, found)
    return kept


def _follow(desk: Desk, found: Found) -> None:
    """Take over the publisher's documents, so that its keys can change later."""
    trust = _trust(desk.profile.home)
    try:
        trust.meet(found.client.publisher(found.slot.publisher), registry=found.registry)
    except NightSchoolError as error:
        desk.note(f"Warning: {error}")


async def _updates(desk: Desk, *, offline: bool) -> list[Update]:
    from ..market import installed, updates

    home = desk.profile.home
    if not offline:
        _refreshed(desk, home, None)
    return updates(home, await installed(desk.ask), _trust(home))


async def _here(desk: Desk, name: str) -> Here:
    """Return what is installed under the name of a slot here, or as its publisher calls it."""
    from ..market import installed

    found = await installed(desk.ask)
    for one in found:
        if name.casefold() in (one.slot.casefold(), one.origin.slot):
            return one
    names = ", ".join(one.slot for one in found) or "nothing"
    raise NotFound(f"{name} did not come from a bundle; what did: {names}.")


def _update_row(row: Update) -> tuple[str, ...]:
    held, changes = "held" if row.held else "", ", ".join(row.changes) or "nothing that is listed"
    return row.here.slot, row.here.origin.version, row.version.version, row.found.registry, held, changes


def _update_facts(row: Update) -> dict[str, Any]:
    return {
        "slot": row.here.slot,
        "publisher": row.here.origin.publisher,
        "here": row.here.origin.version,
        "newer": row.version.version,
        "registry": row.found.registry,
        "held": row.held,
        "changes": row.changes,
    }
