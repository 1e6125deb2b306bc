"""Ed25519 keys: what is accepted as one, how it is named for machines and for people, what it signs.

The library below accepts the eight points of small order as public keys, and for these a signature can be made for any
text without a private key; so they are refused here, as is what no point encodes, before a key is believed at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .refusals import refuse

ALGORITHM = "ed25519"
SIGNATURE_BYTES = 64
KEY_BYTES = 32
_P = 2**255 - 19  # the field
_L = 2**252 + 27742317777372353535851937790883648493  # the order of the group; RFC 8032, 5.1
_D = -121665 * pow(121666, -1, _P) % _P  # of the curve -x² + y² = 1 + d x² y²
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7  # of the four points of order 8, and -y
_SMALL_ORDER = {0, 1, _P - 1, _Y8, _P - _Y8}


@dataclass(frozen=True, order=True)
class PublicKey:
    """A key that signatures are checked with. One that was made can be believed to be one."""

    raw: bytes

    def __post_init__(self) -> None:
        check_public(self.raw)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of its bytes, 64 hex digits: what decides whether two keys are one."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def id(self) -> str:
        """The first 16 digits of the fingerprint: a hint where to look, never a reason to believe."""
        return self.fingerprint[:16]

    @property
    def words(self) -> str:
        """Its fingerprint in six words."""
        return words_of(self.fingerprint)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Accept a signature, or raise.

        Raises:
            Refused: ``signature-form`` or ``bad-signature``.
        """
        if len(signature) != SIGNATURE_BYTES or int.from_bytes(signature[32:], "little") >= _L:
            raise refuse("signature-form", f"of key {self.id}")
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature as error:
            raise refuse("bad-signature", f"of key {self.id}") from error

    def facts(self) -> dict[str, str]:
        """Return it as documents hold it."""
        return {"alg": ALGORITHM, "public": base64.b64encode(self.raw).decode()}

    @classmethod
    def from_facts(cls, facts: Any) -> PublicKey:
        """Read it from a document.

        Raises:
            Refused: ``key`` or ``weak-key``.
        """
        match facts:
            case {"alg": "ed25519", "public": str(text), **rest} if not rest:
                return cls(strict_base64(text, "key"))
        raise refuse("key", "a key has the fields alg, which is ed25519, and public")


@dataclass(frozen=True)
class PrivateKey:
    """A key that signs. Its repr does not show it."""

    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> PrivateKey:
        """Make a new one."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_raw(cls, seed: bytes) -> PrivateKey:
        """Make one from its 32 secret bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def raw(self) -> bytes:
        """Its 32 secret bytes."""
        return self._key.private_bytes_raw()

    @cached_property
    def public(self) -> PublicKey:
        """What others check its signatures with."""
        return PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return its 64 bytes of signature."""
        return self._key.sign(message)


def check_public(raw: bytes) -> None:
    """Refuse bytes that must not be believed to be a key: small order, no point, or another writing of a point.

    Raises:
        Refused: ``key`` or ``weak-key``.
    """
    if len(raw) != KEY_BYTES:
        raise refuse("key", f"{len(raw)} bytes instead of {KEY_BYTES}")
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y % _P in _SMALL_ORDER:
        raise refuse("weak-key", "a point of small order")
    if y >= _P:
        raise refuse("key", "another writing of a point")
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if pow(x_squared, (_P - 1) // 2, _P) != 1:
        raise refuse("key", "no point of the curve")


def words_of(fingerprint: str) -> str:
    """Return the first 66 bits of a fingerprint as six words, to be compared aloud."""
    number = int(fingerprint[:18], 16) >> 6
    return " ".join(word_list()[number >> 11 * place & 2047] for place in range(5, -1, -1))


def strict_base64(text: str, code: str) -> bytes:
    """Return what base64 stands for, if it is written in its one standard form.

    Raises:
        Refused: With the ``code`` given.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise refuse(code, "no base64") from error
    if base64.b64encode(data).decode() != text:
        raise refuse(code, "base64 in another than its one form")
    return data


@cache
def word_list() -> tuple[str, ...]:
    """Return the 2048 words that fingerprints are said in: the English list of BIP 39, in order.

    No two begin with the same four letters. It comes from the package ``mnemonic`` (MIT, Copyright 2013 Pavol Rusnak).
    """
    words = resources.files(__package__).joinpath("words.txt").read_text("ascii").split()
    assert len(words) == 2048
    return tuple(words)
