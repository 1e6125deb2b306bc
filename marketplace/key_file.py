"""Private keys on disk: PKCS#8 in PEM, encrypted, for their owner's eyes; and keys that OpenSSH made.

``cryptography`` writes encrypted PKCS#8 with 2048 rounds of PBKDF2, 0.6 ms for each passphrase that a thief tries. So
it is written here, with scrypt (RFC 7914) in its place: 0.3 s and 16 MB for each. ``cryptography`` and ``openssl pkey``
open it all the same; a larger scrypt would be beyond what openssl agrees to.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from ..engine.files import storage_errors, write_atomic
from ..schemas.errors import KeyUnusable, UsageError
from .keys import PrivateKey

SHORTEST_PASSPHRASE = 8
_COST, _BLOCK, _LANES = 2**14, 8, 5  # scrypt
_MEMORY = 64 << 20
_MAX_FILE = 64 * 1024
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT = bytes.fromhex("06092b06010401da47040b")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")
_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30


def save_key(path: Path, key: PrivateKey, passphrase: str) -> None:
    """Write a key, encrypted, as a file that only its owner can read; one that is there is never replaced.

    Raises:
        UsageError: If the passphrase is too short, or there is a file of this name.
        StorageError: If it cannot be written.
    """
    check_passphrase(passphrase)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists():
            raise UsageError(f"{path} is there already, and a key is never written over; choose another name.")
    write_atomic(path, encrypted(key, passphrase))  # 0600, as mkstemp makes it


def load_key(path: Path, passphrase: str) -> PrivateKey:
    """Read a key: PKCS#8 in PEM, as ``save_key`` writes it, or OpenSSH's own form.

    Raises:
        KeyUnusable: If the passphrase is wrong or missing, or the file holds no Ed25519 key.
        StorageError: If it cannot be read.
    """
    with storage_errors(path), path.open("rb") as stream:
        return parse_key(stream.read(_MAX_FILE), passphrase, str(path))


def parse_key(data: bytes, passphrase: str, name: str = "The key") -> PrivateKey:
    """Read a key from the bytes of its file.

    Raises:
        KeyUnusable: As ``load_key``.
    """
    openssh = b"-----BEGIN OPENSSH PRIVATE KEY-----" in data
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    password = passphrase.encode() or None
    try:
        key = load(data, password)
    except TypeError as error:
        if password is None:
            raise KeyUnusable(f"{name} is encrypted; give its passphrase.") from error
        raise KeyUnusable(f"{name} is not encrypted; give no passphrase.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(
            f"{name} does not open; see that it is a private key and that the passphrase fits."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{name} is no Ed25519 key; make one with `ssh-keygen -t ed25519`.")
    return PrivateKey(key)


def check_passphrase(passphrase: str) -> None:
    """Refuse a passphrase that would protect nothing.

    Raises:
        UsageError: Then.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise UsageError(
            f"A passphrase has at least {SHORTEST_PASSPHRASE} characters; four or more random words are good."
        )


def encrypted(key: PrivateKey, passphrase: str) -> bytes:
    """Return a key as encrypted PKCS#8 in PEM (RFC 5958 and 8018: PBES2 of scrypt and AES-256-CBC)."""
    salt, start = secrets.token_bytes(16), secrets.token_bytes(16)
    secret = hashlib.scrypt(passphrase.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES, dklen=32, maxmem=_MEMORY)
    plain = Ed25519PrivateKey.from_private_bytes(key.raw).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pad = PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(secret), modes.CBC(start)).encryptor()
    hidden = cipher.update(pad.update(plain) + pad.finalize()) + cipher.finalize()
    parameters = _tlv(_SEQUENCE, _tlv(_OCTETS, salt), *map(_number, (_COST, _BLOCK, _LANES)))
    scheme = _tlv(
        _SEQUENCE,
        _tlv(_SEQUENCE, _SCRYPT, parameters),
        _tlv(_SEQUENCE, _AES_256_CBC, _tlv(_OCTETS, start)),
    )
    whole = _tlv(_SEQUENCE, _tlv(_SEQUENCE, _PBES2, scheme), _tlv(_OCTETS, hidden))
    text = base64.b64encode(whole).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(
        ["-----BEGIN ENCRYPTED PRIVATE KEY-----", *lines, "-----END ENCRYPTED PRIVATE KEY-----", ""]
    ).encode()


def _tlv(tag: int, *parts: bytes) -> bytes:
    """Return DER of one value."""
    body = b"".join(parts)
    length = len(body)
    if length < 128:
        return bytes([tag, length]) + body
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body


def _number(value: int) -> bytes:
    return _tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))
