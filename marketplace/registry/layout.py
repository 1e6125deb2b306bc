"""Where everything of a registry lies, below its folder or its address. No file but ``timestamp.json`` ever changes.

    registry.json                                       what it calls itself
    metadata/N.root.json  N.snapshot.json  N.targets.json  timestamp.json        TUF, with consistent snapshots
    targets/catalog/<sha256>.catalog.json               publishers and parts, with sha256 and length of each file
    targets/catalog/<sha256>.part-<xx>.json             slots and their bundles, with sha256 and length of each file
    targets/revocations/<sha256>.revocations.json
    targets/publishers/<sha256>.<name>.json
    targets/slots/<name>/<sha256>.<name>-<version>.slot

TUF's own metadata lists the catalog and the revocations alone; the catalog lists the rest. So what a reader checks on
each refresh stays a few kilobytes, however many bundles there are, and one new bundle changes one part of 256.
"""

from __future__ import annotations

import hashlib

FACE = "registry.json"
TIMESTAMP = "metadata/timestamp.json"
CATALOG = "catalog/catalog.json"
REVOCATIONS = "revocations/revocations.json"
"""As TUF names them; ``target`` gives the place."""

MAX_FACE = 4096
MAX_CATALOG = 4 << 20
MAX_PART = 4 << 20
MAX_REVOCATIONS = 4 << 20


def metadata(role: str, version: int) -> str:
    """Return where a version of a role's metadata lies."""
    return f"metadata/{version}.{role}.json"


def target(name: str, sha256: str) -> str:
    """Return where a target lies."""
    folder, slash, base = name.rpartition("/")
    return f"targets/{folder}{slash}{sha256}.{base}"


def part_of(slot: str) -> str:
    """Return which part lists a slot."""
    return hashlib.sha256(slot.encode()).hexdigest()[:2]


def part(digits: str, sha256: str) -> str:
    """Return where a part of the catalog lies."""
    return target(f"catalog/part-{digits}.json", sha256)


def publisher(name: str, sha256: str) -> str:
    """Return where a publisher's file lies."""
    return target(f"publishers/{name}.json", sha256)


def bundle(slot: str, version: str, sha256: str) -> str:
    """Return where a bundle lies."""
    return target(f"slots/{slot}/{slot}-{version}.slot", sha256)
