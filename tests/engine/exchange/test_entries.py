"""Cutting JSON of any size and health into its entries."""

from __future__ import annotations

import io
import json
import random

import pytest

from nightschool.engine.exchange import entries as room
from nightschool.engine.exchange.entries import CUT_OFF, DAMAGED, NO_ENTRY, TOO_DEEP, TOO_LARGE, entries, first_keys
from nightschool.schemas.exchange import Skipped


class Dribble(io.BytesIO):
    """Gives a few bytes at a time, however many are asked for."""

    step = 3

    def read(self, size=-1):
        return super().read(min(size, self.step) if size and size > 0 else self.step)


def cut(data, stream=io.BytesIO):
    return [one.reason if isinstance(one, Skipped) else one for one in entries(stream(data))]


VALUES = [
    {"a": 'quote " and \\ and \\" done', "b": ["]", "}", {"c": "[{"}]},
    {},
    {"ü": "\u2028 \n", "long": "x" * 5000, "deep": [[[[{"k": [1]}]]]]},
    {"escape at the end": "\\"},
]


@pytest.mark.parametrize("stream", [io.BytesIO, Dribble])
@pytest.mark.parametrize(
    "data",
    [
        json.dumps(VALUES),
        json.dumps(VALUES, indent=2),
        "\n".join(map(json.dumps, VALUES)),
        "\r\n\r\n" + "\r\n\n".join(map(json.dumps, VALUES)) + "\n\n",
        "\n".join(json.dumps(value, indent=1, ensure_ascii=False) for value in VALUES),
        "\ufeff" + json.dumps(VALUES, ensure_ascii=False),
    ],
    ids=["array", "indented", "lines", "blank lines", "one after another", "marked"],
)
def test_arrays_lines_and_values_give_their_entries(data, stream):
    assert cut(data.encode(), stream) == VALUES


@pytest.mark.parametrize("size", [1, 2, 5, 64])
def test_entries_do_not_depend_on_where_the_reading_stops(size, monkeypatch):
    monkeypatch.setattr(room, "CHUNK", size)
    assert cut(json.dumps(VALUES, indent=1).encode()) == VALUES
    assert cut("\n".join(map(json.dumps, VALUES)).encode()) == VALUES


def test_a_damaged_entry_costs_no_other():
    good = b'{"a": 1}'
    broken = [b'{"a" 1}', b'{"a": NULL}', b'{"a": [1,,2]}', b"{1: 2}"]
    assert cut(b"[" + b", ".join([good, *broken, good]) + b"]") == [{"a": 1}, *[DAMAGED] * 4, {"a": 1}]
    assert cut(b"\n".join([good, *broken, good])) == [{"a": 1}, *[DAMAGED] * 4, {"a": 1}]


def test_what_is_no_object_is_counted():
    assert cut(b'[null, 3, "a, b", {"a": 1}, [1], true]') == [NO_ENTRY] * 4 + [{"a": 1}] + [NO_ENTRY] * 2
    assert cut(b'{"a": 1}\nnull\n5\n') == [{"a": 1}, NO_ENTRY, NO_ENTRY]


@pytest.mark.parametrize("end", [20, 30, 40, 42])
def test_a_file_that_was_cut_off_gives_what_is_whole(end):
    whole = json.dumps([{"a": 1}, {"b": "two, and {more"}, {"c": 3}]).encode()
    *found, last = cut(whole[:end])
    assert found[0] == {"a": 1} and last == CUT_OFF
    assert cut(whole[:-1])[-2:] == [{"c": 3}, CUT_OFF]


def test_odd_values_are_read_as_far_as_they_can_be():
    assert cut(b'[{"t": NaN, "i": -Infinity}]') == [{"t": None, "i": None}]
    assert cut(b'[{"t": "\xff\xc3"}]') == [{"t": "\ufffd\ufffd"}]
    assert cut(b'[{"t": "\x00\x1b\n"}]') == [{"t": "\x00\x1b\n"}]
    assert cut(b'[{"k": 1, "k": 2}]') == [{"k": 2}]
    assert cut(b'[{"n": ' + b"9" * 5000 + b'}, {"a": 1}]') == [DAMAGED, {"a": 1}]


def test_deep_nesting_is_one_skipped_entry():
    deep = b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    assert cut(b"[" + deep + b', {"a": 1}]') == [TOO_DEEP, {"a": 1}]
    assert cut(b"[" * 300_000) == [CUT_OFF]


@pytest.mark.parametrize("joint", [b", ", b"\n"])
def test_what_is_too_large_is_skipped_without_being_kept(monkeypatch, joint):
    monkeypatch.setattr(room, "LARGEST_ENTRY", 1000)
    monkeypatch.setattr(room, "CHUNK", 100)
    large = b'{"a": "' + b"x\\\\" * 1000 + b'"}'
    data = joint.join([b'{"a": 1}', large, b'{"a": 2}'])
    assert cut(b"[" + data + b"]" if joint == b", " else data) == [{"a": 1}, TOO_LARGE, {"a": 2}]


def test_no_bytes_at_all_break_it():
    chance = random.Random(7)
    whole = json.dumps(VALUES * 3).encode()
    for _ in range(300):
        spoilt = bytearray(whole)
        for _ in range(chance.randint(1, 20)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        cut(bytes(spoilt))
        first_keys(bytes(spoilt))
    for junk in (b"", b" \n", b"]", b"}", b'"', b"\\", b",,,", b"[", b"[]", b"[}", b"{]", b"{"):
        cut(junk)


@pytest.mark.parametrize(
    ("head", "keys"),
    [
        (b'[{"a": {"inner": 1}, "b": [{"c": 2}], "d" : "e"}, {"later": 1}]', {"a", "b", "d"}),
        (b'{"a": 1}\n{"b": 2}', {"a"}),
        (b' \n[\n  {\n "a": "b: {", "cut', {"a"}),
        (b"[1, 2]", set()),
        (b'["a", "b"]', set()),
    ],
)
def test_the_keys_of_the_first_entry(head, keys):
    assert first_keys(head) == keys
