"""What the marketplace knows of keys and bundles that must not be used any more, and the engine asks at every use.

The marketplace writes the file, the engine reads it: neither needs the other for that.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .records import BundleOrigin, Record

REVOCATIONS = "revocations.json"
"""Name of the file in the folder of the trust store."""


class RevokedKind(StrEnum):
    """What is revoked."""

    KEY = "key"
    BUNDLE = "bundle"


class Revocation(Record):
    """One key or one bundle that must not be used any more. It is never taken back."""

    kind: RevokedKind
    id: str = Field(pattern=r"^[0-9a-f]{64}$", description="Fingerprint of the key, or id of the bundle.")
    reason: str = Field(max_length=500)
    by: str = Field(description="Who says so, in words: `publisher NAME` or `registry NAME`.")
    publisher: str = Field(default="", description="Where one says so: it counts for what is of this publisher alone.")
    seen: float = Field(description="When this profile learned of it.")

    def stops(self, origin: BundleOrigin) -> bool:
        """Whether a bundle is what this is about; a key is for one of its signers, see ``RevocationFile.against``."""
        if self.publisher not in ("", origin.publisher):
            return False
        return self.id == origin.id if self.kind is RevokedKind.BUNDLE else self.id in origin.signers


class RevocationFile(Record):
    """All that were ever seen."""

    format: int = 1
    revocations: tuple[Revocation, ...] = ()

    def against(self, origin: BundleOrigin) -> Revocation | None:
        """Return why a bundle must not be used; None: nothing speaks against it.

        A revoked key takes its signature away; the bundle falls where too few are left.
        """
        found = [revocation for revocation in self.revocations if revocation.stops(origin)]
        for revocation in found:
            if revocation.kind is RevokedKind.BUNDLE:
                return revocation
        left = set(origin.signers) - {revocation.id for revocation in found}
        return found[0] if found and len(left) < origin.threshold else None
