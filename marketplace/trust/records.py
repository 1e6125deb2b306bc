"""What a profile remembers of publishers, in ``trust/pins.json``."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from ...schemas.records import BundleOrigin, Record
from ..keys import PublicKey
from .key_set import KeySet


class State(StrEnum):
    """How a bundle and its publisher stand, in the words that people see."""

    VERIFIED = "Verified"
    NEW = "New publisher"
    CHANGED = "Key changed"
    UNSIGNED = "Unsigned"
    REVOKED = "Revoked"
    BACK = "Goes back"
    STALE = "Stale registry"


class Step(Record):
    """Keys that a publisher had at some time, as documents hold them, and how many must sign."""

    keys: list[dict[str, str]]
    threshold: int

    def key_set(self) -> KeySet:
        """Return them as keys."""
        return KeySet.of(map(PublicKey.from_facts, self.keys), self.threshold)

    @classmethod
    def of(cls, keys: KeySet) -> Step:
        """Return keys as they are kept."""
        return cls(keys=[key.facts() for key in keys.keys], threshold=keys.threshold)


class Seen(Record):
    """The newest that was taken of a slot of a publisher."""

    seq: int
    id: str
    version: str

    @classmethod
    def of(cls, origin: BundleOrigin) -> Seen:
        """Return a bundle as it is remembered."""
        return cls(seq=origin.seq, id=origin.id, version=origin.version)


class Pin(Record):
    """A publisher that was met and confirmed. Its name is what it is found by."""

    name: str
    steps: list[Step] = Field(description="Its keys over time, as far as they are known; the last ones count.")
    seq: int = Field(default=0, description="Number of its last document; 0: only bundles of it were seen.")
    first_seen: float
    registry: str = Field(default="", description="Where it was met; empty: in a file.")
    highest: dict[str, Seen] = Field(default_factory=dict, description="By slot.")
    hold: list[str] = Field(default_factory=list, description="Slots that are not updated.")

    @property
    def keys(self) -> KeySet:
        """Those that count now."""
        return self.steps[-1].key_set()


class Incident(Record):
    """Something that was refused and is worth to be remembered."""

    at: float
    code: str
    publisher: str
    text: str


class PinFile(Record):
    """All of it."""

    format: int = 1
    pins: dict[str, Pin] = Field(default_factory=dict)
    incidents: list[Incident] = Field(default_factory=list)
