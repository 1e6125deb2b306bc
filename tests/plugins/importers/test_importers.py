"""The exports of each service in the shapes that they have, and what is read of them."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest

from nightschool.engine.exchange.contracts import HEAD_BYTES
from nightschool.engine.exchange.turns import EMPTY
from nightschool.engine.host.plugins import PluginHost
from nightschool.plugins.importers import chatgpt, claude
from nightschool.plugins.importers.nightschool import DAMAGED, NEWER
from nightschool.schemas.exchange import Skipped, Transcript
from nightschool.schemas.records import Role

EXPORTS = Path(__file__).parent / "exports"
FILES = {
    "chatgpt": (EXPORTS / "chatgpt.json").read_bytes(),
    "claude": (EXPORTS / "claude.json").read_bytes(),
    "sharegpt": (EXPORTS / "sharegpt.json").read_bytes(),
    "openai": (EXPORTS / "openai.jsonl").read_bytes(),
    "nightschool": b'{"nightschool": 1, "conversation": {"turns": [{"role": "user", "text": "Hi"}]}}\n',
}
IMPORTERS = {one.name: one for one in PluginHost.load(third_party=False).collect("nightschool_importers")}


def read(name, data):
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    return list(IMPORTERS[name].read(io.BytesIO(data)))


def said(found):
    assert isinstance(found, Transcript), found
    return [(one.role.value, one.text) for one in found.turns]


@pytest.mark.parametrize("name", FILES)
def test_each_recognises_its_own_files_and_no_other(name):
    head = FILES[name][:HEAD_BYTES]
    assert [one.name for one in IMPORTERS.values() if one.recognises(head)] == [name]
    compact = json.dumps(json.loads(FILES[name])).encode() if FILES[name].startswith(b"[") else FILES[name]
    for form in (compact, b"\xef\xbb\xbf \n" + FILES[name], compact[:400]):
        assert [one.name for one in IMPORTERS.values() if one.recognises(form)] == [name]


@pytest.mark.parametrize(
    "head", [b"", b"\x00\xff\xfe", b"null", b"[1, 2]", b"{}", b'{"a": "mapping"}', b'"', b"[[[[" * 99]
)
def test_what_is_no_export_is_recognised_by_none(head):
    assert not any(one.recognises(head) for one in IMPORTERS.values())


# -- ChatGPT -----------------------------------------------------------------------------------------------------------


def test_chatgpt_gives_the_branch_that_is_seen_without_tools_thoughts_and_what_is_hidden():
    bread, danish, empty = read("chatgpt", FILES["chatgpt"])
    assert said(bread) == [
        ("user", "What bread is this?"),
        ("assistant", "A rye sourdough.\n\nIt keeps for a week."),
        ("user", "How do I store it?"),
        ("assistant", "In a cloth, cut side down."),
    ]
    assert (bread.id, bread.title) == ("6610a2ee-0000-800d-9c3f-5d1f1a1a0001", "Rye bread")
    assert (bread.created, bread.updated) == (1712345678.0, 1712345711.0)
    assert [(one.id, one.created) for one in bread.turns][:2] == [("u1", 1712345678.25), ("a1", 1712345690.75)]
    assert said(danish)[-1] == ("assistant", "Hej.") and danish.title == "" and danish.turns[1].created is None
    assert empty == Skipped(reason=EMPTY, title="New chat")


def chat(mapping, current, **more):
    return {"id": "x", "title": "T", "mapping": mapping, "current_node": current, **more}


def node(role, text, parent=None, children=(), **more):
    content = {"content_type": "text", "parts": [text]}
    message = {"author": {"role": role}, "content": content, "weight": 1.0, "recipient": "all", **more}
    return {"message": message, "parent": parent, "children": list(children)}


def test_a_chatgpt_tree_that_goes_in_circles_ends():
    mapping = {"a": node("user", "Hi", "b", ["b"]), "b": node("assistant", "Hello", "a", ["a"])}
    (found,) = read("chatgpt", [chat(mapping, "b")])
    assert said(found) == [("user", "Hi"), ("assistant", "Hello")]
    itself = {"a": node("user", "Hi", "a", ["a"])}
    assert said(read("chatgpt", [chat(itself, "a")])[0]) == [("user", "Hi")]


def test_a_chatgpt_tree_without_its_end_is_followed_to_the_last_leaf():
    mapping = {"a": node("user", "Hi", None, ["b"]), "b": node("assistant", "Hello", "a")}
    for current in (None, "gone", 7):
        assert said(read("chatgpt", [chat(mapping, current)])[0]) == [("user", "Hi"), ("assistant", "Hello")]


@pytest.mark.parametrize(
    "more", [{"weight": 0.0}, {"recipient": "python"}, {"metadata": {"is_visually_hidden_from_conversation": True}}]
)
def test_a_chatgpt_message_that_is_not_for_the_eye_is_left_out(more):
    mapping = {"a": node("user", "Hi", None, ["b"]), "b": node("assistant", "aside", "a", **more)}
    assert said(read("chatgpt", [chat(mapping, "b")])[0]) == [("user", "Hi")]


@pytest.mark.parametrize(
    "mapping",
    [None, [], "x", {"a": None}, {"a": {"message": 3}}, {"a": {"message": {"author": "me", "content": "x"}}},
     {"a": {"message": {"author": {"role": ["user"]}, "content": {"content_type": "text", "parts": 5}}}},
     {"a": {"message": {"author": {"role": "user"}, "content": {"content_type": "text", "parts": [None, 4, [], {}]}}}}],
)  # fmt: skip
def test_odd_chatgpt_entries_are_skipped_and_the_next_is_read(mapping):
    odd, good = read("chatgpt", [chat(mapping, "a"), chat({"a": node("user", "Hi")}, "a")])
    assert odd.reason in (EMPTY, chatgpt.NO_TREE) and said(good) == [("user", "Hi")]


# -- Claude ------------------------------------------------------------------------------------------------------------


def test_claude_gives_what_was_said_without_thoughts_and_tools():
    knots, old, branched, empty = read("claude", FILES["claude"])
    assert said(knots) == [("user", "Which knot holds a swing?"), ("assistant", "Let me look.\n\nA bowline.")]
    assert (knots.id, knots.title) == ("3f6b7c52-0000-4a1e-9d3b-000000000001", "Knots for hanging a swing")
    assert (knots.created, knots.turns[1].created) == (1740816930.123456, 1740816940.5)
    assert said(old) == [("user", "Old shape?"), ("assistant", "Text alone.")]
    assert said(branched) == [("user", "Name a river."), ("assistant", "The Oder."), ("user", "And a lake?")]
    assert empty.reason == EMPTY


def test_odd_claude_entries_are_skipped_and_the_next_is_read():
    good = {"uuid": "1", "chat_messages": [{"sender": "human", "text": "Hi"}]}
    circle = [{"uuid": "a", "parent_message_uuid": "b", "sender": "human", "text": "1"},
              {"uuid": "b", "parent_message_uuid": "a", "sender": "assistant", "text": "2"}]  # fmt: skip
    odd = [{"chat_messages": 5}, {"chat_messages": [None, 3, {"sender": 4}]}, {"chat_messages": circle}, good]
    found = read("claude", odd)
    assert [one.reason for one in found[:2]] == [claude.NO_MESSAGES, EMPTY]
    assert said(found[2]) == [("user", "1"), ("assistant", "2")] and said(found[3]) == [("user", "Hi")]


# -- ShareGPT, OpenAI --------------------------------------------------------------------------------------------------


def test_sharegpt_gives_both_sides():
    walden, weather, empty = read("sharegpt", FILES["sharegpt"])
    assert said(walden) == [("user", "Summarize the main ideas of Walden."), ("assistant", "Live simply.")]
    assert walden.id == "QWJhYvA_0"
    assert said(weather) == [("user", "Weather?"), ("assistant", "It rains.")]
    assert empty.reason == EMPTY


def test_openai_gives_both_sides_without_what_weighs_nothing():
    paris, faust, cat = read("openai", FILES["openai"])
    assert said(paris)[0] == ("user", "What's the capital of France?") and len(paris.turns) == 2
    assert said(faust) == [("user", "Who wrote Faust?\n\nBe serious."), ("assistant", "Goethe.")]
    assert said(cat) == [("user", "What is in the picture?"), ("assistant", "A cat.")]


@pytest.mark.parametrize(
    ("name", "entry"),
    [("sharegpt", {"conversations": {"from": "human"}}), ("sharegpt", {"conversations": [1, {"from": 2, "value": 3}]}),
     ("openai", {"messages": "x"}), ("openai", {"messages": [{"role": "user", "content": {"a": 1}}, None]})],
)  # fmt: skip
def test_odd_entries_are_skipped(name, entry):
    (found,) = read(name, [entry])
    assert isinstance(found, Skipped)


# -- hostile values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", ["NaN", "1e999", "-5", "null", "true", '"yesterday"', "[]", "9" * 400, "1e15"])
def test_times_that_are_none_are_not_known(time):
    entry = json.dumps(chat({"a": node("user", "Hi", create_time="@")}, "a", create_time="@", update_time="@"))
    (found,) = read("chatgpt", f"[{entry}]".replace('"@"', time).encode())
    assert (found.created, found.updated, found.turns[0].created) == (None, None, None)


def test_halves_of_characters_and_broken_bytes_become_signs_of_it():
    said_so = b'{"sender": "human", "text": "a\xff\\udc00\\ud83d\\ude00"}'
    data = b'[{"uuid": "1", "name": "\\ud83d x", "chat_messages": [' + said_so + b"]}]"
    (found,) = read("claude", data)
    assert found.title == "\ufffd x" and said(found) == [("user", "a\ufffd\ufffd\U0001f600")]


def test_control_characters_are_text():
    (found,) = read("openai", b'{"messages": [{"role": "user", "content": "\\u0000\x1b[2J\\u009b"}]}')
    assert said(found) == [("user", "\x00\x1b[2J\x9b")]


ODD = (None, True, 0, -1.5, "", "x", [], {}, [[]], [None], {"x": 1}, ["a", 3], "9" * 50)


def spoil(value, chance):
    """Return a JSON value with some of its parts replaced by anything else."""
    if chance.random() < 0.04:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {key: spoil(part, chance) for key, part in value.items() if chance.random() > 0.02}
    return [spoil(part, chance) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", FILES)
def test_nothing_that_a_file_holds_makes_an_importer_fail(name):
    chance = random.Random(name)
    data = FILES[name]
    values = json.loads(data) if data.startswith(b"[") else [json.loads(line) for line in data.splitlines()]
    for _ in range(300):
        for found in read(name, [spoil(value, chance) for value in values]):
            assert isinstance(found, Skipped) or found.turns


# -- Night School ------------------------------------------------------------------------------------------------------


def own(**entry):
    return json.dumps(entry).encode()


TURN = {"role": "user", "text": "Hi"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (own(nightschool=2, conversation={}), NEWER),
        (own(nightschool="1", conversation={}), DAMAGED),
        (own(nightschool=1), DAMAGED),
        (own(nightschool=1, conversation={"turns": [TURN]}, more=1), DAMAGED),
        (own(nightschool=1, spell={}), DAMAGED),
        (own(nightschool=1, conversation={"turns": []}), EMPTY),
        (own(nightschool=1, conversation={"turns": [{**TURN, "unknown": 1}]}), DAMAGED),
        (own(nightschool=1, conversation={"turns": [{**TURN, "created": "x"}]}), DAMAGED),
        (own(nightschool=1, conversation={"turns": [{**TURN, "replaced_by": 0}]}), DAMAGED),
        (own(nightschool=1, conversation={"turns": [TURN], "signals": [{"turn": 1, "kind": "edit"}]}), DAMAGED),
        (b'{"nightschool": 1, "conversation": {"turns": [{"role": "user", "text": "\\ud800"}]}}', DAMAGED),
        (own(nightschool=1, lesson={"rule": "x"}), DAMAGED),
    ],
)
def test_a_line_that_is_not_as_night_school_writes_it_is_skipped(line, reason):
    first, second = read("nightschool", line + b"\n" + FILES["nightschool"])
    assert first.reason == reason and second.turns[0].role is Role.USER
