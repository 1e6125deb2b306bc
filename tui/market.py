"""What a profile has of registries and what they have for it: put together from engine, trust store and registries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..marketplace.registry.client import Client, Refreshed, clients
from ..marketplace.registry.search import Query
from ..marketplace.trust.records import State
from ..marketplace.trust.store import TrustStore
from ..schemas.errors import NightSchoolError, NotFound, UsageError
from ..schemas.messages import ListSlots, ListVersions, Request
from ..schemas.records import BundleOrigin, Version, VersionKind
from ..schemas.registry import ListedSlot, ListedVersion

if TYPE_CHECKING:
    from ..engine.paths import Home

Ask = Callable[[Request[Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Found:
    """A slot that a registry lists."""

    client: Client
    slot: ListedSlot

    @property
    def registry(self) -> str:
        """What the registry is called here."""
        return self.client.folder.name


@dataclass(frozen=True)
class Here:
    """The newest bundle of a publisher's slot that is in a slot of this profile."""

    slot: str
    version: Version
    origin: BundleOrigin
    answers: bool = False
    """Whether its weights are in effect, be it by a rollback to it."""


@dataclass(frozen=True)
class Update:
    """What is here, what is newer, and what would be other."""

    here: Here
    found: Found
    version: ListedVersion
    changes: tuple[str, ...]
    held: bool


def registries(home: Home, name: str | None = None) -> list[Client]:
    """Return the registries of a profile, or the one that is named.

    Raises:
        NotFound: If there is none of that name, or none at all.
    """
    found = clients(home.registries)
    if name is not None:
        found = [client for client in found if client.folder.name == name]
    if not found:
        which = f"There is no registry {name}" if name else "No registry is known yet"
        raise NotFound(f"{which}; add one with `nightschool market add FOLDER` or an address.")
    return found


def meet(home: Home, address: str, *, name: str = "", confirmed: str) -> tuple[Client, Refreshed]:
    """Get to know a registry whose fingerprint was confirmed, and read it; one that does not read is not kept.

    Raises:
        NotConfirmed: ``new-registry``, if it has another fingerprint.
        UsageError: If it cannot be called so.
        MarketError: If it is none, or says what is not to be believed.
    """
    client = Client.meet(home.registries, address, name=name, confirmed=confirmed)
    try:
        return client, client.refresh(TrustStore(home.trust))
    except NightSchoolError:
        client.forget()
        raise


def search(known: Iterable[Client], query: Query, limit: int) -> tuple[list[Found], int]:
    """Return what fits of what registries listed when they were last read, and how many do; nothing is asked of any."""
    found: list[Found] = []
    count = 0
    for client in known:
        slots, fitting = client.index().search(query, limit)
        found += [Found(client, slot) for slot in slots][: limit - len(found)]
        count += fitting
    return found, count


def find(home: Home, name: str, registry: str | None) -> Found:
    """Return the slot of a name that one of the registries lists.

    Raises:
        NotFound: If none does.
        UsageError: If several do.
    """
    every = [(client, client.index().slot(name)) for client in read(registries(home, registry))]
    found = [Found(client, slot) for client, slot in every if slot is not None]
    if not found:
        raise NotFound(f"No registry lists {name}; look with `nightschool market search`, or refresh first.")
    if len(found) > 1:
        names = ", ".join(one.registry for one in found)
        raise UsageError(f"{name} is listed by {names}; say which with --registry.")
    return found[0]


def find_again(home: Home, origin: BundleOrigin) -> tuple[Found, ListedVersion]:
    """Return where the very bundle is listed that something came from; of several registries a fresh one.

    Raises:
        NotFound: If it is nowhere.
    """
    for client in sorted(read(registries(home)), key=Client.stale):
        slot = client.index().slot(origin.slot)
        if slot is not None and slot.publisher == origin.publisher:
            version = next((row for row in slot.versions if row.id == origin.id), None)
            if version is not None:
                return Found(client, slot), version
    raise NotFound(
        f"No registry lists {origin.slot} {origin.version} of {origin.publisher}; take a newer one with "
        "`nightschool market update`."
    )


def read(found: Iterable[Client]) -> list[Client]:
    """Return those that were read before.

    Raises:
        NotFound: If none was.
    """
    given, ready = list(found), []
    for client in given:
        try:
            client.fetched()
        except NotFound:
            if len(given) == 1:
                raise
        else:
            ready.append(client)
    if not ready:
        raise NotFound("No registry was ever read; run `nightschool market refresh`.")
    return ready


def state_of(found: Found, trust: TrustStore) -> State:
    """Return how a listed slot stands, as far as its listing tells; its bundle is judged when it is taken."""
    listed = found.client.index().publishers.get(found.slot.publisher)
    pin = trust.pin(found.slot.publisher)
    gone = {row.id for row in trust.revocations().revocations if row.publisher in ("", found.slot.publisher)}
    if found.slot.latest.id in gone:
        return State.REVOKED
    if pin is None:
        return State.NEW
    if listed is None or listed.fingerprint != pin.keys.fingerprint:
        return State.CHANGED
    return State.STALE if found.client.stale() else State.VERIFIED


def listed_keys(home: Home) -> dict[str, set[str]]:
    """Return the fingerprints that registries list of publishers, as they were last read."""
    found: dict[str, set[str]] = {}
    for client in clients(home.registries):
        try:
            publishers = client.index().publishers
        except NightSchoolError:  # never read, or damaged: it says nothing
            continue
        for name, row in publishers.items():
            found.setdefault(name, set()).add(row.fingerprint)
    return found


async def origins(ask: Ask) -> list[tuple[Version, BundleOrigin]]:
    """Return every version that is here and has weights of a bundle in it, with each of those bundles."""
    slots = await ask(ListSlots(archived=True))
    versions = [version for slot in slots for version in await ask(ListVersions(slot=slot.name))]
    return [(version, origin) for version in versions if not version.removed for origin in version.origins]


async def installed(ask: Ask) -> list[Here]:
    """Return the newest bundle of each publisher's slot in each slot of the profile."""
    here: list[Here] = []
    for slot in await ask(ListSlots(archived=True)):
        newest: dict[tuple[str, str], Here] = {}
        versions = await ask(ListVersions(slot=slot.name))
        answers = in_effect(versions)
        for version in versions:
            for origin in version.origins if version.kind is VersionKind.IMPORT and not version.removed else ():
                known = newest.get((origin.publisher, origin.slot))
                if known is None or origin.seq > known.origin.seq:
                    newest[origin.publisher, origin.slot] = Here(slot.name, version, origin, version.number == answers)
        here += newest.values()
    return here


def in_effect(versions: Sequence[Version]) -> int | None:
    """Return the generation whose weights answer, which a rollback only goes back to; None: there is none."""
    numbers = {version.number: version for version in versions}
    found = next((version for version in versions if version.current), None)
    while found is not None and found.restores is not None:
        found = numbers.get(found.restores)
    return found.number if found is not None else None


def updates(home: Home, here: Sequence[Here], trust: TrustStore) -> list[Update]:
    """Return what is newer in the registries than what is here."""
    known = read(registries(home))
    found = []
    for one in here:
        listed = [(client, client.index().slot(one.origin.slot)) for client in known]
        for other in [Found(client, slot) for client, slot in listed if slot is not None]:
            if other.slot.publisher != one.origin.publisher:
                continue
            latest = other.slot.latest
            if latest.seq > one.origin.seq:
                pin = trust.pin(one.origin.publisher)
                held = pin is not None and one.origin.slot in pin.hold
                found.append(Update(one, other, latest, _changes(one, other.slot, latest), held))
    return found


def _changes(here: Here, slot: ListedSlot, latest: ListedVersion) -> tuple[str, ...]:
    """Return what is other in a new version, in words."""
    before = next((version for version in slot.versions if version.id == here.origin.id), None)
    if before is None:
        return ("the version that is here is not listed any more",)
    pairs = (
        ("licence", before.license, latest.license),
        ("base", before.base.id, latest.base.id),
        ("base fingerprint", before.base.fingerprint[:12], latest.base.fingerprint[:12]),
        ("rank", str(before.rank), str(latest.rank)),
        ("look at the weights", before.verdict, latest.verdict),
        ("size", f"{before.length / 1e6:.1f} MB", f"{latest.length / 1e6:.1f} MB"),
    )
    skipped = [version.version for version in slot.versions if here.origin.seq < version.seq < latest.seq]
    told = [f"{name} {one} -> {other}" for name, one, other in pairs if one != other]
    return (*told, *([f"also {', '.join(reversed(skipped))}"] if skipped else []))


def download_place(home: Home, slot: str) -> Path:
    """Return a file for a bundle on its way; its folder is there."""
    home.quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
    return home.quarantine / f"get-{slot}.slot"
