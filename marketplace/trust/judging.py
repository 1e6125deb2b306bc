"""How a bundle stands with what is known of its publisher: decided from records alone, without files or clocks.

The order is that of severity: what is revoked is so whoever signed it; then whose keys these are; then whether the
publisher goes back on what it said before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ...schemas.errors import MarketError
from ...schemas.records import BundleOrigin
from ...schemas.trust import RevocationFile
from ..bundle.manifest import Signed, public_keys
from ..refusals import refuse
from .key_set import KeySet
from .publisher import NAME, Publisher
from .records import Pin, Seen, State, Step


@dataclass(frozen=True)
class Offer:
    """A bundle whose signatures fit the keys that it names itself.

    Attributes:
        registry: Which lists it; empty: it is a file alone.
        stale: What that registry says is too old.
    """

    origin: BundleOrigin
    keys: KeySet
    registry: str = ""
    stale: bool = False

    @classmethod
    def of(cls, signed: Signed, *, registry: str = "", stale: bool = False) -> Offer:
        """Return the offer that a verified manifest makes.

        Raises:
            Refused: If its publisher's keys cannot be.
        """
        slot, publisher = signed.manifest.slot, signed.manifest.publisher
        if not re.fullmatch(NAME, publisher.name):
            raise refuse("publisher", "its name has other characters than a-z, 0-9 and hyphens")
        origin = BundleOrigin(
            id=signed.id,
            publisher=publisher.name,
            slot=slot.name,
            version=slot.version,
            seq=slot.seq,
            signers=[key.fingerprint for key in signed.signers],
            threshold=publisher.threshold,
        )
        return cls(origin, KeySet.of(public_keys(publisher), publisher.threshold), registry, stale)


@dataclass(frozen=True)
class Judgement:
    """How a bundle stands.

    Attributes:
        refusal: Why it cannot be taken as it is; None: it can.
    """

    state: State
    sentence: str
    refusal: MarketError | None = field(default=None, compare=False)


def judge(offer: Offer, pin: Pin | None, revocations: RevocationFile) -> Judgement:
    """Return how a bundle stands with what is known."""
    origin = offer.origin
    if not origin.signers:
        return _refused(State.UNSIGNED, refuse("unsigned"))
    revocation = revocations.against(origin)
    if revocation is not None:
        return _refused(State.REVOKED, refuse("revoked", f"by {revocation.by}: {revocation.reason}"))
    if pin is None:
        told = refuse("new-publisher", f"{origin.publisher}: {offer.keys.words}")
        return _refused(State.NEW, told)
    refusal = _keys_refused(offer, pin)
    if refusal is not None:
        return _refused(State.CHANGED, refusal)
    refusal = _goes_back(offer, pin)
    if refusal is not None:
        return _refused(State.BACK, refusal)
    sentence = f"Signed by {origin.publisher}, whose keys are pinned."
    if offer.stale:
        sentence += f" What the registry {offer.registry} says of it is too old to be sure."
    return Judgement(State.STALE if offer.stale else State.VERIFIED, sentence)


def follow(known: Pin | None, publisher: Publisher) -> Pin | None:
    """Return a pin with the newest keys of its publisher; None where there is none yet.

    Raises:
        Refused: ``key-changed``, if the pinned keys are not among those of its documents; ``rollback``, if the
            documents end before what is known; ``equivocation``, if there are two of one number.
    """
    if known is None:
        return None
    steps = list(publisher.steps)
    pinned = known.keys
    if publisher.seq < known.seq:
        raise refuse("rollback", f"document {publisher.seq} of {known.name} after {known.seq}")
    if known.seq and steps[known.seq - 1] != pinned:
        raise refuse("equivocation", f"document {known.seq} of {known.name}")
    if pinned not in steps:
        raise refuse("key-changed", f"{known.name}: {pinned.words} is pinned, {publisher.keys.words} came")
    return known.model_copy(update={"steps": [Step.of(step) for step in steps], "seq": publisher.seq})


def raised(pin: Pin, origin: BundleOrigin) -> Pin:
    """Return a pin that knows a bundle as taken, if its keys signed it and nothing newer of that slot is known."""
    known, own = pin.highest.get(origin.slot), {key.fingerprint for step in pin.steps for key in step.key_set().keys}
    if not own.issuperset(origin.signers) or (known is not None and known.seq >= origin.seq):
        return pin
    return pin.model_copy(update={"highest": {**pin.highest, origin.slot: Seen.of(origin)}})


def _keys_refused(offer: Offer, pin: Pin) -> MarketError | None:
    """Return why a bundle's keys are not those of its publisher."""
    if offer.keys == pin.keys:
        return None
    known = pin.highest.get(offer.origin.slot)
    retired = any(step.key_set() == offer.keys for step in pin.steps[:-1])
    if not retired:
        return refuse("key-changed", f"{pin.name}: {pin.keys.words} is pinned, {offer.keys.words} signed this")
    if offer.registry or (known is not None and known.id == offer.origin.id):
        return None
    return refuse("key-retired", pin.name)


def _goes_back(offer: Offer, pin: Pin) -> MarketError | None:
    origin, known = offer.origin, pin.highest.get(offer.origin.slot)
    if known is None or origin.seq > known.seq:
        return None
    if origin.seq < known.seq:
        return refuse("rollback", f"number {origin.seq} of {origin.slot} after number {known.seq}")
    if origin.id != known.id:
        return refuse("equivocation", f"number {origin.seq} of {origin.slot}")
    return None


def _refused(state: State, refusal: MarketError) -> Judgement:
    return Judgement(state, str(refusal), refusal)
