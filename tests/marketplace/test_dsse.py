"""Envelopes: enough different keys of those that may, over exactly these bytes of exactly this kind."""

import base64
import hashlib

import nacl.signing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightschool.marketplace.dsse import add_signatures, open_envelope, pre_authentication, sign, verify
from nightschool.marketplace.keys import PrivateKey
from nightschool.marketplace.strict_json import dumps, loads
from nightschool.schemas.errors import MarketError, Refused, Unchecked

KIND = "application/vnd.example+json"
KEYS = [PrivateKey.from_raw(bytes([number]) * 32) for number in range(1, 6)]
PUBLIC = [key.public for key in KEYS]
PAYLOAD = b'{"a":1}'


def refused(raw, keys, threshold=1, kind=KIND):
    with pytest.raises(MarketError) as caught:
        verify(open_envelope(raw), kind, keys, threshold)
    return caught.value.code


def changed(raw, **fields):
    return dumps(loads(raw) | fields)


def signatures(raw):
    return loads(raw)["signatures"]


def test_what_was_signed_verifies_and_is_given_back():
    envelope = open_envelope(sign(PAYLOAD, KIND, KEYS[:2]))
    found = verify(envelope, KIND, PUBLIC[:3], 2)
    assert found.payload == PAYLOAD and found.signers == tuple(PUBLIC[:2])
    assert envelope.digest == hashlib.sha256(PAYLOAD).hexdigest()


def test_the_signed_bytes_are_those_of_the_dsse_specification():
    told = pre_authentication("http://example.com/HelloWorld", b"hello world")
    assert told == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_pynacl_agrees():
    raw = sign(PAYLOAD, KIND, KEYS[:1])
    signature = base64.b64decode(signatures(raw)[0]["sig"])
    nacl.signing.VerifyKey(PUBLIC[0].raw).verify(pre_authentication(KIND, PAYLOAD), signature)


def test_signing_twice_gives_the_same_bytes():
    assert sign(PAYLOAD, KIND, KEYS[:2]) == sign(PAYLOAD, KIND, KEYS[:2])


def test_no_signature():
    assert refused(changed(sign(PAYLOAD, KIND, KEYS[:1]), signatures=[]), PUBLIC) == "unsigned"


@pytest.mark.parametrize("bit", range(len(PAYLOAD) * 8))
def test_a_payload_changed_by_one_bit(bit):
    other = bytearray(PAYLOAD)
    other[bit // 8] ^= 1 << bit % 8
    raw = changed(sign(PAYLOAD, KIND, KEYS[:1]), payload=base64.b64encode(other).decode())
    assert refused(raw, PUBLIC) == "bad-signature"


def test_a_signature_of_somebody_else():
    assert refused(sign(PAYLOAD, KIND, KEYS[3:4]), PUBLIC[:2]) == "bad-signature"


def test_the_hint_of_a_key_decides_nothing():
    raw = sign(PAYLOAD, KIND, KEYS[3:4])
    lying = changed(raw, signatures=[signatures(raw)[0] | {"keyid": PUBLIC[0].id}])
    assert refused(lying, PUBLIC[:2]) == "bad-signature"
    raw = sign(PAYLOAD, KIND, KEYS[:1])
    wrong = changed(raw, signatures=[signatures(raw)[0] | {"keyid": "anything"}])
    assert verify(open_envelope(wrong), KIND, PUBLIC, 1).signers == (PUBLIC[0],)


def test_signed_as_another_kind():
    raw = sign(PAYLOAD, "application/other", KEYS[:1])
    assert refused(raw, PUBLIC) == "payload-type"
    assert refused(changed(raw, payloadType=KIND), PUBLIC) == "bad-signature"


def test_one_key_counts_once():
    raw = sign(PAYLOAD, KIND, [KEYS[0], KEYS[0], KEYS[0]])
    assert refused(raw, PUBLIC[:3], threshold=2) == "threshold"


def test_one_key_that_is_listed_twice_counts_once():
    raw = sign(PAYLOAD, KIND, [KEYS[0]])
    assert refused(raw, [PUBLIC[0], PUBLIC[0]], threshold=2) == "cannot-check-signature"
    assert refused(raw, [PUBLIC[0], PUBLIC[0], PUBLIC[1]], threshold=2) == "threshold"


def test_too_few_of_them():
    assert refused(sign(PAYLOAD, KIND, KEYS[:2]), PUBLIC, threshold=3) == "threshold"


def test_signatures_of_others_do_no_harm():
    assert verify(open_envelope(sign(PAYLOAD, KIND, KEYS[:4])), KIND, PUBLIC[2:4], 2).signers == tuple(PUBLIC[2:4])


@pytest.mark.parametrize("threshold", [0, -1, 3])
def test_a_threshold_that_cannot_be_is_never_met(threshold):
    assert refused(sign(PAYLOAD, KIND, KEYS[:2]), PUBLIC[:2], threshold) == "cannot-check-signature"


def test_without_keys_it_is_unchecked_and_not_bad():
    with pytest.raises(Unchecked):
        verify(open_envelope(sign(PAYLOAD, KIND, KEYS[:1])), KIND, [], 1)


def test_another_writing_of_a_signature():
    raw = sign(PAYLOAD, KIND, KEYS[:1])
    signature = base64.b64decode(signatures(raw)[0]["sig"])
    scalar = int.from_bytes(signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    other = base64.b64encode(signature[:32] + scalar.to_bytes(32, "little")).decode()
    assert refused(changed(raw, signatures=[{"keyid": "", "sig": other}]), PUBLIC) == "signature-form"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"more": 1}, "envelope"),
        ({"payload": 3}, "envelope"),
        ({"payload": "a"}, "envelope"),
        ({"payload": "eyJh\nIjoxfQ=="}, "envelope"),
        ({"payload": "eyJhIjoxfR=="}, "envelope"),
        ({"payload": "eyJhIjoxfQ"}, "envelope"),
        ({"payload": "_-__"}, "envelope"),
        ({"signatures": {}}, "envelope"),
        ({"signatures": [1]}, "envelope"),
        ({"signatures": [{"keyid": "", "sig": "", "more": 1}]}, "envelope"),
        ({"signatures": [{"keyid": "", "sig": ""}] * 9}, "envelope"),
        ({"payloadType": None}, "envelope"),
    ],
)
def test_an_envelope_has_one_form(fields, code):
    with pytest.raises(Refused) as caught:
        open_envelope(changed(sign(PAYLOAD, KIND, KEYS[:1]), **fields))
    assert caught.value.code == code


def test_signatures_can_be_added_later():
    raw = add_signatures(sign(PAYLOAD, KIND, KEYS[:1]), KEYS[1:2])
    assert verify(open_envelope(raw), KIND, PUBLIC[:2], 2).payload == PAYLOAD
    assert add_signatures(raw, KEYS[:2]) == raw


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_changed_envelope_gives_another_payload(place, byte):
    raw = bytearray(sign(PAYLOAD, KIND, KEYS[:1]))
    raw[place % len(raw)] = byte
    try:
        found = verify(open_envelope(bytes(raw)), KIND, PUBLIC[:1], 1)
    except MarketError:
        return
    assert found.payload == PAYLOAD
