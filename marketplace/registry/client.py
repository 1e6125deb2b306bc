"""A registry as one profile reads it: refresh, search, look at a card, download. Nothing is believed unverified.

    registries/<name>/source.json              where it is, and its fingerprint
    registries/<name>/root.json                the root metadata that was confirmed when it was first met
    registries/<name>/tuf/                     the newest metadata that was seen; python-tuf's
    registries/<name>/index-<sha256>.txt       the newest catalog that was verified, see index.py
    registries/<name>/state.json               which that is, when it was read, until when it is believed

What was read once can be searched offline, and when it is stale; only installing asks for fresh metadata.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from ...engine.files import held, storage_errors, sync_folder, write_atomic
from ...schemas.errors import Damaged, MarketError, NotFound, UsageError
from ...schemas.records import Record
from ...schemas.registry import Catalog, CatalogPart, ListedPublisher, ListedSlot, ListedVersion, RegistryFace
from ...schemas.trust import Revocation, RevokedKind
from .. import strict_json
from ..bundle import limits
from ..bundle.manifest import Signed, read_record, verified
from ..bundle.reading import manifest_member
from ..keys import words_of
from ..refusals import refuse
from ..trust.publisher import MAX_FILE, Publisher, read_publisher
from ..trust.store import TrustStore
from . import layout
from .index import Index, line_of, parse_index
from .records import RevokedList
from .source import Folder, Missing, Source, Wanted, download, read_all, read_checked, read_listed

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
LOCK_SECONDS = 30.0
_MAX_ROOT = 512_000

R = TypeVar("R", bound=BaseModel)


class Known(Record):
    """A registry that was met: where it is, what it calls itself, the fingerprint that was confirmed."""

    name: str
    address: str
    title: str
    fingerprint: str
    added: float

    @property
    def words(self) -> str:
        """The fingerprint in six words."""
        return words_of(self.fingerprint)


class Fetched(Record):
    """What was last read of a registry."""

    catalog: str = Field(description="sha256 of the catalog.")
    index: str = Field(description="sha256 of what is kept of it.")
    refreshed: float
    expires: float
    version: int
    followed: dict[str, str] = Field(
        default_factory=dict, description="By pinned publisher: its file that was last followed; empty: none is listed."
    )

    def stale(self, now: float) -> bool:
        """Whether it is too old to install from."""
        return now >= self.expires


@dataclass(frozen=True)
class Refreshed:
    """How a refresh ended.

    Attributes:
        changed: Whether the catalog is another than before.
        revoked: How many revocations were new.
        warnings: What the registry says of pinned publishers, and was not believed.
    """

    fetched: Fetched
    changed: bool
    revoked: int
    warnings: tuple[MarketError, ...]


def open_source(address: str) -> Source:
    """Return where a registry is read from: a web site, or a folder.

    Raises:
        UsageError: If it is neither.
    """
    if address.startswith(("http://", "https://")):
        from .site import Site

        return Site(address)
    if "://" in address:
        raise UsageError(f"{address} is no address of a registry; give a folder, or http(s)://host/path.")
    return Folder(Path(address).expanduser().resolve())


def look(address: str) -> tuple[RegistryFace, bytes]:
    """Return what a registry calls itself, and its first root metadata; nothing is kept. The user must confirm both.

    Raises:
        Refused: ``not-a-registry``, or by a rule of transport.
        Unchecked: ``unreachable``.
    """
    source = open_source(address)
    try:
        data = read_all(source, layout.FACE, layout.MAX_FACE)
        root = read_all(source, layout.metadata("root", 1), _MAX_ROOT)
    except Missing as error:
        raise refuse("not-a-registry", address) from error
    face = read_record(RegistryFace, strict_json.loads(data, max_bytes=layout.MAX_FACE))
    if hashlib.sha256(root).hexdigest() != face.root:
        raise refuse("registry-mix", layout.metadata("root", 1))
    return face, root


class Client:
    """One registry that a profile reads."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Use the folder of a registry that was met; see ``meet`` and ``known``."""
        self.folder = folder
        self._clock = clock
        self._index: tuple[str, Index] | None = None

    # -- meeting ------------------------------------------------------------------------------------------------------

    @classmethod
    def meet(
        cls,
        registries: Path,
        address: str,
        *,
        name: str = "",
        confirmed: str,
        clock: Callable[[], float] = time.time,
    ) -> Client:
        """Remember a registry, if ``confirmed`` is its fingerprint.

        Raises:
            NotConfirmed: ``new-registry``, with the fingerprint, if it is not.
            UsageError: If the name is none, or taken.
            Refused, Unchecked: As ``look``.
        """
        face, root = look(address)
        name = name or face.name
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name; use a-z, 0-9 and hyphens.")
        if confirmed.lower().replace(" ", "") not in (face.root, words_of(face.root).replace(" ", "")):
            raise refuse("new-registry", f"{face.title} at {address}: {words_of(face.root)}, {face.root}")
        made = cls(registries / name, clock)
        if (made.folder / "source.json").exists():
            raise UsageError(f"There is a registry {name} already; give another name with --name.")
        place = address if "://" in address else open_source(address).address
        known = Known(name=name, address=place, title=face.title, fingerprint=face.root, added=clock())
        with storage_errors(made.folder):
            made.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(made.folder / "root.json", root)
        write_atomic(made.folder / "source.json", known.model_dump_json(indent=1))
        return made

    def forget(self) -> None:
        """Forget the registry. What was installed from it, and what it revoked, stays."""
        with self._locked():
            (self.folder / "source.json").unlink()
            sync_folder(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def known(self) -> Known:
        """Return where it is and what it is called.

        Raises:
            NotFound: If it was never met.
        """
        found = self._read(Known, "source.json")
        if found is None:
            raise NotFound(f"There is no registry {self.folder.name}; add one with `nightschool market add ADDRESS`.")
        return found

    # -- reading ------------------------------------------------------------------------------------------------------

    def refresh(self, trust: TrustStore, source: Source | None = None) -> Refreshed:
        """Read what is new: metadata, catalog, revocations, and the documents of publishers that are pinned.

        A stale registry is read all the same; ``fetched.stale`` says so.

        Raises:
            Refused: If what it says is not to be believed; what was known before stays.
            Unchecked: ``unreachable``.
        """
        from .updating import update

        known = self.known()
        source = source or open_source(known.address)
        with self._locked():
            with storage_errors(self.folder):
                root = (self.folder / "root.json").read_bytes()
            if hashlib.sha256(root).hexdigest() != known.fingerprint:
                raise Damaged(f"{self.folder} does not read back; forget the registry {known.name} and add it again.")
            now = self._clock()
            found = update(source, self.folder / "tuf", root, now=datetime.fromtimestamp(now, UTC))
            target = found.revocations
            if target.length > layout.MAX_REVOCATIONS:
                raise refuse("too-long", f"revocations of {target.length} bytes, at most {layout.MAX_REVOCATIONS}")
            data = read_checked(source, layout.target(layout.REVOCATIONS, target.sha256), target)
            revoked = trust.revoke(self._revocations(data, now))
            before = self._state()
            changed = before is None or before.catalog != found.catalog.sha256
            index = self._take_catalog(source, found.catalog) if changed or before is None else before.index
            followed, warnings = self._follow(source, trust, {} if before is None else before.followed, changed=changed)
            fetched = Fetched(
                catalog=found.catalog.sha256,
                index=index,
                refreshed=now,
                expires=found.expires,
                version=found.version,
                followed=followed,
            )
            write_atomic(self.folder / "state.json", fetched.model_dump_json(indent=1))
            self._sweep(index)
            return Refreshed(fetched, changed, revoked, tuple(warnings))

    def fetched(self) -> Fetched:
        """Return what was last read.

        Raises:
            NotFound: If it was never refreshed.
        """
        found = self._state()
        if found is None:
            raise NotFound(f"The registry {self.folder.name} was never read; run `nightschool market refresh`.")
        return found

    def stale(self) -> bool:
        """Whether what was last read is too old to install from."""
        return self.fetched().stale(self._clock())

    def check_fresh(self, *, allow_stale: bool = False) -> None:
        """Refuse to install from what is too old, unless the user insists.

        Raises:
            RegistryStale: ``stale``.
        """
        fetched = self.fetched()
        if fetched.stale(self._clock()) and not allow_stale:
            until = f"{datetime.fromtimestamp(fetched.expires, UTC):%Y-%m-%d}"
            raise refuse("stale", f"{self.folder.name} was to be believed until {until}")

    def index(self) -> Index:
        """Return the newest catalog that was verified.

        Raises:
            NotFound: If it was never refreshed.
            Damaged: If the copy is not the one that was verified.
        """
        return self._open_index(self.fetched().index)

    def slot(self, name: str) -> ListedSlot:
        """Return what is listed of a slot.

        Raises:
            NotFound: If there is none of this name.
        """
        found = self.index().slot(name)
        if found is None:
            raise NotFound(f"The registry {self.folder.name} lists no {name}; look with `nightschool market search`.")
        return found

    def manifest(self, slot: ListedSlot, version: ListedVersion, source: Source | None = None) -> Signed:
        """Return what a bundle says of itself, from its first 257 KiB.

        Raises:
            Refused: ``registry-mix`` or ``listing``, if it is not there or not the bundle that is listed; else as its
                signature and form are.
        """
        source = source or open_source(self.known().address)
        head = b""
        place = layout.bundle(slot.name, version.version, version.sha256)
        for piece in read_listed(source, place, version.length):
            head += piece
            if len(head) >= limits.LISTING:
                break
        signed = verified(manifest_member(head[: limits.LISTING]))
        check_listed(signed, slot, version)
        return signed

    def publisher(self, name: str, source: Source | None = None) -> Publisher:
        """Return a publisher's documents, followed from the first.

        Raises:
            NotFound: If the registry lists no such publisher.
            Refused: If they are not what is listed, or not signed as they must be.
        """
        listed = self.index().publishers.get(name)
        if listed is None:
            raise NotFound(f"The registry {self.folder.name} lists no publisher {name}; look with `market search`.")
        return self._publisher(source or open_source(self.known().address), name, listed)

    def download(
        self,
        slot: ListedSlot,
        version: ListedVersion,
        target: Path,
        *,
        allow_stale: bool = False,
        source: Source | None = None,
        tell: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Write a bundle to a file, as a whole or not at all, if it is exactly the one that is listed.

        Raises:
            RegistryStale: If what the registry says is too old.
            Refused, Unchecked, StorageError: If it cannot be had.
        """
        self.check_fresh(allow_stale=allow_stale)
        place = layout.bundle(slot.name, version.version, version.sha256)
        source = source or open_source(self.known().address)
        download(source, place, Wanted(version.length, version.sha256), target, tell)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _take_catalog(self, source: Source, wanted: Wanted) -> str:
        """Keep the catalog that the metadata names, if all of it reads; return the sha256 of what is kept.

        Parts that are known already are not read again.
        """
        if wanted.length > layout.MAX_CATALOG:
            raise refuse("too-long", f"the catalog has {wanted.length} bytes, at most {layout.MAX_CATALOG}")
        data = read_checked(source, layout.target(layout.CATALOG, wanted.sha256), wanted)
        catalog = read_record(Catalog, strict_json.loads(data, max_bytes=layout.MAX_CATALOG))
        try:
            before = self.index()
        except (NotFound, Damaged):
            before = Index({}, {}, ())
        known, lines = before.by_part(), list[str]()
        for digits, part in catalog.parts.items():
            if before.parts.get(digits) == part.sha256:
                lines += known.get(digits, [])
            else:
                lines += self._part(source, digits, Wanted(part.length, part.sha256))
        parts = {digits: part.sha256 for digits, part in catalog.parts.items()}
        index = Index.made(catalog.publishers, parts, lines)
        kept = index.dump()
        sha256 = hashlib.sha256(kept).hexdigest()
        write_atomic(self._index_file(sha256), kept)
        self._index = sha256, index
        return sha256

    def _part(self, source: Source, digits: str, wanted: Wanted) -> list[str]:
        data = read_checked(source, layout.part(digits, wanted.sha256), wanted)
        slots = read_record(CatalogPart, strict_json.loads(data, max_bytes=layout.MAX_PART)).slots
        if any(layout.part_of(slot.name) != digits for slot in slots) or len({slot.name for slot in slots}) < len(
            slots
        ):
            raise refuse("fields", f"part {digits} lists a slot that is not its own, or one twice")
        return [line_of(slot) for slot in slots]

    def _open_index(self, wanted: str) -> Index:
        if self._index is None or self._index[0] != wanted:
            path = self._index_file(wanted)
            with storage_errors(path):
                data = path.read_bytes() if path.exists() else b""
            if hashlib.sha256(data).hexdigest() != wanted:
                raise Damaged(f"{path} is not the one that was verified; forget the registry and add it again.")
            self._index = wanted, parse_index(data)
        return self._index[1]

    def _revocations(self, data: bytes, now: float) -> list[Revocation]:
        told = read_record(RevokedList, strict_json.loads(data, max_bytes=layout.MAX_REVOCATIONS))
        by = f"registry {self.folder.name}"
        return [
            Revocation(kind=kind, id=row.id, reason=row.reason, by=by, seen=now)
            for kind, rows in ((RevokedKind.KEY, told.keys), (RevokedKind.BUNDLE, told.bundles))
            for row in rows
        ]

    def _follow(
        self, source: Source, trust: TrustStore, before: dict[str, str], *, changed: bool
    ) -> tuple[dict[str, str], list[MarketError]]:
        """Follow the publishers that are pinned to their newest documents; what is not believed is a warning."""
        pins = {pin.name: pin for pin in trust.pins()}
        pinned = [*pins]
        # One that was forgotten since and met again in a bundle has no documents: they are followed anew.
        before = {name: sha256 for name, sha256 in before.items() if not sha256 or name not in pins or pins[name].seq}
        if not changed and before.keys() >= set(pinned):
            return before, []
        warnings: list[MarketError] = []
        publishers = self._index[1].publishers if self._index else self.index().publishers
        followed: dict[str, str] = {}
        for name in pinned:
            listed = publishers.get(name)
            followed[name] = before.get(name, "")
            if listed is None or followed[name] == listed.sha256:
                continue
            try:
                trust.meet(self._publisher(source, name, listed), registry=self.folder.name)
                followed[name] = listed.sha256
            except MarketError as error:
                warnings.append(error)
                del followed[name]
        return followed, warnings

    def _publisher(self, source: Source, name: str, listed: ListedPublisher) -> Publisher:
        wanted = Wanted(min(listed.length, MAX_FILE), listed.sha256)
        found = read_publisher(read_checked(source, layout.publisher(name, listed.sha256), wanted))
        if found.name != name or found.keys.fingerprint != listed.fingerprint:
            raise refuse("registry-mix", f"publisher {name}")
        return found

    def _state(self) -> Fetched | None:
        return self._read(Fetched, "state.json")

    def _read(self, kind: type[R], name: str) -> R | None:
        path = self.folder / name
        with storage_errors(path):
            if not path.exists():
                return None
            try:
                return kind.model_validate_json(path.read_bytes())
            except ValidationError as error:
                raise Damaged(f"{path} does not read back; forget the registry and add it again.") from error

    def _index_file(self, sha256: str) -> Path:
        return self.folder / f"index-{sha256}.txt"

    def _sweep(self, kept: str) -> None:
        """Remove what is kept of older catalogs, and what a killed refresh left."""
        with storage_errors(self.folder):
            for path in (*self.folder.glob("index-*.txt"), *self.folder.glob(".*.part")):
                if path != self._index_file(kept):
                    path.unlink(missing_ok=True)

    def _locked(self) -> AbstractContextManager[None]:
        busy = f"The registry {self.folder.name} is being read; wait and try again."
        return held(self.folder / ".lock", busy, seconds=LOCK_SECONDS)


def clients(registries: Path, clock: Callable[[], float] = time.time) -> list[Client]:
    """Return the registries that were met, by name."""
    with storage_errors(registries):
        found = sorted(path.parent for path in registries.glob("*/source.json"))
    return [Client(folder, clock) for folder in found]


def check_listed(signed: Signed, slot: ListedSlot, version: ListedVersion) -> None:
    """Refuse a bundle that is another than the one that is listed.

    Raises:
        Refused: ``listing``.
    """
    said = signed.manifest.slot
    given = (signed.id, said.name, said.version, said.seq, signed.manifest.publisher.name)
    if given != (version.id, slot.name, version.version, version.seq, slot.publisher):
        raise refuse("listing", f"{slot.name} {version.version}")
