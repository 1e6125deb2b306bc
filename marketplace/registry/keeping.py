"""Keeping a registry: begin it, add bundles, revoke, publish, change keys.

``add`` and ``revoke`` change nothing that a reader sees: they lay files beside the others and note in ``pending.json``
what shall be listed. ``publish`` signs that. It writes catalog, targets, snapshot and, last, the timestamp, which is
the one file that is ever replaced and the one that readers begin with: whoever reads, and whenever a publication is cut
off, sees all of the old state or all of the new one. The same command again goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tuf.api.exceptions import RepositoryError

from ...engine.files import held, replacing, storage_errors, sync_folder
from ...schemas.errors import KeyUnusable, NotFound, UsageError
from ...schemas.registry import (
    Catalog,
    CatalogPart,
    ListedPart,
    ListedPublisher,
    ListedSlot,
    ListedVersion,
    RegistryFace,
)
from ...schemas.trust import RevokedKind
from .. import strict_json
from ..bundle.manifest import read_record
from ..keys import PrivateKey
from ..refusals import refuse
from ..trust.key_set import KeySet
from ..trust.publisher import Publisher, Withdrawn, read_publisher
from . import layout, roles
from .records import Pending, RevokedList
from .roles import Roots

MAX_PENDING = 4 << 20

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class State:
    """What is published."""

    version: int
    publishers: dict[str, ListedPublisher]
    slots: list[ListedSlot]
    revoked: RevokedList


class Keeper:
    """One registry folder, as whoever keeps it changes it."""

    def __init__(self, folder: Path, clock: Clock = lambda: datetime.now(UTC)) -> None:
        """Use a folder."""
        self.folder = folder
        self._clock = clock

    # -- beginning and keys -------------------------------------------------------------------------------------------

    def begin(
        self, name: str, title: str, root_keys: KeySet, root_signing: Sequence[PrivateKey], online: PrivateKey
    ) -> RegistryFace:
        """Make an empty registry, published.

        Raises:
            UsageError: If there is one in the folder already.
            KeyUnusable: If too few of the root keys sign.
        """
        with self._locked(make=True):
            if (self.folder / layout.FACE).exists():
                raise UsageError(f"{self.folder} holds a registry already; choose another folder.")
            root = roles.new_root(root_keys, online.public, root_signing, now=self._clock())
            face = read_record(
                RegistryFace,
                {"format": 1, "name": name, "title": title, "root": hashlib.sha256(root).hexdigest()},
            )
            self._put(layout.metadata("root", 1), root)
            self._write(State(1, {}, [], RevokedList(registry=name)), [online])
            self._put(layout.FACE, strict_json.dumps(face.model_dump()))
            return face

    def face(self) -> RegistryFace:
        """Return what the registry calls itself.

        Raises:
            Refused: ``not-a-registry``.
        """
        path = self.folder / layout.FACE
        if not path.is_file():
            raise refuse("not-a-registry", str(self.folder))
        return read_record(RegistryFace, strict_json.loads(self._get(layout.FACE), max_bytes=layout.MAX_FACE))

    def roots(self) -> Roots:
        """Return the root metadata that counts, followed from the first.

        Raises:
            Refused: ``registry-signature``, if one is not signed as it must be.
        """
        found: Roots | None = None
        try:
            while (self.folder / layout.metadata("root", found.version + 1 if found else 1)).is_file():
                found = roles.parse_root(self._get(layout.metadata("root", found.version + 1 if found else 1)), found)
        except RepositoryError as error:
            raise refuse("registry-signature", str(error)[:200]) from error
        if found is None:
            raise refuse("not-a-registry", str(self.folder))
        return found

    def rotate(
        self,
        online: PrivateKey,
        root_signing: Sequence[PrivateKey],
        *,
        root_keys: KeySet | None = None,
        new_online: PrivateKey | None = None,
    ) -> Roots:
        """Change the root keys, the key that signs the rest, or only how long the root is believed.

        What is published is first signed by the old key and the new one, so that it can be read before the new root is
        there and after; the next ``publish`` leaves the old signature out.

        Raises:
            KeyUnusable: If ``online`` is not the key that signs now, or too few root keys sign.
        """
        with self._locked():
            before = self.roots()
            after = new_online or online
            root = roles.new_root(
                root_keys or before.keys, after.public, root_signing, now=self._clock(), before=before
            )
            self._check_online(before, online)
            if new_online is not None:
                state = self.state()
                self._write(replace(state, version=state.version + 1), [online, new_online])
            self._put(layout.metadata("root", before.version + 1), root)
            return self.roots()

    # -- what is listed -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return what is published, from the newest metadata. It is the keeper's own: only its hashes are checked."""
        version = roles.timestamp_version(self._get(layout.TIMESTAMP))
        listed = roles.listed(self._get(layout.metadata("targets", version)))
        catalog = read_record(
            Catalog, strict_json.loads(self._target(layout.CATALOG, listed), max_bytes=layout.MAX_CATALOG)
        )
        revoked = strict_json.loads(self._target(layout.REVOCATIONS, listed), max_bytes=layout.MAX_REVOCATIONS)
        slots = []
        for digits, part in catalog.parts.items():
            data = self._hashed(layout.part(digits, part.sha256), part.sha256)
            slots += read_record(CatalogPart, strict_json.loads(data, max_bytes=layout.MAX_PART)).slots
        slots.sort(key=lambda slot: slot.name)
        return State(version, catalog.publishers, slots, read_record(RevokedList, revoked))

    def pending(self) -> Pending:
        """Return what the next publication shall list besides."""
        path = self.folder / "pending.json"
        if not path.is_file():
            return Pending()
        return read_record(Pending, strict_json.loads(path.read_bytes(), max_bytes=MAX_PENDING))

    def publisher(self, name: str) -> Publisher:
        """Return the newest documents of a publisher that are here, published or not.

        Raises:
            NotFound: If it was not introduced.
        """
        return self._publisher(name, self.state(), self.pending())

    def introduce(self, publisher: Publisher) -> None:
        """Note a publisher's newest documents.

        Raises:
            Refused: ``rollback``, ``equivocation`` or ``key-changed``, if others of this name are known or revoked
                more.
        """
        with self._locked():
            self._introduce(publisher)

    def add(self, file: Path, listed: ListedSlot) -> None:
        """Lay a bundle beside the others and note that it shall be listed; its publisher was introduced.

        Args:
            file: The bundle, checked.
            listed: The slot with this one version.

        Raises:
            NotFound: If its publisher was not introduced.
            Refused: ``taken-name``, ``rollback``, ``equivocation`` or ``revoked``.
        """
        with self._locked():
            state, pending = self.state(), self.pending()
            own = self._publisher(listed.publisher, state, pending).revocations
            gone = (*state.revoked.bundles, *pending.bundles, *(own.bundles if own is not None else ()))
            slots = merged(state.slots, [*pending.slots, listed])
            version = listed.latest
            if version.id in {row.id for row in gone}:
                raise refuse("revoked", f"{listed.name} {version.version}")
            self._copy(file, layout.bundle(listed.name, version.version, version.sha256), version)
            if slots != state.slots:
                self._note(pending.model_copy(update={"slots": [*pending.slots, listed]}))

    def revoke(self, kind: RevokedKind, identifier: str, reason: str) -> None:
        """Note that a key or a bundle must not be used any more."""
        with self._locked():
            pending, field = self.pending(), "keys" if kind is RevokedKind.KEY else "bundles"
            row = read_record(Withdrawn, {"id": identifier, "reason": reason})
            rows = {one.id: one for one in (row, *getattr(pending, field))}
            self._note(pending.model_copy(update={field: [*rows.values()]}))

    def publish(self, online: PrivateKey) -> State:
        """Sign and show what is pending; without anything pending only the time until which it is believed is new.

        Raises:
            KeyUnusable: If ``online`` is not the key that the root metadata names.
        """
        with self._locked():
            self._check_online(self.roots(), online)
            self._sweep()
            state, pending = self.state(), self.pending()
            revoked = RevokedList(
                registry=state.revoked.registry,
                keys=_joined(state.revoked.keys, pending.keys),
                bundles=_joined(state.revoked.bundles, pending.bundles),
            )
            gone = {row.id for row in revoked.bundles}
            slots = without(merged(state.slots, pending.slots), gone)
            publishers = {**state.publishers, **pending.publishers}
            self._write(State(state.version + 1, publishers, slots, revoked), [online])
            with storage_errors(self.folder):
                (self.folder / "pending.json").unlink(missing_ok=True)
                sync_folder(self.folder)
            return self.state()

    # -- files --------------------------------------------------------------------------------------------------------

    def _write(self, state: State, signing: Sequence[PrivateKey]) -> None:
        """Write a publication: parts, catalog, targets, snapshot, and the timestamp last."""
        version, parts = state.version, {}
        for digits, data in catalog_parts(state.slots).items():
            parts[digits] = ListedPart(sha256=hashlib.sha256(data).hexdigest(), length=len(data))
            place = layout.part(digits, parts[digits].sha256)
            if not (self.folder / place).exists():  # one that is there is whole: it was written as all are
                self._put(place, data)
        created = int(self._clock().timestamp())
        registry = state.revoked.registry
        catalog = Catalog(format=1, registry=registry, created=created, publishers=state.publishers, parts=parts)
        files = {
            layout.CATALOG: strict_json.dumps(catalog.model_dump()),
            layout.REVOCATIONS: strict_json.dumps(state.revoked.model_dump()),
        }
        for name, data in files.items():
            self._put(layout.target(name, hashlib.sha256(data).hexdigest()), data)
        targets, snapshot, timestamp = roles.signed_lists(files, version, signing, now=self._clock())
        self._put(layout.metadata("targets", version), targets)
        self._put(layout.metadata("snapshot", version), snapshot)
        self._put(layout.TIMESTAMP, timestamp)

    def _check_online(self, roots: Roots, online: PrivateKey) -> None:
        if online.public != roots.online:
            raise KeyUnusable(
                f"This is not the key that signs this registry ({roots.online.words}); name the right one with --key."
            )

    def _introduce(self, publisher: Publisher) -> None:
        state, pending = self.state(), self.pending()
        known = {**state.publishers, **pending.publishers}.get(publisher.name)
        data = publisher.dump()
        row = ListedPublisher(
            sha256=hashlib.sha256(data).hexdigest(),
            length=len(data),
            seq=publisher.seq,
            fingerprint=publisher.keys.fingerprint,
        )
        if known is not None:
            if publisher.seq < known.seq:
                raise refuse("rollback", f"document {publisher.seq} of {publisher.name} after {known.seq}")
            if publisher.steps[known.seq - 1].fingerprint != known.fingerprint:
                raise refuse("key-changed", publisher.name)
            _check_revocations(self._publisher(publisher.name, state, pending), publisher)
        if row != known:
            self._put(layout.publisher(publisher.name, row.sha256), data)
            self._note(pending.model_copy(update={"publishers": {**pending.publishers, publisher.name: row}}))

    def _publisher(self, name: str, state: State, pending: Pending) -> Publisher:
        listed = {**state.publishers, **pending.publishers}.get(name)
        if listed is None:
            raise NotFound(f"Publisher {name} is not listed here; add its file with `--publisher FILE`.")
        return read_publisher(self._hashed(layout.publisher(name, listed.sha256), listed.sha256))

    def _copy(self, file: Path, place: str, version: ListedVersion) -> None:
        """Copy a bundle to its place, if it still is the one that was checked."""
        target = self._place(place)
        digest = hashlib.sha256()
        with replacing(target) as part, file.open("rb") as stream, part.open("wb") as out:
            while piece := stream.read(1 << 20):
                digest.update(piece)
                out.write(piece)
            if digest.hexdigest() != version.sha256:
                raise refuse("changed")
            part.chmod(0o644)

    def _note(self, pending: Pending) -> None:
        self._put("pending.json", strict_json.dumps(pending.model_dump()))

    def _sweep(self) -> None:
        """Remove what writers left that were killed; the lock is held, so none of them still lives."""
        with storage_errors(self.folder):
            for part in self.folder.rglob(".*.part"):
                part.unlink()

    def _put(self, place: str, data: bytes) -> None:
        """Write a file that everybody may read."""
        with replacing(self._place(place)) as part:
            part.write_bytes(data)
            part.chmod(0o644)

    def _place(self, place: str) -> Path:
        """Return a place whose folder is there, and stays there."""
        path = self.folder / place
        with storage_errors(path):
            missing = [folder for folder in path.parents if not folder.exists()]
            for folder in reversed(missing):
                folder.mkdir(exist_ok=True)
                sync_folder(folder.parent)
        return path

    def _get(self, place: str) -> bytes:
        path = self.folder / place
        with storage_errors(path):
            return path.read_bytes()

    def _target(self, name: str, listed: dict[str, str]) -> bytes:
        if name not in listed:
            raise refuse("registry-metadata", f"it names no {name}")
        return self._hashed(layout.target(name, listed[name]), listed[name])

    def _hashed(self, place: str, sha256: str) -> bytes:
        data = self._get(place)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise refuse("registry-mix", place)
        return data

    @contextmanager
    def _locked(self, *, make: bool = False) -> Iterator[None]:
        if not make:
            self.face()
        busy = f"{self.folder} is being changed by another; wait for its end and try again."
        with held(self.folder / ".lock", busy):
            yield


def catalog_parts(slots: Sequence[ListedSlot]) -> dict[str, bytes]:
    """Return the files that list slots, by their digits; the same slots give the same bytes."""
    found: dict[str, list[ListedSlot]] = {}
    for slot in sorted(slots, key=lambda slot: slot.name):
        found.setdefault(layout.part_of(slot.name), []).append(slot)
    return {
        digits: strict_json.dumps(CatalogPart(format=1, slots=rows).model_dump())
        for digits, rows in sorted(found.items())
    }


def merged(slots: Sequence[ListedSlot], more: Sequence[ListedSlot]) -> list[ListedSlot]:
    """Return slots with more versions, by name; what is listed already is not listed twice.

    Raises:
        Refused: ``taken-name``, ``rollback`` or ``equivocation``.
    """
    found = {slot.name: slot for slot in slots}
    for slot in more:
        known, new = found.get(slot.name), slot.latest
        if known is None:
            found[slot.name] = slot
            continue
        if known.publisher != slot.publisher:
            raise refuse("taken-name", f"{slot.name} is of {known.publisher}")
        if any(version.id == new.id for version in known.versions):
            continue
        if any(new.seq == version.seq or new.version == version.version for version in known.versions):
            raise refuse("equivocation", f"{slot.name} {new.version}, number {new.seq}")
        if new.seq < known.latest.seq:
            raise refuse("rollback", f"number {new.seq} of {slot.name} after number {known.latest.seq}")
        found[slot.name] = slot.model_copy(update={"versions": [new, *known.versions]})
    return sorted(found.values(), key=lambda slot: slot.name)


def without(slots: Sequence[ListedSlot], gone: set[str]) -> list[ListedSlot]:
    """Return slots without the versions of the given ids; a slot that has no other is not listed."""
    kept = []
    for slot in slots:
        versions = [version for version in slot.versions if version.id not in gone]
        if versions:
            kept.append(slot.model_copy(update={"versions": versions}))
    return kept


def _check_revocations(before: Publisher, after: Publisher) -> None:
    """Refuse documents of a publisher that take back what it revoked, or have another list of the same number."""
    old, new = before.revocations, after.revocations
    if old is None or (new is not None and new.seq > old.seq):
        return
    if new is None or new.seq < old.seq:
        raise refuse("rollback", f"what {after.name} revoked, after list {old.seq} of it")
    if new != old:
        raise refuse("equivocation", f"list {new.seq} of what {after.name} revoked")


def _joined(before: Sequence[Withdrawn], more: Sequence[Withdrawn]) -> list[Withdrawn]:
    known = {row.id for row in before}
    return [*before, *(row for row in more if row.id not in known)]
