"""A second reader of bundles, written from docs/bundle.md and schemas/bundle.schema.json alone: nothing of ours in it.

``read(data, base)`` gives the unpacked files by role or raises ``ValueError``; ``base`` is (name, fingerprint, shapes).
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
MOST = {"adapter_model.safetensors": 512 << 20, "slot_config.json": 65536, "card.md": 65536, "metrics.json": 262144}
ROLES = dict(zip(("weights", "config", "card", "metrics"), MOST, strict=True))
LINES = re.compile("[^\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]*")
TENSOR = re.compile(r"base_model\.model\.model\.layers\.(0|[1-9]\d{0,3})\.([a-z_.]+)\.lora_([AB])\.weight", re.ASCII)
ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 8032's L
WIDTH = {"F32": 4, "F16": 2, "BF16": 2}


def must(condition, rule):
    if not condition:
        raise ValueError(rule)


def strict(data, most=262144):  # section 4
    depth = 0
    for token in re.findall(rb'"(?:[^"\\]++|\\.)*+"?|[\[{\]}]', data, re.DOTALL):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token, 0)
        must(depth <= 16, "depth")

    def pairs(rows):
        must(len(dict(rows)) == len(rows), "key twice")
        return dict(rows)

    def real(text):
        must(math.isfinite(float(text)), "number")
        return float(text)

    def whole(text):
        must(len(text.lstrip("-")) <= 18, "digits")
        return int(text)

    must(len(data) <= most, "size")
    numbers = {"parse_int": whole, "parse_float": real, "parse_constant": real}
    value = json.loads(data.decode(), object_pairs_hook=pairs, **numbers)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def closed(record, value):  # section 5; ``$`` and whole numbers as in ECMA 262, not as in Python
    def pattern(_, regex, text, __):
        if isinstance(text, str) and not re.search(regex.removesuffix("$") + r"\Z", text):
            yield jsonschema.ValidationError(regex)

    kinds = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    kind = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": pattern}, type_checker=kinds)
    must(kind({**SCHEMA, "$ref": f"#/$defs/{record}"}).is_valid(value), record)


def members(data):  # section 2
    place, found = 0, {}
    while data[place : place + 512].strip(b"\0"):
        name, digits = data[place : place + 100].rstrip(b"\0"), data[place + 124 : place + 135]
        must(re.fullmatch(rb"[0-7]{11}", digits) and name not in found, "header")
        must(re.fullmatch(b"blobs/sha256/[0-9a-f]{64}" if found else rb"manifest\.dsse\.json", name), "name")
        block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + digits + b"\0" + b"0" * 11 + b"\0" + b" " * 8
        block += b"0" + bytes(100) + b"ustar\x0000" + bytes(247)
        must(data[place : place + 512] == block[:148] + b"%06o\0 " % sum(block) + block[156:], "header")
        start, size = place + 512, int(digits, 8)
        place = start + -(-size // 512) * 512
        must(place <= len(data) and not data[start + size : place].strip(b"\0"), "padding")
        found[name] = data[start : start + size]
    must(found and data[place:] == bytes(1024), "end")
    return found


def signed(envelope):  # section 3
    parts = strict(envelope)
    must(parts.keys() == {"payload", "payloadType", "signatures"} and 1 <= len(parts["signatures"]) <= 8, "envelope")
    must(parts["payloadType"] == "application/vnd.in-toto+json", "type")
    payload = base64.b64decode(parts["payload"], validate=True)
    closed("PublisherPart", (said := strict(payload))["predicate"]["publisher"])
    publisher = said["predicate"]["publisher"]
    keys = dict.fromkeys(base64.b64decode(key["public"]) for key in publisher["keys"])
    must(len(keys) == len(publisher["keys"]) >= publisher["threshold"], "keys")
    must(all(map(nacl.bindings.crypto_core_ed25519_is_valid_point, keys)), "weak key")
    message, fitting = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload, {}
    for key, row in ((key, row) for key in keys for row in parts["signatures"]):
        sig = base64.b64decode(row["sig"], validate=True)
        must(len(sig) == 64 and int.from_bytes(sig[32:], "little") < ORDER, "form of a signature")
        try:
            nacl.bindings.crypto_sign_open(sig + message, key)
            fitting[key] = {"keyid": hashlib.sha256(key).hexdigest()[:16], "sig": base64.b64encode(sig).decode()}
        except nacl.exceptions.BadSignatureError:
            continue
    must(len(fitting) >= publisher["threshold"], "signature")
    form = {"payload": base64.b64encode(payload).decode(), "payloadType": parts["payloadType"]}
    form["signatures"] = [*fitting.values()]
    must(json.dumps(form, separators=(",", ":")).encode() == envelope, "form of the envelope")
    return said


def unframe(data, size):  # section 6
    facts, place, last, blocks = zstandard.get_frame_parameters(data[:18]), 0, 0, 0
    must(data[:4] == b"\x28\xb5\x2f\xfd" and facts.content_size == size and not facts.dict_id, "frame")
    must(facts.window_size <= 8 << 20 and facts.has_checksum, "frame")
    place = zstandard.frame_header_size(data[:18])
    while not last:
        word, blocks = int.from_bytes(data[place : place + 3], "little"), blocks + 1
        must(place + 3 <= len(data) and blocks <= size // 512 + 64 and word >> 3 <= 1 << 17, "blocks")
        last, place = word & 1, place + 3 + (1 if word >> 1 & 3 == 1 else word >> 3)
    must(place + 4 == len(data), "end of the frame")
    return zstandard.ZstdDecompressor(max_window_size=8 << 20).stream_reader(data).read(size + 1)


def unpack(blob, file):
    if file["codec"] != "stp1":
        return unframe(blob, file["raw_size"]) if file["codec"] == "zstd" else blob
    (length,) = struct.unpack("<I", blob[:4])
    text, planes = blob[4 : 4 + length], blob[4 + length :]
    width = WIDTH[tensors(text, length, file["raw_size"])[0]]
    count = (file["raw_size"] - 8 - length) // width
    low = [planes[count * place : count * (place + 1)] for place in range(width - 1)]
    every = [np.frombuffer(plane, np.uint8) for plane in (*low, unframe(planes[count * (width - 1) :], count))]
    return struct.pack("<Q", length) + text + np.stack(every, 1).tobytes()


def tensors(text, length, size):  # section 6.1: dtype, rank, and (begin, end, shape) by place and half
    must(text[:1] == b"{" and len(text) - len(text.rstrip(b" ")) <= 8 and length == len(text) <= 1 << 20, "header")
    rows, pairs, spans = strict(text.rstrip(b" "), 1 << 20), {}, []
    must(rows.pop("__metadata__", {}) in ({}, {"format": "pt"}) and 2 <= len(rows) <= 8192, "header")
    (dtype,) = {row["dtype"] for row in rows.values()}
    for name, row in rows.items():
        match, (rows_, columns), (begin, end) = TENSOR.fullmatch(name), row["shape"], row["data_offsets"]
        must(match and len(name) <= 256 and ".." not in name and len(row) == 3, "tensor")
        must({type(number) for number in (rows_, columns, begin, end)} == {int} and min(rows_, columns) > 0, "tensor")
        must(end - begin == rows_ * columns * WIDTH[dtype], "shape")
        spans += [(8 + length + begin, 8 + length + end)]
        pairs.setdefault((int(match[1]), match[2]), {})[match[3]] = (*spans[-1], (rows_, columns))
    spans.sort()
    must([begin for begin, _ in spans] + [size] == [8 + length] + [end for _, end in spans], "layout")
    (rank,) = {rank for pair in pairs.values() for rank in (pair["A"][2][0], pair["B"][2][1])}
    must(len(pairs) == len({block for block, _ in pairs}) * len({path for _, path in pairs}), "places")
    return dtype, rank, pairs


def matrix(raw, dtype, begin, end, shape):
    if dtype == "BF16":
        return (np.frombuffer(raw[begin:end], "<u2").astype("<u4") << 16).view("<f4").astype(float).reshape(shape)
    return np.frombuffer(raw[begin:end], f"<f{WIDTH[dtype]}").astype(float).reshape(shape)


def check_weights(raw, config, predicate, base):  # sections 6.1 and 6.2
    length = int.from_bytes(raw[:8], "little")
    dtype, rank, pairs = tensors(raw[8 : 8 + length], length, len(raw))
    places = [*({path.rpartition(".")[2] for _, path in pairs}, {block for block, _ in pairs})]
    must([config[key] for key in ("r", "dtype", "targets", "layers")] == [rank, dtype, *map(sorted, places)], "config")
    scale = config["alpha"] / (math.sqrt(rank) if config["rslora"] else rank)
    same = {key: config[key] for key in ("type", "r", "alpha", "rslora", "targets", "dtype")}
    same |= {"tensors": 2 * len(pairs), "params": (len(raw) - 8 - length) // WIDTH[dtype]}
    must(predicate["adapter"] == same and scale <= 64, "config")
    hashes = (predicate["base"][f"{part}_sha256"] for part in ("config", "tokenizer", "chat_template", "tensor_index"))
    ours = hashlib.sha256("".join(hashes).encode()).hexdigest() == base[1]
    must(ours or predicate["base"]["id"] != base[0], "base")
    for place, pair in pairs.items():
        down, up = (matrix(raw, dtype, *pair[half]) for half in "AB")
        must(not ours or base[2].get(place) == (len(up), len(down.T)), "shape")
        must(np.isfinite(down).all() and np.isfinite(up).all() and scale * np.linalg.norm(up @ down) <= 1e4, "numbers")


def read_whole(data, base):
    found = members(data)
    closed("Manifest", said := signed(found.pop(b"manifest.dsse.json")))
    predicate, files, raw = said["predicate"], said["predicate"]["files"], {}
    must(
        [(s["name"], s["digest"]["sha256"]) for s in said["subject"]] == [(f["path"], f["raw_sha256"]) for f in files],
        "",
    )
    must(list(found) == [f"blobs/sha256/{file['blob']}".encode() for file in files], "members")
    must(not predicate["requires"] and sum(file["raw_size"] for file in files) <= 512 << 20, "requires, size")
    for file, blob in zip(files, found.values(), strict=True):
        must(file["role"] not in raw and file["path"] == ROLES[file["role"]], "role")
        must(file["raw_size"] <= MOST[file["path"]] and (file["codec"] != "stp1" or file["role"] == "weights"), "file")
        must((file["blob_size"], file["blob"]) == (len(blob), hashlib.sha256(blob).hexdigest()), "blob")
        raw[file["role"]] = out = unpack(blob, file)
        must((file["raw_size"], file["raw_sha256"]) == (len(out), hashlib.sha256(out).hexdigest()), "unpacked")
    closed("SlotConfig", config := strict(raw["config"]))
    closed("Metrics", strict(raw.get("metrics", b'{"format":1,"gates":[],"curve":[]}')))
    must(LINES.fullmatch(raw.get("card", b"").decode()), "card")
    check_weights(raw["weights"], config, predicate, base)
    return raw


def read(data, base):
    try:
        return read_whole(data, base)
    except (KeyError, TypeError, AttributeError, struct.error, RecursionError, zstandard.ZstdError) as error:
        raise ValueError("not as the page says") from error
    except nacl.exceptions.CryptoError as error:
        raise ValueError("signature") from error
