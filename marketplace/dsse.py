"""Signed bytes: the envelope of DSSE 1.0 (https://github.com/secure-systems-lab/dsse), in its one strict form.

What is signed is ``PAE(type, payload)``, so bytes that were signed as one kind of thing never count as another.
Narrower than DSSE asks: standard base64 alone, no unknown fields, at most 8 signatures. The key id is a hint for
people; which key made a signature is found by trying.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..schemas.errors import Refused
from .keys import PrivateKey, PublicKey, strict_base64
from .refusals import refuse
from .strict_json import dumps, loads

MAX_SIGNATURES = 8


@dataclass(frozen=True)
class Signature:
    """One signature; ``keyid`` is what the envelope says, and decides nothing."""

    keyid: str
    sig: bytes


@dataclass(frozen=True)
class Envelope:
    """What an envelope says, none of it verified: ``verify`` gives the payload once it is."""

    payload_type: str
    unverified_payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the payload, 64 hex digits: the name of what is signed, whoever signs it."""
        return hashlib.sha256(self.unverified_payload).hexdigest()


@dataclass(frozen=True)
class Verified:
    """A payload that enough of the right keys have signed.

    Attributes:
        signed: The signatures of those keys that have, in the order in which the keys were given.
    """

    payload: bytes
    payload_type: str
    signed: Mapping[PublicKey, bytes]

    @property
    def signers(self) -> tuple[PublicKey, ...]:
        """The keys that have signed."""
        return tuple(self.signed)

    def dump(self) -> bytes:
        """Return its envelope in the one form in which ``sign`` writes it, with no signature of another key."""
        rows = [Signature(key.id, sig) for key, sig in self.signed.items()]
        return _written(self.payload, self.payload_type, rows)


def sign(payload: bytes, payload_type: str, keys: Sequence[PrivateKey]) -> bytes:
    """Return an envelope with a signature of each key."""
    return _written(payload, payload_type, [_signature(payload, payload_type, key) for key in keys])


def add_signatures(raw: bytes, keys: Sequence[PrivateKey]) -> bytes:
    """Return the envelope with more signatures; those that a key of ``keys`` has made already are made again.

    Raises:
        Refused: As ``open_envelope``.
    """
    envelope = open_envelope(raw)
    ours = {key.public.id for key in keys}
    kept = [one for one in envelope.signatures if one.keyid not in ours]
    payload, kind = envelope.unverified_payload, envelope.payload_type
    return _written(payload, kind, [*kept, *(_signature(payload, kind, key) for key in keys)])


def open_envelope(raw: bytes, *, max_bytes: int = 256 * 1024) -> Envelope:
    """Read an envelope; nothing is verified.

    Raises:
        Refused: ``unsigned``, ``envelope``, ``signature-form``, or one of the JSON codes.
    """
    match loads(raw, max_bytes=max_bytes):
        case {"payload": str(payload), "payloadType": str(kind), "signatures": list(rows), **rest} if not rest:
            if not rows:
                raise refuse("unsigned")
            if len(rows) > MAX_SIGNATURES:
                raise refuse("envelope", f"{len(rows)} signatures, at most {MAX_SIGNATURES}")
            return Envelope(kind, strict_base64(payload, "envelope"), tuple(map(_read, rows)))
    raise refuse("envelope", "an envelope has the fields payload, payloadType and signatures")


def verify(envelope: Envelope, payload_type: str, public_keys: Iterable[PublicKey], threshold: int) -> Verified:
    """Return the payload if at least ``threshold`` different keys of ``public_keys`` have signed it.

    A signature of a key that is not among them counts for nothing and does no harm; so does a second one of one key.

    Raises:
        Refused: ``payload-type``; ``bad-signature`` where none fits; ``threshold`` where too few do.
        Unchecked: ``cannot-check-signature`` where there is no key to check with.
    """
    keys = list(dict.fromkeys(public_keys))
    if not keys or not 1 <= threshold <= len(keys):
        raise refuse("cannot-check-signature", f"{threshold} of {len(keys)} keys are asked for")
    if envelope.payload_type != payload_type:
        raise refuse("payload-type", f"{envelope.payload_type[:80]!r} instead of {payload_type!r}")
    if not envelope.signatures:
        raise refuse("unsigned")
    message = pre_authentication(payload_type, envelope.unverified_payload)
    signed = {key: one.sig for key in keys for one in envelope.signatures if _fits(key, one, message)}
    if not signed:
        raise refuse("bad-signature", "none is of a key that may sign it")
    if len(signed) < threshold:
        raise refuse("threshold", f"{len(signed)} of {threshold}")
    return Verified(envelope.unverified_payload, payload_type, signed)


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: type and payload, each after its length."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _fits(key: PublicKey, signature: Signature, message: bytes) -> bool:
    try:
        key.verify(signature.sig, message)
    except Refused as refused:
        if refused.code != "bad-signature":
            raise
        return False
    return True


def _signature(payload: bytes, payload_type: str, key: PrivateKey) -> Signature:
    return Signature(key.public.id, key.sign(pre_authentication(payload_type, payload)))


def _written(payload: bytes, payload_type: str, signatures: Sequence[Signature]) -> bytes:
    rows = [{"keyid": one.keyid, "sig": base64.b64encode(one.sig).decode()} for one in signatures]
    return dumps({"payload": base64.b64encode(payload).decode(), "payloadType": payload_type, "signatures": rows})


def _read(row: object) -> Signature:
    match row:
        case {"keyid": str(keyid), "sig": str(sig), **rest} if not rest:
            return Signature(keyid, strict_base64(sig, "envelope"))
    raise refuse("envelope", "a signature has the fields keyid and sig")
