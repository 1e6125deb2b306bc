"""A publisher's own document, and how its keys change.

Document N+1 is signed by the thresholds of N and of N+1, as a TUF root is (5.3.4 there), so whoever knows any of them
can follow to the last. All of them stand in one public file, ``NAME.publisher.json``, with what the publisher revoked:

    {"format": 1, "documents": [envelope, ...], "revocations": envelope or null}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...schemas.bundle import LINE, Format
from ...schemas.errors import MarketError
from .. import dsse
from ..keys import PrivateKey, PublicKey
from ..refusals import refuse
from ..strict_json import dumps, loads
from .key_set import MAX_KEYS, KeySet

DOCUMENT_TYPE = "application/vnd.nightschool.publisher.v1+json"
REVOCATION_TYPE = "application/vnd.nightschool.revocations.v1+json"
MAX_STEPS = 64
MAX_FILE = 1 << 20
MAX_REVOKED = 1000
NAME = r"^[a-z0-9][a-z0-9-]{0,39}$"
_FINGERPRINT = r"^[0-9a-f]{64}$"
_REASON = Field(max_length=500, pattern=LINE)

R = TypeVar("R", bound=BaseModel)


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Key(_Closed):
    alg: Literal["ed25519"]
    public: str


class Document(_Closed):
    """What a publisher says of itself."""

    format: Format = 1
    name: str = Field(pattern=NAME)
    seq: int = Field(ge=1)
    created: int = Field(ge=0)
    keys: list[_Key] = Field(min_length=1, max_length=MAX_KEYS)
    threshold: int = Field(ge=1, le=MAX_KEYS)

    def key_set(self) -> KeySet:
        """Return its keys, each known to be one."""
        return KeySet.of((PublicKey.from_facts(key.model_dump()) for key in self.keys), self.threshold)


class Withdrawn(_Closed):
    """A key, by fingerprint, or a bundle, by id, and why."""

    id: str = Field(pattern=_FINGERPRINT)
    reason: str = _REASON


class Revocations(_Closed):
    """What a publisher revoked of its own; a later list holds all of an earlier one."""

    format: Format = 1
    publisher: str = Field(pattern=NAME)
    seq: int = Field(ge=1)
    created: int = Field(ge=0)
    keys: list[Withdrawn] = Field(default_factory=list, max_length=MAX_REVOKED)
    bundles: list[Withdrawn] = Field(default_factory=list, max_length=MAX_REVOKED)


class _File(_Closed):
    format: Format
    documents: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_STEPS + 1)
    revocations: dict[str, Any] | None


@dataclass(frozen=True)
class Publisher:
    """A publisher whose documents were followed from the first to the last.

    Attributes:
        steps: Its keys, the first ones first; the last are those that count.
    """

    name: str
    steps: tuple[KeySet, ...]
    envelopes: tuple[bytes, ...]
    revocations: Revocations | None = None
    revocation_envelope: bytes | None = None

    @property
    def keys(self) -> KeySet:
        """Those that count now."""
        return self.steps[-1]

    @property
    def seq(self) -> int:
        """Number of the last document."""
        return len(self.steps)

    def dump(self) -> bytes:
        """Return its public file."""
        return _file(self.envelopes, self.revocation_envelope)


def begin(name: str, keys: KeySet, signing: Sequence[PrivateKey], *, created: int) -> Publisher:
    """Return a new publisher, which says by its own keys that they are its own.

    Raises:
        Refused: If the name is none, or too few of the keys sign.
    """
    return read_publisher(_file([_signed(Document.model_construct(**_fields(name, 1, created, keys)), signing)], None))


def rotate(publisher: Publisher, keys: KeySet, signing: Sequence[PrivateKey], *, created: int) -> Publisher:
    """Return a publisher with other keys, which say again what it revoked.

    No more of the keys sign than must, since an envelope has few signatures.

    Raises:
        Refused: ``rotation``, if too few of the old keys or of the new ones sign, or it has changed too often.
    """
    document = Document.model_construct(**_fields(publisher.name, publisher.seq + 1, created, keys))
    old, new = _enough(signing, publisher.keys), _enough(signing, keys)
    both = {key.public: key for key in (*old, *new)}
    envelopes = [*publisher.envelopes, _signed(document, [*both.values()])]
    revoked = publisher.revocation_envelope
    if revoked is not None:
        payload = dsse.open_envelope(revoked, max_bytes=MAX_FILE).unverified_payload
        revoked = dsse.sign(payload, REVOCATION_TYPE, new)
    return read_publisher(_file(envelopes, revoked))


def revoke(
    publisher: Publisher,
    signing: Sequence[PrivateKey],
    *,
    created: int,
    keys: Sequence[Withdrawn] = (),
    bundles: Sequence[Withdrawn] = (),
) -> Publisher:
    """Return a publisher that has revoked more: keys of its own, by fingerprint, or bundles, by id.

    Raises:
        Refused: If too few of its keys sign, or a key was never its own.
    """
    before = publisher.revocations
    document = Revocations(
        publisher=publisher.name,
        seq=before.seq + 1 if before else 1,
        created=created,
        keys=_joined(before.keys if before else [], keys),
        bundles=_joined(before.bundles if before else [], bundles),
    )
    envelope = dsse.sign(dumps(document.model_dump()), REVOCATION_TYPE, signing)
    return read_publisher(_file(list(publisher.envelopes), envelope))


def read_publisher(data: bytes) -> Publisher:
    """Follow a publisher's documents from the first, each signed by the keys before it and by its own.

    Raises:
        Refused: ``rotation`` where a change of keys is not signed as it must be; ``publisher`` and others where it is
            no such file.
    """
    file = _parsed(_File, loads(data, max_bytes=MAX_FILE))
    envelopes = tuple(dumps(envelope) for envelope in file.documents)
    name, steps = "", list[KeySet]()
    for number, raw in enumerate(envelopes, start=1):
        envelope = dsse.open_envelope(raw)
        document = _parsed(Document, loads(envelope.unverified_payload))
        keys = document.key_set()
        name = name or document.name
        if (document.name, document.seq) != (name, number):
            raise refuse("publisher", f"document {number} says it is number {document.seq} of {document.name}")
        dsse.verify(envelope, DOCUMENT_TYPE, keys.keys, keys.threshold)
        if steps:
            _follow(envelope, steps[-1], number)
        steps.append(keys)
    known = Publisher(name, tuple(steps), envelopes)
    if file.revocations is None:
        return known
    raw = dumps(file.revocations)
    return Publisher(name, known.steps, envelopes, _revocations(known, raw), raw)


def _follow(envelope: dsse.Envelope, before: KeySet, number: int) -> None:
    try:
        dsse.verify(envelope, DOCUMENT_TYPE, before.keys, before.threshold)
    except MarketError as error:
        raise refuse("rotation", f"document {number}") from error


def _revocations(publisher: Publisher, raw: bytes) -> Revocations:
    envelope = dsse.open_envelope(raw, max_bytes=MAX_FILE)
    dsse.verify(envelope, REVOCATION_TYPE, publisher.keys.keys, publisher.keys.threshold)
    found = _parsed(Revocations, loads(envelope.unverified_payload, max_bytes=MAX_FILE))
    if found.publisher != publisher.name:
        raise refuse("publisher", f"the revocations are of {found.publisher}")
    own = {key.fingerprint for step in publisher.steps for key in step.keys}
    if not {row.id for row in found.keys} <= own:
        raise refuse("publisher", "it revokes a key that was never its own")
    return found


def _fields(name: str, seq: int, created: int, keys: KeySet) -> dict[str, Any]:
    listed = [_Key.model_validate(key.facts()) for key in keys.keys]
    return {"format": 1, "name": name, "seq": seq, "created": created, "keys": listed, "threshold": keys.threshold}


def _enough(signing: Sequence[PrivateKey], keys: KeySet) -> list[PrivateKey]:
    """Return as many of the keys that may sign for a set as must."""
    return [key for key in signing if key.public in keys.keys][: keys.threshold]


def _signed(document: Document, signing: Sequence[PrivateKey]) -> bytes:
    return dsse.sign(dumps(document.model_dump()), DOCUMENT_TYPE, signing)


def _file(envelopes: Sequence[bytes], revocations: bytes | None) -> bytes:
    revoked = loads(revocations, max_bytes=MAX_FILE) if revocations else None
    return dumps({"format": 1, "documents": [loads(raw) for raw in envelopes], "revocations": revoked})


def _joined(before: Sequence[Withdrawn], more: Sequence[Withdrawn]) -> list[Withdrawn]:
    known = {row.id for row in before}
    return [*before, *{row.id: row for row in more if row.id not in known}.values()]


def _parsed(kind: type[R], value: Any) -> R:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:100]
        raise refuse("publisher", f"{place or 'the whole'}: {first['type'].replace('_', ' ')}") from error
