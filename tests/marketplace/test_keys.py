"""Keys: what is accepted as one, how it is named, that PyNaCl agrees, and how it lies on the disk."""

import base64
import stat
import subprocess

import nacl.exceptions
import nacl.signing
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from nightschool.marketplace import keys
from nightschool.marketplace.key_file import encrypted, load_key, parse_key, save_key
from nightschool.marketplace.keys import PrivateKey, PublicKey, word_list
from nightschool.schemas.errors import DiskFull, KeyUnusable, Refused, UsageError

P = 2**255 - 19
Y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
RFC_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")  # RFC 8032, 7.1, test 1
RFC_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def point(y, sign=0):
    return (y | sign << 255).to_bytes(32, "little")


def code_of(action, *arguments):
    with pytest.raises(Refused) as caught:
        action(*arguments)
    return caught.value.code


def test_a_key_of_the_standard_signs_as_the_standard_says():
    key = PrivateKey.from_raw(RFC_SEED)
    assert key.public.raw == RFC_PUBLIC
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8")


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [0, 1, P - 1, Y8, P - Y8, P, P + 1], ids=lambda y: f"{y:x}"[:8])
def test_points_of_small_order_are_no_keys(y, sign):
    assert code_of(PublicKey, point(y, sign)) == "weak-key"


def test_the_library_below_would_have_taken_a_signature_that_anybody_can_make():
    signature = point(1) + bytes(32)
    Ed25519PublicKey.from_public_bytes(point(1)).verify(signature, b"any text")
    with pytest.raises(nacl.exceptions.BadSignatureError):
        nacl.signing.VerifyKey(point(1)).verify(b"any text", signature)


def test_eight_points_have_small_order():
    """Each of them times eight is the neutral point, by the curve's own addition."""

    def add(one, two):
        (x1, y1), (x2, y2) = one, two
        product = keys._D * x1 * x2 * y1 * y2
        return (
            (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P,
            (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P,
        )

    found = set()
    for y in keys._SMALL_ORDER:
        squared = (y * y - 1) * pow(keys._D * y * y + 1, -1, P) % P
        root = pow(squared, (P + 3) // 8, P)
        if root * root % P != squared:
            root = root * pow(2, (P - 1) // 4, P) % P
        assert root * root % P == squared
        for x in {root, -root % P}:
            twice = add((x, y), (x, y))
            four = add(twice, twice)
            assert add(four, four) == (0, 1)
            found.add((x, y))
    assert len(found) == 8


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33), point(P + 2), point(P + 18, 1), point(2)])
def test_what_encodes_no_point_is_no_key(raw):
    assert code_of(PublicKey, raw) == "key"


def test_honest_keys_are_accepted_and_pynacl_agrees_on_their_signatures():
    for number in range(50):
        key = PrivateKey.generate()
        message = b"%d" % number
        signature = key.sign(message)
        key.public.verify(signature, message)
        nacl.signing.VerifyKey(key.public.raw).verify(message, signature)
        assert nacl.signing.SigningKey(key.raw).sign(message).signature == signature


def test_a_changed_signature_or_text_does_not_fit():
    key = PrivateKey.generate()
    signature = key.sign(b"text")
    assert code_of(key.public.verify, signature, b"texT") == "bad-signature"
    assert code_of(key.public.verify, bytes([signature[0] ^ 1]) + signature[1:], b"text") == "bad-signature"
    assert code_of(PrivateKey.generate().public.verify, signature, b"text") == "bad-signature"


def test_a_signature_has_one_form_alone():
    key = PrivateKey.generate()
    signature = key.sign(b"text")
    scalar = int.from_bytes(signature[32:], "little") + keys._L
    assert code_of(key.public.verify, signature[:32] + scalar.to_bytes(32, "little"), b"text") == "signature-form"
    assert code_of(key.public.verify, signature[:-1], b"text") == "signature-form"
    assert code_of(key.public.verify, signature + b"\0", b"text") == "signature-form"


def test_a_fingerprint_is_said_in_six_words():
    key = PublicKey(RFC_PUBLIC)
    assert key.fingerprint.startswith(key.id) and len(key.id) == 16 and len(key.fingerprint) == 64
    said = key.words.split(" ")
    bits = "".join(f"{word_list().index(word):011b}" for word in said)
    assert len(said) == 6 and bits == f"{int(key.fingerprint, 16):0256b}"[:66]


def test_no_two_words_begin_alike():
    assert len({word[:4] for word in word_list()}) == 2048
    assert list(word_list()) == sorted(word_list())


def test_a_key_in_a_document_reads_back():
    key = PrivateKey.generate().public
    assert PublicKey.from_facts(key.facts()) == key


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "rsa"},
        {"public": 3},
        {"public": "!"},
        {"more": 1},
        {"public": base64.b64encode(RFC_PUBLIC).decode().rstrip("=")},
        {"public": base64.b64encode(RFC_PUBLIC).decode() + "\n"},
        {"public": base64.b64encode(RFC_PUBLIC).decode().replace("=", "", 1) + "A"},
    ],
)
def test_a_key_in_another_form_is_refused(change):
    assert code_of(PublicKey.from_facts, PublicKey(RFC_PUBLIC).facts() | change) == "key"


def test_a_private_key_does_not_show_itself():
    key = PrivateKey.from_raw(RFC_SEED)
    assert RFC_SEED.hex() not in repr(key) and repr(RFC_SEED) not in repr(key)


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_saved_key_is_encrypted_private_and_reads_back(tmp_path):
    key, path = PrivateKey.generate(), tmp_path / "keys" / "me.pem"
    save_key(path, key, "correct horse")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert load_key(path, "correct horse").raw == key.raw


def test_a_saved_key_opens_with_openssl(tmp_path):
    key, path = PrivateKey.generate(), tmp_path / "me.pem"
    save_key(path, key, "correct horse")
    asked = ["openssl", "pkey", "-in", path, "-passin", "pass:correct horse", "-pubout", "-outform", "DER"]
    try:
        told = subprocess.run(asked, capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    assert told.endswith(key.public.raw)


def test_scrypt_stands_in_the_file_and_no_pbkdf2():
    text = encrypted(PrivateKey.generate(), "correct horse")
    der = base64.b64decode(b"".join(text.splitlines()[1:-1]))
    assert bytes.fromhex("06092b06010401da47040b") in der
    assert bytes.fromhex("06092a864886f70d01050c") not in der


def test_two_files_of_one_key_and_passphrase_differ():
    key = PrivateKey.generate()
    assert encrypted(key, "correct horse") != encrypted(key, "correct horse")


@pytest.mark.parametrize("passphrase", ["", "wrong horse", "correct horse "])
def test_another_passphrase_does_not_open_it(passphrase):
    with pytest.raises(KeyUnusable, match="passphrase"):
        parse_key(encrypted(PrivateKey.generate(), "correct horse"), passphrase)


def test_a_passphrase_that_protects_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match="8 characters"):
        save_key(tmp_path / "me.pem", PrivateKey.generate(), "short")
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_never_written_over(tmp_path):
    path = tmp_path / "me.pem"
    save_key(path, PrivateKey.generate(), "correct horse")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="never written over"):
        save_key(path, PrivateKey.generate(), "correct horse")
    assert path.read_bytes() == before


def test_a_full_disk_leaves_no_half_key(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFull):
        save_key(tmp_path / "me.pem", PrivateKey.generate(), "correct horse")
    assert list(tmp_path.iterdir()) == []


def openssh(key, *, passphrase=b""):
    made = key if isinstance(key, ec.EllipticCurvePrivateKey) else Ed25519PrivateKey.from_private_bytes(key.raw)
    hide = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, hide)


def test_a_key_of_openssh_is_read():
    key = PrivateKey.generate()
    assert parse_key(openssh(key), "").raw == key.raw


def test_a_key_of_ssh_keygen_is_read(tmp_path):
    path = tmp_path / "id"
    try:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    except FileNotFoundError:
        pytest.skip("ssh-keygen is not installed")
    public = base64.b64decode(path.with_suffix(".pub").read_text().split()[1])
    assert public.endswith(load_key(path, "").public.raw)


@pytest.mark.parametrize(
    "data",
    [b"", b"text", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", openssh(ec.generate_private_key(ec.SECP256R1()))],
    ids=["nothing", "text", "half", "another curve"],
)
def test_what_is_no_key_is_said_to_be_none(data):
    with pytest.raises(KeyUnusable):
        parse_key(data, "")
