"""A detached signature over a folder, as OpenSSF Model Signing 1.0 writes it (https://github.com/ossf/model-signing-spec).

A Sigstore bundle around a DSSE envelope around an in-toto statement that lists every file with its sha256; method
``files``, without symbolic links. Sections in brackets are those of the specification.

Which keys: its registry asks verifiers for P-256, P-384 and P-521 alone. A publisher's Ed25519 key signs here all the
same, in the form of RFC 8032 over the same bytes; who checks must know that key. It says of a folder who signed these
bytes, and nothing of versions, bases or revocation: for that there are bundles.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..engine.files import storage_errors, write_atomic
from ..schemas.errors import UsageError
from .dsse import pre_authentication
from .oms_keys import Signer
from .strict_json import dumps

SIGNATURE = "model.sig"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
IGNORED = (".git", ".gitattributes", ".github", ".gitignore", SIGNATURE)
"""At the top of the folder alone [6.2]."""


def sign_folder(folder: Path, name: str, signer: Signer) -> Path:
    """Write ``model.sig`` into a folder, over everything else in it, and return its file.

    Args:
        folder: What is signed.
        name: As which it is known, for people [6.5].
        signer: Whose key.

    Raises:
        UsageError: If there is nothing in it, or something that cannot be signed.
        StorageError: If it cannot be read or written.
    """
    resources = [{"name": path, "algorithm": "sha256", "digest": digest} for path, digest in hashes(folder)]
    if not resources:
        raise UsageError(f"{folder} holds no file, so there is nothing to sign; name another folder.")
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": root_digest([row["digest"] for row in resources])}}],
        "predicateType": PREDICATE,
        "predicate": {
            "resources": resources,
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [*IGNORED],
            },
        },
    }
    payload = dumps(statement)
    signature = signer.sign(pre_authentication(PAYLOAD_TYPE, payload))
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": signer.hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    file = folder / SIGNATURE
    write_atomic(file, dumps(bundle) + b"\n")
    file.chmod(0o644)
    return file


def hashes(folder: Path) -> list[tuple[str, str]]:
    """Return every file of a folder by its path in it and its sha256, in the order of code points [5.2.1, 6.1, 6.3].

    Raises:
        UsageError: If there is a symbolic link, or a name that is not valid UTF-8.
        StorageError: If it cannot be read.
    """
    with storage_errors(folder):
        return sorted((_name(path, folder), _sha256(path)) for path in _files(folder))


def root_digest(digests: Sequence[str]) -> str:
    """Return the digest of the whole [6.5.1]: sha256 over those of its files; names are not bound by it."""
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.relative_to(folder).parts[0] in IGNORED:
            continue
        if path.is_symlink():
            raise UsageError(f"{path} is a symbolic link, which is not signed; put the file itself there.")
        if path.is_file():
            yield path


def _name(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"A file in {folder} has a name that is no text; rename it first.") from error
    return name


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
