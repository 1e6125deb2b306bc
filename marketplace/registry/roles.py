"""TUF metadata as the keeper of a registry makes it: who may sign what, and what the three signed lists say.

The root keys, of which so many must sign, name the one key that signs all the rest. Root metadata N+1 is signed by the
thresholds of N and of N+1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from ...schemas.errors import KeyUnusable
from ..keys import PrivateKey, PublicKey
from ..refusals import refuse
from ..trust.key_set import KeySet

ROOT_DAYS, TARGETS_DAYS, TIMESTAMP_DAYS = 365, 90, 30
"""How long each is believed. Static sites and sticks are not visited daily: shorter would punish who is offline."""
ONLINE = ("targets", "snapshot", "timestamp")


@dataclass(frozen=True)
class Roots:
    """The root metadata that counts: who may sign the rest, and who may change that."""

    metadata: Metadata[Root]

    @property
    def version(self) -> int:
        """Its number."""
        return self.metadata.signed.version

    @property
    def keys(self) -> KeySet:
        """The root keys, and how many of them must sign."""
        role = self.metadata.signed.roles["root"]
        return KeySet.of((self._key(keyid) for keyid in role.keyids), role.threshold)

    @property
    def online(self) -> PublicKey:
        """The key that signs the rest."""
        (keyid,) = self.metadata.signed.roles["timestamp"].keyids
        return self._key(keyid)

    @property
    def expires(self) -> datetime:
        """Until when it is believed."""
        return self.metadata.signed.expires

    def _key(self, keyid: str) -> PublicKey:
        return PublicKey(bytes.fromhex(self.metadata.signed.keys[keyid].keyval["public"]))


def new_root(
    keys: KeySet, online: PublicKey, signing: Sequence[PrivateKey], *, now: datetime, before: Roots | None = None
) -> bytes:
    """Return root metadata: the first, or the one after ``before``.

    Raises:
        KeyUnusable: If too few of the keys sign, of its own or of those before it.
    """
    root = Root(
        version=before.version + 1 if before else 1,
        expires=now + timedelta(days=ROOT_DAYS),
        consistent_snapshot=True,
    )
    for key in keys.keys:
        root.add_key(_listed(key), "root")
    root.roles["root"].threshold = keys.threshold
    for role in ONLINE:
        root.add_key(_listed(online), role)
    raw = _signed(root, signing)
    try:
        parse_root(raw, before)
    except RepositoryError as error:
        raise KeyUnusable(
            f"Too few root keys sign ({error}); name {keys.threshold} of the new ones"
            + (f" and {before.keys.threshold} of those that count now." if before else ".")
        ) from error
    return raw


def parse_root(raw: bytes, before: Roots | None) -> Roots:
    """Return root metadata that its own keys have signed, and those before it.

    Raises:
        RepositoryError: If they have not.
    """
    metadata = Metadata[Root].from_bytes(raw)
    payload, signatures = metadata.signed_bytes, metadata.signatures
    if before is not None:
        before.metadata.signed.verify_delegate("root", payload, signatures)
        if metadata.signed.version != before.version + 1:
            raise RepositoryError(f"version {metadata.signed.version} comes after {before.version}")
    metadata.signed.verify_delegate("root", payload, signatures)
    return Roots(metadata)


def signed_lists(
    files: Mapping[str, bytes], version: int, signing: Sequence[PrivateKey], *, now: datetime
) -> tuple[bytes, bytes, bytes]:
    """Return targets, snapshot and timestamp metadata of one version for the given files, by TUF's names of them."""
    long, short = now + timedelta(days=TARGETS_DAYS), now + timedelta(days=TIMESTAMP_DAYS)
    targets = Targets(version=version, expires=long)
    for name, data in files.items():
        targets.targets[name] = TargetFile(len(data), {"sha256": hashlib.sha256(data).hexdigest()}, name)
    targets_raw = _signed(targets, signing)
    snapshot = Snapshot(version=version, expires=long)
    snapshot.meta["targets.json"] = _meta(version, targets_raw)
    snapshot_raw = _signed(snapshot, signing)
    timestamp = Timestamp(version=version, expires=short)
    timestamp.snapshot_meta = _meta(version, snapshot_raw)
    return targets_raw, snapshot_raw, _signed(timestamp, signing)


def timestamp_version(raw: bytes) -> int:
    """Return the version of timestamp metadata.

    Raises:
        Refused: ``registry-metadata``.
    """
    try:
        return Metadata[Timestamp].from_bytes(raw).signed.version
    except RepositoryError as error:
        raise refuse("registry-metadata", "timestamp.json") from error


def listed(raw: bytes) -> dict[str, str]:
    """Return the sha256 of each file that targets metadata names.

    Raises:
        Refused: ``registry-metadata``.
    """
    try:
        return {name: file.hashes["sha256"] for name, file in Metadata[Targets].from_bytes(raw).signed.targets.items()}
    except (RepositoryError, KeyError) as error:
        raise refuse("registry-metadata", "targets.json") from error


def _meta(version: int, raw: bytes) -> MetaFile:
    return MetaFile(version=version, length=len(raw), hashes={"sha256": hashlib.sha256(raw).hexdigest()})


def _signed(content: Root | Targets | Snapshot | Timestamp, signing: Sequence[PrivateKey]) -> bytes:
    metadata: Metadata[Any] = Metadata(content)
    for key in signing:
        metadata.sign(CryptoSigner(Ed25519PrivateKey.from_private_bytes(key.raw)), append=True)
    return metadata.to_bytes(JSONSerializer(compact=True))


def _listed(key: PublicKey) -> SSlibKey:
    return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(key.raw))
