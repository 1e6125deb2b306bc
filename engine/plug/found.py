"""Which plugins are installed, read from the metadata of their distributions: nothing of them is imported."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import metadata

from ... import __version__

GROUP = "nightschool"
"""The group of entry points that make a distribution a plugin."""

_OURS = re.compile(r"\s*nightschool(?![\w.-])", re.IGNORECASE)
"""The beginning of a requirement of Night School itself."""


@dataclass(frozen=True)
class Package:
    """A distribution with entry points of ours.

    Attributes:
        name: Normalised, as packaging compares names.
        version: Its own.
        summary: One line of its author's.
        points: What is loaded of it.
        sha256: Of its RECORD, the list of its files with their hashes.
        unfit: Why this Night School is not one that it says it needs; empty: it is.
    """

    name: str
    version: str
    summary: str
    points: tuple[metadata.EntryPoint, ...]
    sha256: str
    unfit: str


def find_packages() -> list[Package]:
    """Return the installed plugins, by name."""
    points: dict[str, list[metadata.EntryPoint]] = {}
    dists: dict[str, metadata.Distribution] = {}
    for point in metadata.entry_points(group=GROUP):
        dist = point.dist
        if dist is not None:
            name = normal(dist.name or "")
            dists.setdefault(name, dist)
            points.setdefault(name, []).append(point)
    return [_package(name, dists[name], points[name]) for name in sorted(dists)]


def find_package(name: str) -> Package | None:
    """Return the installed plugin of a distribution's name, or None."""
    return next((package for package in find_packages() if package.name == normal(name)), None)


def normal(name: str) -> str:
    """Return a distribution's name as packaging compares it: case and the kind of separator do not matter."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _package(name: str, dist: metadata.Distribution, points: list[metadata.EntryPoint]) -> Package:
    ordered = tuple(sorted(points, key=lambda point: point.name))
    return Package(name, dist.version or "", dist.metadata["Summary"] or "", ordered, _digest(dist), _unfit(dist))


def _digest(dist: metadata.Distribution) -> str:
    """Return what tells two installations apart; where there is no RECORD (pip always writes one), the metadata."""
    files = [dist.read_text("RECORD")]
    if files == [None]:
        files = [dist.read_text("METADATA"), dist.read_text("entry_points.txt")]
    return hashlib.sha256("\0".join(text or "" for text in files).encode()).hexdigest()


def _unfit(dist: metadata.Distribution) -> str:
    """Return why a distribution is not for this Night School; what else it needs was pip's to see to."""
    ours = [line for line in dist.requires or () if _OURS.match(line)]
    if not ours:
        return ""
    from packaging.requirements import InvalidRequirement, Requirement

    for line in ours:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            return f"Its metadata asks for {line!r}, which cannot be read; tell its author."
        applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        fits = wanted.specifier.contains(__version__, prereleases=True)
        if applies and not fits:
            return f"It was written for nightschool {wanted.specifier}, this is {__version__}; update it."
    return ""
