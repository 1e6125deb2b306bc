"""What is wrong with who signed."""

from __future__ import annotations

import base64
import json

from nightschool.marketplace import dsse, strict_json
from nightschool.schemas.bundle import PAYLOAD_TYPE

from ..making import KEY, OTHER
from .table import bundle, changed, hostile, parts, variants


def envelope_with(change) -> bytes:
    payload, blobs = parts()
    envelope = json.loads(dsse.sign(json.dumps(payload).encode(), PAYLOAD_TYPE, [KEY]))
    return bundle(payload, blobs, envelope=json.dumps(change(envelope) or envelope).encode())


@hostile(18, "unsigned")
def no_signature():
    return envelope_with(lambda envelope: envelope.update(signatures=[]))


@hostile(19, "bad-signature")
def signature_of_something_else():
    return envelope_with(lambda envelope: envelope["signatures"][0].update(sig=base64.b64encode(bytes(64)).decode()))


@hostile(19, "bad-signature")
def signed_by_another():
    return changed(lambda payload: None, keys=[OTHER])


@hostile(20, "bad-signature")
def payload_changed():
    def flip(envelope):
        payload = bytearray(base64.b64decode(envelope["payload"]))
        payload[payload.index(b"Captain")] ^= 1
        envelope["payload"] = base64.b64encode(payload).decode()

    return envelope_with(flip)


@hostile(21, "payload-type")
def signed_as_something_else():
    return changed(lambda payload: None, kind="application/vnd.nightschool.publisher+json")


@hostile(22, "threshold")
def one_key_signs_twice():
    payload, blobs = parts()
    payload["predicate"]["publisher"]["keys"].append(OTHER.public.facts())
    payload["predicate"]["publisher"]["threshold"] = 2
    envelope = json.loads(dsse.sign(json.dumps(payload).encode(), PAYLOAD_TYPE, [KEY]))
    envelope["signatures"] *= 2
    return bundle(payload, blobs, envelope=json.dumps(envelope).encode())


@hostile(22, "fields")
def one_key_listed_twice():
    def twice_listed(payload):
        payload["predicate"]["publisher"]["keys"] *= 2
        payload["predicate"]["publisher"]["threshold"] = 2

    return changed(twice_listed)


SMALL_ORDER = [bytes([1, *bytes(31)]), bytes(32), bytes([0xEC, *[0xFF] * 30, 0x7F])]


@variants(23, *(("weak-key", str(number), point) for number, point in enumerate(SMALL_ORDER)))
def key_of_small_order(point):
    payload, blobs = parts()
    payload["predicate"]["publisher"]["keys"] = [{"alg": "ed25519", "public": base64.b64encode(point).decode()}]
    data = json.dumps(payload).encode()
    envelope = json.loads(dsse.sign(data, PAYLOAD_TYPE, [KEY]))
    envelope["signatures"][0]["sig"] = base64.b64encode(bytes([1, *bytes(63)])).decode()
    return bundle(payload, blobs, envelope=json.dumps(envelope).encode())


@hostile(24, "signature-form")
def malleable_signature():
    order = 2**252 + 27742317777372353535851937790883648493

    def add_order(envelope):
        sig = base64.b64decode(envelope["signatures"][0]["sig"])
        high = int.from_bytes(sig[32:], "little") + order
        envelope["signatures"][0]["sig"] = base64.b64encode(sig[:32] + high.to_bytes(32, "little")).decode()

    return envelope_with(add_order)


@hostile(29, "threshold")
def too_few_for_the_threshold():
    def two(payload):
        payload["predicate"]["publisher"].update(threshold=2)
        payload["predicate"]["publisher"]["keys"].append(OTHER.public.facts())

    return changed(two)


@hostile(29, "fields")
def threshold_above_the_keys():
    return changed(lambda payload: payload["predicate"]["publisher"].update(threshold=2))


def fields_of(raw):
    return [strict_json.dumps({name: value})[1:-1] for name, value in json.loads(raw).items()]


def row_of(raw):
    return strict_json.dumps(json.loads(raw)["signatures"][0])


@variants(
    66,
    ("envelope", "white-space", lambda raw: raw + b" "),
    ("envelope", "spaced", lambda raw: json.dumps(json.loads(raw)).encode()),
    ("envelope", "order", lambda raw: b"{" + b",".join(reversed(fields_of(raw))) + b"}"),
    ("envelope", "escaped", lambda raw: raw.replace(b'"payload"', b'"\\u0070ayload"')),
    ("envelope", "base64", lambda raw: raw.replace(b'","payloadType"', b'\\n","payloadType"')),
    ("envelope", "keyid", lambda raw: raw.replace(KEY.public.id.encode(), b"Verified: yes")),
    ("envelope", "stranger", lambda raw: dsse.add_signatures(raw, [OTHER])),
    ("envelope", "twice", lambda raw: raw.replace(b'"signatures":[', b'"signatures":[%b,' % row_of(raw))),
)
def envelope_in_another_form(change):
    payload, blobs = parts()
    return bundle(payload, blobs, envelope=change(dsse.sign(json.dumps(payload).encode(), PAYLOAD_TYPE, [KEY])))


@hostile(66, "envelope")
def signatures_in_another_order_than_the_keys():
    payload, blobs = parts()
    payload["predicate"]["publisher"]["keys"].append(OTHER.public.facts())
    return bundle(payload, blobs, keys=[OTHER, KEY])
