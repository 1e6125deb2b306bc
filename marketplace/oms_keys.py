"""Keys that sign folders for others' tools: a publisher's Ed25519 key, or one of the curves that OMS verifiers know."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..engine.files import storage_errors
from ..schemas.errors import KeyUnusable
from .key_file import load_key

_CURVES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""The curves that a verifier must know, and what each signs the hash of."""
_MAX_FILE = 64 * 1024


@dataclass(frozen=True)
class Signer:
    """A key that signs.

    Attributes:
        kind: ``ed25519``, or the name of a curve.
        public_pem: What others check with, as PEM.
        sign: Returns the signature of a message: 64 bytes for Ed25519, DER for a curve.
    """

    kind: str
    public_pem: bytes
    sign: Callable[[bytes], bytes] = field(repr=False)

    @property
    def hint(self) -> str:
        """How a bundle names the key: the sha256 of its PEM (section 4.1)."""
        return hashlib.sha256(self.public_pem).hexdigest()

    @property
    def registered(self) -> bool:
        """Whether every OMS verifier must know its kind."""
        return self.kind in _CURVES


def load_signer(path: Path, passphrase: str) -> Signer:
    """Read a key: Ed25519 as :func:`key_file.load_key` does, or PKCS#8 or SEC1 in PEM of a curve that OMS knows.

    Raises:
        KeyUnusable: If the passphrase is wrong or missing, or the file holds no such key.
        StorageError: If it cannot be read.
    """
    with storage_errors(path), path.open("rb") as stream:
        data = stream.read(_MAX_FILE)
    password = passphrase.encode() or None
    try:
        key = serialization.load_pem_private_key(data, password)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None  # OpenSSH's own form, or one that does not open: the other reader says which
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _of_curve(key)
    if key is not None and not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path} is neither an Ed25519 key nor one of P-256, P-384 or P-521; give another key.")
    found = load_key(path, passphrase)
    return Signer("ed25519", _pem(Ed25519PublicKey.from_public_bytes(found.public.raw)), found.sign)


def _of_curve(key: ec.EllipticCurvePrivateKey) -> Signer:
    algorithm = ec.ECDSA(_CURVES[key.curve.name])
    return Signer(key.curve.name, _pem(key.public_key()), lambda message: key.sign(message, algorithm))


def _pem(key: Ed25519PublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
