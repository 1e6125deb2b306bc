"""Taking bundles in, out of a file or from a registry: the same steps for the command line and the app.

Everything is checked before anything is kept; what is kept answers nobody until the user activates it. A new publisher
is pinned only when its bundle was kept, and the user agreed to it before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..marketplace.bundle.importing import Taken, Trust, taken
from ..marketplace.bundle.manifest import Signed
from ..marketplace.bundle.reading import read_verified
from ..marketplace.registry.client import check_listed
from ..marketplace.trust.judging import Judgement, Offer
from ..marketplace.trust.store import TrustStore
from ..schemas.errors import NightSchoolError, UsageError
from ..schemas.messages import ListSlots, ListVersions, TakeBundle
from ..schemas.records import BundleOrigin
from ..schemas.registry import ListedVersion
from ..schemas.sharing import BundleTaken
from .bundle_words import scan_words
from .bundles import bases_here
from .market import Found, download_place, origins, registries
from .stopping import Ask, in_thread, telling_thread, until_stopped

if TYPE_CHECKING:
    from ..engine.paths import Home

STALE = "What {} says is too old. It may list versions that have since been revoked, and newer ones are not seen."


@dataclass(frozen=True)
class Taker:
    """Who takes a bundle in, and how a person is spoken with meanwhile.

    Attributes:
        agree: Asked whether a new publisher is believed; gives the fingerprint that was agreed to, or raises.
        note: Told a sentence beside the result.
        tell: Told what is done, and the share of it that is done.
        stopped: Given what a trial came to that the user stopped.
    """

    home: Home
    ask: Ask
    agree: Callable[[Offer, Judgement], Awaitable[str]]
    note: Callable[[str], None]
    tell: Callable[[str, float], None]
    stopped: Callable[[BundleTaken], None] = lambda kept: None

    @property
    def trust(self) -> TrustStore:
        """What the profile knows of publishers."""
        return TrustStore(self.home.trust)


def refreshed(home: Home, name: str | None, note: Callable[[str], None]) -> None:
    """Read what is new; a registry that cannot be reached is used as it was read before, as long as that is fresh.

    Raises:
        NotFound: If there is no registry of this name, or none at all.
        MarketError, StorageError: If one says what is not to be believed, or does not read; the others are read before.
    """
    failure: NightSchoolError | None = None
    for client in registries(home, name):
        try:
            for warning in client.refresh(TrustStore(home.trust)).warnings:
                note(f"Warning: {warning}")
        except NightSchoolError as error:
            note(f"Warning: {client.folder.name}: {error}")
            if getattr(error, "code", "") != "unreachable":
                failure = failure or error
    if failure is not None:
        raise failure


async def take_listed(
    taker: Taker, found: Found, version: ListedVersion, into: str | None, *, allow_stale: bool = False
) -> BundleTaken:
    """Download a listed bundle and take it in; nothing of the file stays.

    Raises:
        MarketError: By which rule it is not taken.
    """
    client = found.client
    client.check_fresh(allow_stale=allow_stale)
    stale = client.stale()
    if stale:
        words = STALE.format(found.registry)
        taker.note(f"WARNING: {words[0].lower()}{words[1:]}")

    def offer_of(signed: Signed) -> Offer:
        check_listed(signed, found.slot, version)
        return Offer.of(signed, registry=found.registry, stale=stale)

    target = download_place(taker.home, found.slot.name)

    def download(tell: Callable[[int], None]) -> None:
        client.download(found.slot, version, target, allow_stale=allow_stale, tell=tell)

    stage = f"Fetching {found.slot.name}"
    taker.tell(stage, 0.0)
    try:
        await telling_thread(download, lambda count: taker.tell(stage, count / version.length))
        kept = await take_in(taker, target, into, offer_of)
    finally:
        target.unlink(missing_ok=True)
    if kept.version is not None:
        _follow(taker, found)
    return kept


async def take_in(
    taker: Taker, file: Path, into: str | None, offer_of: Callable[[Signed], Offer] = Offer.of
) -> BundleTaken:
    """Take a version out of a bundle, wherever the file came from.

    Args:
        taker: Who takes it.
        file: The bundle.
        into: The slot that keeps it; None: its own name.
        offer_of: Says what a verified manifest is to the trust store.

    Raises:
        MarketError: By which rule it is not taken.
    """
    store, offer = taker.trust, offer_of(read_verified(file))
    store.remember(origin for _, origin in await origins(taker.ask))
    confirmed = await _agreed(taker, offer, store)

    def trust(signed: Signed) -> None:
        store.check(offer_of(signed), confirmed=confirmed)

    def remember(kept: BundleTaken) -> None:
        if kept.version is not None:
            store.accept(offer, confirmed=confirmed)

    def stopped(kept: BundleTaken) -> None:
        remember(kept)
        taker.stopped(kept)

    taker.tell("Checking it", 0.0)
    async with in_thread(checked(file, taker.home, trust)) as found:
        for line in weight_lines(found):
            taker.note(line)
        card, offer = found.manifest.card, offer_of(found.signed)
        request = TakeBundle(
            folder=str(found.folder),
            base=found.manifest.predicate.base.fingerprint,
            origin=offer.origin,
            into=await place(taker.ask, into, offer.origin),
            title=card.title,
            system_prompt=card.system_prompt or "",
        )
        taker.tell("Trying it at the gates", 0.0)
        kept = await until_stopped(taker.ask, request, stopped)
        remember(kept)
    return kept


def checked(file: Path, home: Home, trust: Trust) -> AbstractContextManager[Taken]:
    """Check a bundle against the bases of a profile and give what is in it, until the block ends."""
    return taken(file, home.quarantine, trust=trust, find_base=bases_here(home))


def weight_lines(found: Taken) -> list[str]:
    """Return what is said of the weights in a bundle."""
    fits = "It fits its base, which is here." if found.fits else "Its base is not here, so that it could not be fitted."
    return [fits, scan_words(found.scan)]


async def place(ask: Ask, wanted: str | None, origin: BundleOrigin) -> str:
    """Return the slot that keeps a bundle: one that is here, by name or title, or one to be made.

    Raises:
        UsageError: If none was named, and the slot of its name is one of the user's own.
    """
    name = wanted or origin.slot
    for slot in await ask(ListSlots(archived=True)):
        if name.casefold() not in (slot.name, slot.title.casefold() if wanted else slot.name):
            continue
        came = [one for row in await ask(ListVersions(slot=slot.name)) for one in row.origins]
        if wanted is None and all((one.publisher, one.slot) != (origin.publisher, origin.slot) for one in came):
            raise UsageError(f"There is a slot {slot.name} of your own; say which slot shall keep this one (--as).")
        return str(slot.name)
    return name


async def _agreed(taker: Taker, offer: Offer, store: TrustStore) -> str:
    """Return the fingerprint that the user agrees to, where the publisher is new; raise what speaks against it."""
    judgement = store.judge(offer)
    if judgement.refusal is None:
        return ""
    if judgement.refusal.code != "new-publisher":
        store.check(offer)  # which remembers what it refuses
    return await taker.agree(offer, judgement)


def _follow(taker: Taker, found: Found) -> None:
    """Take over the publisher's documents, so that its keys can change later."""
    try:
        taker.trust.meet(found.client.publisher(found.slot.publisher), registry=found.registry)
    except NightSchoolError as error:
        taker.note(f"Warning: {error}")
