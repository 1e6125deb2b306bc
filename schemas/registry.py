"""What a registry says: its face, and the catalog of what it lists; docs/registry.md.

Closed records, like those of a bundle. The catalog is signed by the registry, each bundle by its publisher besides.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .bundle import TITLE, Count, Format, Line, Moment, Part, Semver, Sha256, Size, SlotName, Tag, Word

PublisherName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Licence = Annotated[str, Field(pattern=r"^[A-Za-z0-9.+-]{1,64}( (AND|OR|WITH) [A-Za-z0-9.+-]{1,64}){0,8}$")]


class RegistryFace(Part):
    """``registry.json``: what a registry calls itself. Nobody signs it; the fingerprint is to be compared."""

    format: Format
    name: PublisherName
    title: str = Field(min_length=1, max_length=80, pattern=TITLE)
    root: Sha256 = Field(description="sha256 of metadata/1.root.json.")


class ListedBase(Part):
    """The base that a slot is for."""

    id: Line
    fingerprint: Sha256
    arch: Word


class ListedVersion(Part):
    """One version: which file it is, and what may differ from another version."""

    version: Semver
    seq: int = Field(ge=1, le=1 << 48)
    id: Sha256 = Field(description="Of what its publisher signed.")
    sha256: Sha256 = Field(description="Of the file.")
    length: Size
    created: Moment
    license: Licence
    base: ListedBase
    rank: int = Field(ge=1, le=256)
    verdict: Literal["nothing-found", "review"]


class ListedSlot(Part):
    """A slot, as its newest version describes it, and its versions, the newest first."""

    name: SlotName
    publisher: PublisherName
    title: str = Field(min_length=1, max_length=80, pattern=TITLE)
    summary: Line
    tags: list[Tag] = Field(max_length=16)
    language: list[Annotated[str, Field(max_length=40)]] = Field(max_length=16)
    versions: list[ListedVersion] = Field(min_length=1, max_length=1000)

    @property
    def latest(self) -> ListedVersion:
        """The newest."""
        return self.versions[0]


class ListedPublisher(Part):
    """A publisher's file."""

    sha256: Sha256
    length: Annotated[int, Field(ge=1, le=1 << 20)]
    seq: int = Field(ge=1, le=65)
    fingerprint: Sha256 = Field(description="Of its keys now.")


class ListedPart(Part):
    """A file with a part of the slots."""

    sha256: Sha256
    length: Annotated[int, Field(ge=1, le=4 << 20)]


class CatalogPart(Part):
    """A part of what is listed: the slots whose name has a hash that begins alike."""

    format: Format
    slots: list[ListedSlot]


class Catalog(Part):
    """All that a registry lists: publishers, and the files that list its slots, by the first two digits of a hash."""

    format: Format
    registry: PublisherName
    created: Count
    publishers: dict[PublisherName, ListedPublisher]
    parts: dict[Annotated[str, Field(pattern=r"^[0-9a-f]{2}$")], ListedPart]
