"""Commands of what comes from registries: install, update, hold, verify, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ...schemas.errors import NotFound
from ...schemas.messages import DeleteSlot
from .desk import Desk, ask_first, talks, talks_alone
from .options import examples
from .output import table

if TYPE_CHECKING:
    from ...engine.paths import Home
    from ...marketplace.trust.store import TrustStore
    from ...schemas.registry import ListedVersion
    from ...schemas.sharing import BundleTaken
    from ..market import Found, Here, Update

registry_option = click.option("--registry", metavar="NAME", help="Only this registry; without it all.")
_stale_option = click.option(
    "--allow-stale", is_flag=True, help="Take it although what the registry says is too old to be sure."
)
_offline_option = click.option("--offline", is_flag=True, help="Do not look whether the registry has news.")
_confirm_option = click.option("--confirm", default="", metavar="FINGERPRINT", help="Agree to a new publisher's keys.")


@click.command(
    epilog=examples(
        "nightschool market install captain",
        "nightschool market install captain --as sea --registry team",
        "nightschool market install captain --confirm FINGERPRINT --json",
    )
)
@click.argument("name")
@click.option("--version", "wanted", metavar="N.N.N", help="Another version than the newest.")
@click.option("--as", "into", metavar="SLOT", help="The slot that keeps it; without it its own name.")
@registry_option
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
    from ..taking import refreshed
    from .bundle import exit_code, kept_lines

    home = desk.profile.home
    if not offline:
        refreshed(home, registry, desk.note)
    found = find(home, name, registry)
    version = next((row for row in found.slot.versions if wanted in (None, row.version)), None)
    if version is None:
        raise NotFound(f"{name} has no version {wanted}; `nightschool market show {name}` lists those there are.")
    kept = await _take(desk, found, version, into, confirm, allow_stale=allow_stale)
    desk.give(kept, kept_lines(kept))
    return exit_code(kept)


@click.command(epilog=examples("nightschool market outdated", "nightschool market outdated --json"))
@_offline_option
@talks_alone
async def outdated(desk: Desk, *, offline: bool) -> None:
    """List what is newer in the registries than what is installed, and what would be other."""
    found = await _updates(desk, offline=offline)
    heads = ("SLOT", "HERE", "NEWER", "REGISTRY", "HELD", "WHAT IS OTHER")
    desk.give([_update_facts(row) for row in found], table([heads, *map(_update_row, found)]))


@click.command(
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


@click.command(epilog=examples("nightschool market hold captain", "nightschool market hold captain --release"))
@click.argument("name", metavar="SLOT")
@click.option("--release", is_flag=True, help="Update it again.")
@talks_alone
async def hold(desk: Desk, name: str, *, release: bool) -> None:
    """Keep a slot as it is: `market update` leaves it out."""
    one = await _here(desk, name)
    trust_of(desk.profile.home).hold(one.origin.publisher, one.origin.slot, held=not release)
    words = "is updated again" if release else f"stays at {one.origin.version}"
    desk.give({"slot": one.slot, "held": not release}, [f"{one.slot} {words}."])


@click.command(epilog=examples("nightschool market verify", "nightschool market verify --json"))
@click.option("--repair", is_flag=True, help="Take what is damaged again from the registry that lists it.")
@_stale_option
@talks
async def verify(desk: Desk, *, repair: bool, allow_stale: bool) -> int:
    """Hash everything that is installed again, and look whether any of it was revoked.

    What is damaged is repaired from a whole copy here where there is one, or with --repair from its registry: as a new
    generation, to be activated like any.
    """
    from ..installed import take_again, verified
    from .bundle import taker_of

    found = await verified(desk.ask, desk.profile.home)
    lines = [f"{found.files} files, {found.bytes / 1e6:.1f} MB are whole."]
    lines += [f"{row.slot} {row.number or ''}: {row.text}" for row in found.problems]
    broken = {(row.slot, row.number) for row in found.problems if not row.repaired}
    for one in found.damaged if repair else ():
        try:
            kept = await take_again(taker_of(desk, ""), one, allow_stale=allow_stale)
        except NotFound as error:
            lines.append(f"{one.slot} {one.version.number}: {error}")
            continue
        if kept.version is not None:
            lines.append(f"{one.slot} {one.version.number}: taken again as generation {kept.version.number}.")
    problems = [vars(row) for row in found.problems]
    desk.give({"files": found.files, "bytes": found.bytes, "problems": problems}, lines)
    return 101 if broken else 0


@click.command(epilog=examples("nightschool market remove captain"))
@click.argument("name", metavar="SLOT")
@click.option("--yes", is_flag=True, help="Do not ask.")
@talks_alone
async def remove(desk: Desk, name: str, *, yes: bool) -> None:
    """Remove a slot that came from a bundle; for 30 days `nightschool slots undelete` brings it back."""
    from ..installed import check_removable

    one = await _here(desk, name)
    await check_removable(desk.ask, one)
    if not yes:
        ask_first(desk, f"Remove {one.slot} with its conversations?", "agree with --yes")
    gone = await desk.ask(DeleteSlot(slot=one.slot))
    desk.give(gone, [f"{one.slot} was removed; `nightschool slots undelete {one.slot}` brings it back."])


# -- parts ------------------------------------------------------------------------------------------------------------


def trust_of(home: Home) -> TrustStore:
    """Return what a profile knows of publishers."""
    from ...marketplace.trust.store import TrustStore

    return TrustStore(home.trust)


async def _take(
    desk: Desk, found: Found, version: ListedVersion, into: str | None, confirm: str, *, allow_stale: bool
) -> BundleTaken:
    from ..taking import take_listed
    from .bundle import taker_of

    return await take_listed(taker_of(desk, confirm), found, version, into, allow_stale=allow_stale)


async def _updates(desk: Desk, *, offline: bool) -> list[Update]:
    from ..market import installed, updates
    from ..taking import refreshed

    home = desk.profile.home
    if not offline:
        refreshed(home, None, desk.note)
    return updates(home, await installed(desk.ask), trust_of(home))


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
