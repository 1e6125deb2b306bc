"""Folders signed as OpenSSF Model Signing does, checked by a reader that was written from its specification."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from nightschool.marketplace.key_file import save_key
from nightschool.marketplace.keys import PrivateKey
from nightschool.marketplace.oms import sign_folder
from nightschool.marketplace.oms_keys import load_signer
from nightschool.schemas.errors import KeyUnusable, UsageError

from .oms_check import Wrong, check

PASSPHRASE = "four or more words"
CURVES = {"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1(), "secp521r1": ec.SECP521R1()}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "captain"
    (folder / "deeper").mkdir(parents=True)
    for name in ("adapter_model.safetensors", "adapter_config.json", "deeper/Ä.txt", "Z.md", "a.md"):
        (folder / name).write_text(f"content of {name}")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("of git")
    (folder / "deeper" / ".git").write_text("not at the top, so it counts")
    return folder


def key_file(tmp_path, kind, encryption=None):
    path = tmp_path / f"{kind}.pem"
    if kind == "ed25519":
        save_key(path, PrivateKey.from_raw(bytes(range(32))), PASSPHRASE)
    else:
        key = ec.generate_private_key(CURVES[kind])
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    return path


@pytest.fixture(params=["ed25519", *CURVES])
def signer(request, tmp_path):
    return load_signer(key_file(tmp_path, request.param), PASSPHRASE if request.param == "ed25519" else "")


def test_a_signed_folder_is_what_the_specification_asks_for(folder, signer):
    statement = check(folder, sign_folder(folder, "captain", signer), signer.public_pem)
    names = [row["name"] for row in statement["predicate"]["resources"]]
    assert names == ["Z.md", "a.md", "adapter_config.json", "adapter_model.safetensors", "deeper/.git", "deeper/Ä.txt"]
    assert statement["subject"][0]["name"] == "captain"
    assert signer.registered is (signer.kind != "ed25519")


def test_signing_again_leaves_one_signature_that_holds(folder, signer):
    sign_folder(folder, "captain", signer)
    check(folder, sign_folder(folder, "captain", signer), signer.public_pem)
    assert [path.name for path in folder.glob("*.sig")] == ["model.sig"]


def change(folder):
    (folder / "a.md").write_text("otherwise")


def add(folder):
    (folder / "b.md").write_text("more")


def remove(folder):
    (folder / "a.md").unlink()


def swap(folder):
    """The root digest would not see it: it does not bind names."""
    (folder / "a.md").write_text("content of Z.md")
    (folder / "Z.md").write_text("content of a.md")


@pytest.mark.parametrize("harm", [change, add, remove, swap])
def test_whatever_is_changed_afterwards_is_seen(folder, signer, harm):
    signature = sign_folder(folder, "captain", signer)
    harm(folder)
    with pytest.raises(Wrong, match="files"):
        check(folder, signature, signer.public_pem)


def test_another_statement_under_the_same_signature_is_seen(folder, signer):
    signature = sign_folder(folder, "captain", signer)
    bundle = json.loads(signature.read_bytes())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"captain", b"pirates")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    signature.write_text(json.dumps(bundle))
    with pytest.raises(InvalidSignature):
        check(folder, signature, signer.public_pem)


def test_another_key_is_not_taken_for_this_one(folder, signer, tmp_path):
    other = load_signer(key_file(tmp_path / "", "secp256r1"), "")
    with pytest.raises(Wrong, match="hint"):
        check(folder, sign_folder(folder, "captain", signer), other.public_pem)


def test_what_cannot_be_signed_is_said(folder, signer, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="nothing to sign"):
        sign_folder(tmp_path / "empty", "empty", signer)
    (folder / "link").symlink_to(folder / "a.md")
    with pytest.raises(UsageError, match="symbolic link"):
        sign_folder(folder, "captain", signer)
    assert not (folder / "model.sig").exists()


def test_keys_of_other_kinds_are_refused_and_encrypted_ones_open(tmp_path):
    locked = key_file(tmp_path, "secp256r1", BestAvailableEncryption(PASSPHRASE.encode()))
    with pytest.raises(KeyUnusable, match="passphrase"):
        load_signer(locked, "")
    assert load_signer(locked, PASSPHRASE).kind == "secp256r1"
    key = rsa.generate_private_key(65537, 2048)
    (tmp_path / "rsa.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyUnusable, match="P-256"):
        load_signer(tmp_path / "rsa.pem", "")
    (tmp_path / "odd.pem").write_bytes(
        ec.generate_private_key(ec.SECP256K1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(KeyUnusable, match="P-256"):
        load_signer(tmp_path / "odd.pem", "")
