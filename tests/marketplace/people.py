"""Publishers of the tests, and bundles as the trust store sees them. Keys are made of numbers: runs are alike."""

from __future__ import annotations

import hashlib

from nightschool.marketplace.keys import PrivateKey
from nightschool.marketplace.trust.judging import Offer
from nightschool.marketplace.trust.key_set import KeySet
from nightschool.marketplace.trust.publisher import begin
from nightschool.schemas.records import BundleOrigin


def key(number):
    return PrivateKey.from_raw(number.to_bytes(32, "big"))


def keys(*numbers):
    return [key(number) for number in numbers]


def key_set(*numbers, threshold=1):
    return KeySet.of([one.public for one in keys(*numbers)], threshold)


def publisher(name="ada", numbers=(1,), threshold=1):
    return begin(name, key_set(*numbers, threshold=threshold), keys(*numbers), created=1)


def identity(text):
    return hashlib.sha256(text.encode()).hexdigest()


def offer(
    name="ada", slot="poet", seq=1, text="", *, numbers=(1,), threshold=1, signers=None, registry="", stale=False
):
    """A bundle as the trust store sees it; ``signers`` are all of its keys where nothing else is said."""
    signed = numbers if signers is None else signers
    origin = BundleOrigin(
        id=identity(f"{name} {slot} {seq} {text}"),
        publisher=name,
        slot=slot,
        version=f"1.{seq}.0",
        seq=seq,
        signers=[one.public.fingerprint for one in keys(*signed)],
        threshold=threshold,
    )
    return Offer(origin, key_set(*numbers, threshold=threshold), registry=registry, stale=stale)
