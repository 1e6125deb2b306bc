"""What came from bundles and is here: whether it is whole, whether it still may be used, and how it goes away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..marketplace.trust.records import State
from ..marketplace.trust.store import TrustStore
from ..schemas.errors import NotFound, UsageError
from ..schemas.messages import CheckSlots, ListVersions
from ..schemas.records import VersionKind
from .market import Here, Update, find_again, installed, origins, updates
from .taking import Taker, take_listed

if TYPE_CHECKING:
    from ..engine.paths import Home
    from ..schemas.sharing import BundleTaken
    from .stopping import Ask


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with what is here; ``number`` None: with the slot itself."""

    slot: str
    number: int | None
    repaired: bool
    text: str


@dataclass(frozen=True)
class Verified:
    """What a look at everything found.

    Attributes:
        bytes: Of the files that are whole.
        damaged: What came from a bundle and is damaged.
    """

    files: int
    bytes: int
    problems: tuple[Problem, ...]
    damaged: tuple[Here, ...]


async def verified(ask: Ask, home: Home) -> Verified:
    """Hash everything that is installed again, and look whether any of it was revoked.

    Raises:
        Unchecked: If what was revoked does not read.
    """
    check = await ask(CheckSlots())
    revocations = TrustStore(home.trust).revocations()
    here = await installed(ask)
    problems = [Problem(row.slot, row.number, row.repaired, row.text) for row in check.findings]
    for version, origin in await origins(ask):
        revocation = revocations.against(origin)
        if revocation is not None:
            text = f"{origin.slot} {origin.version} was revoked by {revocation.by}: {revocation.reason}"
            problems.append(Problem(version.slot, version.number, repaired=False, text=text))
    broken = {(row.slot, row.number) for row in check.findings if not row.repaired}
    damaged = tuple(one for one in here if (one.slot, one.version.number) in broken)
    return Verified(check.files, check.bytes, tuple(problems), damaged)


async def take_again(taker: Taker, one: Here, *, allow_stale: bool = False) -> BundleTaken:
    """Take what is damaged again from the registry that lists it: as a new generation, to be activated like any.

    Raises:
        NotFound: If none lists it.
        MarketError: By which rule it is not taken.
    """
    found, version = find_again(taker.home, one.origin)
    return await take_listed(taker, found, version, one.slot, allow_stale=allow_stale)


def newer(home: Home, here: Iterable[Here]) -> list[Update]:
    """Return what is newer than what is here, of what registries said when they were last read; none: there is none."""
    try:
        return updates(home, [*here], TrustStore(home.trust))
    except NotFound:
        return []


def standing(one: Here, trust: TrustStore) -> tuple[State, str]:
    """Return how something that is here stands, in a state and a sentence.

    Raises:
        Unchecked: If what is known of publishers does not read.
    """
    revocation = trust.revocations().against(one.origin)
    if revocation is not None:
        return State.REVOKED, f"Revoked by {revocation.by}: {revocation.reason}. It does not answer any more."
    if trust.pin(one.origin.publisher) is None:
        return State.NEW, f"{one.origin.publisher} was forgotten since; nothing newer comes before it is met again."
    return State.VERIFIED, f"Signed by {one.origin.publisher}, whose keys are pinned."


def held(one: Here, trust: TrustStore) -> bool:
    """Return whether updates leave it out."""
    pin = trust.pin(one.origin.publisher)
    return pin is not None and one.origin.slot in pin.hold


async def check_removable(ask: Ask, one: Here) -> None:
    """Refuse to remove a slot that has learned from the user besides.

    Raises:
        UsageError: If it has.
    """
    foreign = {VersionKind.IMPORT, VersionKind.ROLLBACK, VersionKind.BASE}
    if any(version.kind not in foreign for version in await ask(ListVersions(slot=one.slot))):
        raise UsageError(
            f"Slot {one.slot} has learned from you besides; go back with `nightschool rollback {one.slot}`, or delete "
            f"all of it with `nightschool slots delete {one.slot}`."
        )
