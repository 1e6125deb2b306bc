"""Bytes and what they mean: the same to the engine, to the vectors, and to a reading of the protocol alone."""

import json
from pathlib import Path

import pytest
import torch

from nightschool.engine.wire import tokens as ids
from nightschool.engine.wire.frames import Reader, Type
from nightschool.engine.wire.prefix import Prefix, prefix_hash
from nightschool.engine.wire.rows import decode_guesses, decode_rows
from nightschool.tests.engine.wire import plain

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text("utf-8"))


def only(iterable):
    (item,) = iterable
    return item


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda vector: vector["name"])
def test_a_frame_means_the_same_to_all(vector):
    data = bytes.fromhex(vector["hex"])
    header, payload = only(plain.frames(data))
    frame = only(Reader(lambda header: None).feed(data))
    for name in ("type", "codec", "flags", "position", "rows", "width", "sequence", "length"):
        assert getattr(frame.header, name) == header[name] == vector["header"][name]
    if frame.header.type is Type.TOKENS:
        assert ids.decode_tokens(frame) == plain.tokens(header, payload) == vector["tokens"]
    elif frame.header.type is Type.ROWS:
        guessed, states = plain.states(header, payload)
        assert decode_guesses(frame) == guessed == vector.get("guessed", [])
        assert states == vector["states"]
        torch.testing.assert_close(decode_rows(frame), torch.tensor(states), rtol=1e-6, atol=1e-6)
    else:
        assert json.loads(frame.payload) == vector["record"]


def test_every_codec_and_flag_has_a_vector():
    rows = [vector["header"] for vector in VECTORS["frames"] if vector["header"]["type"] == Type.ROWS]
    assert {header["codec"] for header in rows} == set(plain.NAMES)
    assert {header["flags"] for header in rows} >= {0, 1, 2}


@pytest.mark.parametrize("vector", VECTORS["prefixes"], ids=lambda vector: str(len(vector["tokens"])))
def test_a_prefix_has_the_same_hash_for_all(vector):
    assert prefix_hash(vector["tokens"]) == plain.prefix_hash(vector["tokens"]) == vector["hash"]


def test_a_history_that_goes_back_has_the_hash_of_what_is_left():
    prefix, kept = Prefix(), []
    for length, new in ((0, 70), (64, 1), (65, 200), (130, 0), (129, 63), (192, 5), (0, 3)):
        prefix.truncate(length)
        kept = kept[:length] + list(range(length, length + new))
        prefix.extend(kept[length:])
        assert list(prefix.tokens) == kept
        for end in {0, len(kept) // 2, len(kept)}:
            assert prefix.hash(end) == plain.prefix_hash(kept[:end])


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["name"])
def test_a_message_of_a_websocket_has_the_frames_of_a_body(vector):
    data = bytes.fromhex(vector["hex"])
    read = list(Reader(lambda header: None).feed(data))
    for (header, payload), frame, meant in zip(plain.frames(data), read, vector["frames"], strict=True):
        assert header["type"] == frame.header.type == meant["type"]
        if frame.header.type is Type.TOKENS:
            assert ids.decode_tokens(frame) == plain.tokens(header, payload) == meant["tokens"]
            assert (header["position"], header["sequence"]) == (meant["position"], meant["sequence"])
        else:
            assert json.loads(payload) == meant["record"]
