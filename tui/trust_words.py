"""How a publisher that was met stands, in words; the command line and the app say the same."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ..marketplace.trust.records import Pin, State
from .safe_text import one_line

if TYPE_CHECKING:
    from ..schemas.trust import RevocationFile


def pin_state(pin: Pin, revoked: RevocationFile, listed: Collection[str]) -> tuple[State, str]:
    """Return how a publisher stands, in a state and a sentence.

    Args:
        pin: What is remembered of it.
        revoked: What must not be used any more.
        listed: Fingerprints of the keys that registries list of it now.
    """
    gone = {row.id for row in revoked.revocations if row.publisher in ("", pin.name)}
    left = [key for key in pin.keys.keys if key.fingerprint not in gone]
    if len(left) < pin.keys.threshold:
        return State.REVOKED, "Too many of its keys were revoked: nothing that only they signed is taken."
    if listed and pin.keys.fingerprint not in listed:
        return (
            State.CHANGED,
            "A registry lists other keys of it, which do not count here before they follow from these.",
        )
    return State.VERIFIED, "Its keys are pinned; only what they sign is taken."


def key_lines(pin: Pin, listed: Collection[str] = ()) -> list[str]:
    """Return the keys of a publisher in words and digits, how they changed, and what was taken of it."""
    keys = pin.keys
    lines = [
        f"pinned    {keys.words}",
        keys.fingerprint,
        f"sign      {keys.threshold} of {len(keys.keys)}, document {pin.seq or 'none was read'}",
    ]
    for place, key in enumerate(keys.keys, start=1):
        lines += [f"key {place:<5} {key.words}", key.fingerprint]
    for place, step in enumerate(pin.steps[:-1], start=1):
        before = step.key_set()
        lines += [f"before    {before.words} (document {place})", before.fingerprint]
    for other in sorted(listed):
        lines += ["listed    other keys than what is pinned", other] if other != keys.fingerprint else []
    taken = [f"{slot} {seen.version}" for slot, seen in sorted(pin.highest.items())]
    lines += [f"taken     {one_line(', '.join(taken), 400)}"] if taken else []
    lines += [f"held      {one_line(', '.join(pin.hold), 400)}"] if pin.hold else []
    return lines
