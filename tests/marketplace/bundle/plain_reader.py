"""A second reader of bundles, written from docs/bundle.md and schemas/bundle.schema.json alone: nothing of ours in it.

``read(data, base)`` gives the unpacked files by role, or raises ``Bad``. ``base`` is (name, fingerprint, shapes).
"""

import base64
import hashlib
import json
import math
import re
import struct
from pathlib import Path

import jsonschema
import nacl.bindings
import nacl.exceptions
import numpy as np
import zstandard

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "bundle.schema.json").read_text("utf-8"))
PATHS = {
    "weights": "adapter_model.safetensors",
    "config": "slot_config.json",
    "card": "card.md",
    "metrics": "metrics.json",
}
MOST = {"weights": 512 << 20, "config": 64 << 10, "card": 64 << 10, "metrics": 256 << 10}
LINES = re.compile("[^\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]*")


class Bad(Exception):
    """It breaks a rule of the page."""


def must(condition, rule):
    if not condition:
        raise Bad(rule)


def strict(data, most):
    """Section 4."""
    must(len(data) <= most, "JSON size")
    depth = 0
    for token in re.findall(rb'"(?:[^"\\]++|\\.)*+"?|[\[{\]}]', data, re.DOTALL):
        depth += (token in b"[{") - (token in b"]}") if len(token) == 1 else 0
        must(depth <= 16, "depth")

    def pairs(rows):
        must(len(dict(rows)) == len(rows), "key twice")
        return dict(rows)

    def number(text):
        must(len(text) < 400 and (not text.lstrip("-").isdigit() or len(text.lstrip("-")) <= 18), "number")
        value = float(text) if set(text) & set(".eE") else int(text)
        must(math.isfinite(value), "number")
        return value

    try:
        options = {"parse_constant": lambda name: must(False, name), "parse_int": number, "parse_float": number}
        value = json.loads(data.decode(), object_pairs_hook=pairs, **options)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Bad("JSON") from error
    return value


def closed(record, value):
    """Section 5: ``$`` is the end of the text, as in ECMA 262, and a whole number has no fraction."""

    def pattern(validator, regex, text, schema):
        if isinstance(text, str) and not re.search(regex.removesuffix("$") + r"\Z", text):
            yield jsonschema.ValidationError(f"not {regex}")

    checker = jsonschema.Draft202012Validator.TYPE_CHECKER
    whole = checker.redefine("integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool))
    kind = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": pattern}, type_checker=whole)
    must(kind({**SCHEMA, "$ref": f"#/$defs/{record}"}).is_valid(value), record)


def header(name, size):
    """Section 2."""
    block = name.encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"0" * 11 + b"\0"
    block += b" " * 8 + b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def members(data):
    place, found = 0, {}
    while data[place : place + 512].strip(b"\0"):
        block = data[place : place + 512]
        name, digits = block[:100].rstrip(b"\0").decode("ascii", "replace"), block[124:135]
        must(re.fullmatch(rb"[0-7]{11}", digits) and name not in found, "header")
        size, place = int(digits, 8), place + 512
        must(block == header(name, size) and place + size <= len(data), "header")
        must(re.fullmatch("blobs/sha256/[0-9a-f]{64}" if found else r"manifest\.dsse\.json", name), "name")
        found[name] = data[place : place + size]
        end = -(-size // 512) * 512
        must(data[place + size : place + end] == bytes(end - size), "padding")
        place += end
    must(found and data[place:] == bytes(1024), "end")
    return found


def signed(envelope):
    """Section 3."""
    parts = strict(envelope, 256 << 10)
    must(isinstance(parts, dict) and parts.keys() == {"payload", "payloadType", "signatures"}, "envelope")
    must(parts["payloadType"] == "application/vnd.in-toto+json" and 1 <= len(parts["signatures"]) <= 8, "envelope")
    try:
        payload = base64.b64decode(parts["payload"], validate=True)
        sigs = [base64.b64decode(row["sig"], validate=True) for row in parts["signatures"]]
        said = strict(payload, 256 << 10)
        closed("PublisherPart", said["predicate"]["publisher"])
        publisher = said["predicate"]["publisher"]
        keys = {base64.b64decode(key["public"], validate=True) for key in publisher["keys"]}
    except (ValueError, TypeError, KeyError) as error:
        raise Bad("envelope") from error
    must(len(keys) == len(publisher["keys"]) >= publisher["threshold"], "keys")
    must(all(nacl.bindings.crypto_core_ed25519_is_valid_point(key) for key in keys), "weak key")
    message = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
    fitting = sum(any(fits(key, sig, message) for sig in sigs) for key in keys)
    must(fitting >= publisher["threshold"], "signature")
    return said


def fits(key, sig, message):
    try:
        return len(sig) == 64 and nacl.bindings.crypto_sign_open(sig + message, key) == message
    except nacl.exceptions.BadSignatureError:
        return False


def unframe(data, size):
    """Section 6: one frame of ``size`` bytes."""
    try:
        facts = zstandard.get_frame_parameters(data[:18])
        must(data[:4] == b"\x28\xb5\x2f\xfd" and facts.content_size == size and not facts.dict_id, "frame")
        must(facts.window_size <= 8 << 20 and facts.has_checksum, "frame")
        place, last, blocks = zstandard.frame_header_size(data[:18]), 0, 0
        while not last:
            word, blocks = int.from_bytes(data[place : place + 3], "little"), blocks + 1
            must(place + 3 <= len(data) and blocks <= size // 512 + 64 and word >> 3 <= 1 << 17, "blocks")
            last, place = word & 1, place + 3 + (1 if word >> 1 & 3 == 1 else word >> 3)
        must(place + 4 == len(data), "frame end")
        out = zstandard.ZstdDecompressor(max_window_size=8 << 20).stream_reader(data).read(size + 1)
    except zstandard.ZstdError as error:
        raise Bad("frame") from error
    must(len(out) == size, "frame size")
    return out


def unpack(blob, file):
    if file["codec"] == "zstd":
        return unframe(blob, file["raw_size"])
    if file["codec"] == "raw":
        return blob
    must(len(blob) >= 4 and struct.unpack("<I", blob[:4])[0] <= min(1 << 20, len(blob) - 4), "planes")
    length = struct.unpack("<I", blob[:4])[0]
    text, planes = blob[4 : 4 + length], blob[4 + length :]
    dtype = tensors(text, file["raw_size"])[0]
    width = 4 if dtype == "F32" else 2
    count = (file["raw_size"] - 8 - length) // width
    top = unframe(planes[count * (width - 1) :], count)
    low = [planes[count * place : count * (place + 1)] for place in range(width - 1)]
    return struct.pack("<Q", length) + text + np.stack([np.frombuffer(p, np.uint8) for p in (*low, top)], 1).tobytes()


def tensors(text, size):
    """Section 6.1: dtype, and (start, end, shape) of A and B by block and path."""
    body = text.rstrip(b" ")
    must(body[:1] == b"{" and len(text) - len(body) <= 8 and len(text) <= 1 << 20, "header")
    rows, pairs, spans = strict(body, 1 << 20), {}, []
    must(rows.pop("__metadata__", {}) in ({}, {"format": "pt"}) and 2 <= len(rows) <= 8192, "header")
    for name, row in rows.items():
        match = re.fullmatch(
            r"base_model\.model\.model\.layers\.(0|[1-9][0-9]{0,3})\.([a-z_.]+)\.lora_([AB])\.weight", name
        )
        must(match and len(name) <= 256 and ".." not in name and isinstance(row, dict), "name")
        must(row.keys() == {"dtype", "shape", "data_offsets"} and row["dtype"] in ("F32", "F16", "BF16"), "tensor")
        must(
            all(len(part) == 2 and all(type(n) is int for n in part) for part in (row["shape"], row["data_offsets"])),
            "tensor",
        )
        begin, end = (8 + len(text) + offset for offset in row["data_offsets"])
        must(
            end - begin == math.prod(row["shape"]) * (4 if row["dtype"] == "F32" else 2) and min(row["shape"]) > 0,
            "shape",
        )
        spans.append((begin, end))
        pairs.setdefault((int(match[1]), match[2]), {})[match[3]] = (begin, end, row["shape"])
    must([a for a, _ in sorted(spans)] + [size] == [8 + len(text)] + [b for _, b in sorted(spans)], "layout")
    must(
        len({row["dtype"] for row in rows.values()}) == 1 and all(pair.keys() == {"A", "B"} for pair in pairs.values()),
        "pairs",
    )
    must(len({rank for p in pairs.values() for rank in (p["A"][2][0], p["B"][2][1])}) == 1, "rank")
    must(len(pairs) == len({n for n, _ in pairs}) * len({path for _, path in pairs}), "places")
    return next(iter(rows.values()))["dtype"], pairs


def numbers(raw, dtype, span):
    begin, end, shape = span
    if dtype == "BF16":
        return (np.frombuffer(raw[begin:end], "<u2").astype("<u4") << 16).view("<f4").astype(float).reshape(shape)
    return np.frombuffer(raw[begin:end], "<f2" if dtype == "F16" else "<f4").astype(float).reshape(shape)


def read(data, base):
    """Read a whole bundle."""
    must(0 < len(data) <= 512 << 20, "size")
    found = members(data)
    said = signed(found.pop("manifest.dsse.json"))
    closed("Manifest", said)
    predicate, files = said["predicate"], said["predicate"]["files"]
    must(not predicate["requires"] and not {"weights", "config"} - {file["role"] for file in files}, "files")
    must(
        [(s["name"], s["digest"]["sha256"]) for s in said["subject"]] == [(f["path"], f["raw_sha256"]) for f in files],
        "subject",
    )
    must(
        list(found) == [f"blobs/sha256/{file['blob']}" for file in files]
        and len({f["role"] for f in files}) == len(files),
        "blobs",
    )
    must(sum(file["raw_size"] for file in files) <= 512 << 20, "size")
    raw = {}
    for file, blob in zip(files, found.values(), strict=True):
        must(file["path"] == PATHS[file["role"]] and file["raw_size"] <= MOST[file["role"]], "file")
        must(file["codec"] != "stp1" or file["role"] == "weights", "codec")
        must(len(blob) == file["blob_size"] and hashlib.sha256(blob).hexdigest() == file["blob"], "blob")
        out = raw[file["role"]] = unpack(blob, file)
        must(len(out) == file["raw_size"] and hashlib.sha256(out).hexdigest() == file["raw_sha256"], "file")
    config, weights = strict(raw["config"], 64 << 10), raw["weights"]
    closed("SlotConfig", config)
    if "metrics" in raw:
        closed("Metrics", strict(raw["metrics"], 256 << 10))
    try:
        must(LINES.fullmatch(raw.get("card", b"").decode()), "card")
    except UnicodeDecodeError as error:
        raise Bad("card") from error
    must(len(weights) >= 8 and struct.unpack("<Q", weights[:8])[0] <= min(1 << 20, len(weights) - 8), "header")
    dtype, pairs = tensors(weights[8 : 8 + struct.unpack("<Q", weights[:8])[0]], len(weights))
    rank = next(iter(pairs.values()))["A"][2][0]
    places = sorted({path.rpartition(".")[2] for _, path in pairs}), sorted({block for block, _ in pairs})
    must((config["r"], config["dtype"], config["targets"], config["layers"]) == (rank, dtype, *places), "config")
    scale = config["alpha"] / (math.sqrt(rank) if config["rslora"] else rank)
    counted = {"tensors": 2 * len(pairs), "params": sum(math.prod(s[2]) for p in pairs.values() for s in p.values())}
    same = {key: config[key] for key in ("type", "r", "alpha", "rslora", "targets", "dtype")} | counted
    must(predicate["adapter"] == same and scale <= 64, "config")
    name, fingerprint, shapes = base
    hashes = (predicate["base"][f"{part}_sha256"] for part in ("config", "tokenizer", "chat_template", "tensor_index"))
    ours = hashlib.sha256("".join(hashes).encode()).hexdigest() == fingerprint
    must(ours or predicate["base"]["id"] != name, "base")
    for place, pair in pairs.items():
        down, up = numbers(weights, dtype, pair["A"]), numbers(weights, dtype, pair["B"])
        must(not ours or shapes.get(place) == (up.shape[0], down.shape[1]), "shape")
        must(np.isfinite(down).all() and np.isfinite(up).all(), "numbers")
        must(scale * np.linalg.norm(up @ down) <= 1e4, "norm")
    return raw
