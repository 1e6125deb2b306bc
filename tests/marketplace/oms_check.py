"""A check of an OMS signature, written from the specification (v1.0) and the DSSE protocol, and from nothing of ours.

Numbers in brackets are sections of the specification.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

DEFAULT_IGNORED = {".git", ".gitignore", ".gitattributes", ".github"}
HASH_OF = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}


class Wrong(Exception):
    """A rule of the specification is broken."""


def must(true: object, rule: str) -> None:
    if not true:
        raise Wrong(rule)


def check(folder: Path, signature: Path, public_pem: bytes) -> dict:
    """Verify a folder against a signature and return the statement."""
    bundle = json.loads(signature.read_bytes())
    # [8.1] the bundle
    must(bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json", "mediaType")
    must(set(bundle) == {"mediaType", "verificationMaterial", "dsseEnvelope"}, "bundle fields")
    key = load_pem_public_key(public_pem)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    material = bundle["verificationMaterial"]
    must(material["publicKey"]["hint"] == hashlib.sha256(pem).hexdigest(), "[4.1] hint")
    must(material.get("tlogEntries", []) == [], "[4.1] no log for keys")
    # [8.2] the envelope
    envelope = bundle["dsseEnvelope"]
    must(set(envelope) == {"payload", "payloadType", "signatures"}, "envelope fields")
    must(envelope["payloadType"] == "application/vnd.in-toto+json", "payloadType")
    must(len(envelope["signatures"]) >= 1, "signatures")
    payload = base64.b64decode(envelope["payload"], validate=True)
    kind = envelope["payloadType"].encode()
    pae = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])
    one = envelope["signatures"][0]
    must(set(one) <= {"sig", "keyid"} and one.get("keyid") in (None, ""), "[4.1] keyid")
    sig = base64.b64decode(one["sig"], validate=True)
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(sig, pae, ec.ECDSA(HASH_OF[key.curve.name]))
    else:
        key.verify(sig, pae)
    # [8.3] the statement
    statement = json.loads(payload)
    must(set(statement) == {"_type", "subject", "predicateType", "predicate"}, "statement fields")
    must(statement["_type"] == "https://in-toto.io/Statement/v1", "_type")
    must(statement["predicateType"] == "https://model_signing/signature/v1.0", "predicateType")
    must(set(statement["predicate"]) == {"resources", "serialization"}, "predicate fields")
    how, resources = statement["predicate"]["serialization"], statement["predicate"]["resources"]
    must(set(how) <= {"method", "hash_type", "allow_symlinks", "ignore_paths"}, "serialization fields")
    must((how["method"], how["hash_type"], how["allow_symlinks"]) == ("files", "sha256", False), "serialization")
    # [5.2.1], [6.1.2] the manifest
    names = [row["name"] for row in resources]
    must(names and names == sorted(names), "[5.2.1] order of code points")
    for name in names:
        must(not name.startswith("/") and ".." not in name.split("/") and "//" not in name, "[6.1.2] paths")
    must(all(row["algorithm"] == "sha256" for row in resources), "[7] algorithm")
    # [6.5.1] the subject
    (subject,) = statement["subject"]
    whole = hashlib.sha256(b"".join(bytes.fromhex(row["digest"]) for row in resources)).hexdigest()
    must(subject["name"] and subject["digest"] == {"sha256": whole}, "[6.5.1] root digest")
    # [8.4] the files
    ignored = DEFAULT_IGNORED | set(how.get("ignore_paths", []))
    held = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] in ignored or path.resolve() == signature.resolve():
            continue
        must(not path.is_symlink(), "[6.1.1] symbolic link")
        if path.is_file():
            held[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    must(held == {row["name"]: row["digest"] for row in resources}, "[8.4] files")
    return statement
