"""What is asked is read as it is meant, or refused by the name of what is at fault."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightschool.engine.api.asking import read_chat
from nightschool.engine.api.refusal import Refusal
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role

HELLO = [{"role": "user", "content": "Hello"}]


def read(**fields):
    return read_chat(json.dumps({"model": "science", "messages": HELLO, **fields}).encode())


def refused(**fields):
    with pytest.raises(Refusal) as caught:
        read(**fields)
    assert caught.value.status == 400
    return caught.value


def test_a_plain_question_leaves_everything_to_the_slot():
    asked = read()
    assert (asked.model, asked.system, asked.stop, asked.stream, asked.usage) == ("science", "", (), False, False)
    assert asked.sampling == Sampling()
    assert [(turn.role, turn.text) for turn in asked.turns] == [(Role.USER, "Hello")]


def test_system_and_developer_messages_come_together_and_parts_are_joined():
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": parts, "name": "me"},
        {"role": "assistant", "content": None},
        {"role": "developer", "content": "In French."},
        {"role": "user", "content": "And?"},
    ]
    asked = read(messages=messages)
    assert asked.system == "Be brief.\n\nIn French."
    assert [turn.text for turn in asked.turns] == ["one\ntwo", "", "And?"]


def test_sampling_is_what_was_asked_for():
    asked = read(
        temperature=0, top_p=0.5, top_k=-1, min_p=0.1, repetition_penalty=1.2, seed=-3, max_tokens=9,
        max_completion_tokens=7, stop="END", stream=True, stream_options={"include_usage": True},
    )  # fmt: skip
    assert asked.sampling == Sampling(
        temperature=0, top_p=0.5, top_k=0, min_p=0.1, repetition_penalty=1.2, seed=-3, max_tokens=7
    )
    assert (asked.stop, asked.stream, asked.usage) == (("END",), True, True)
    assert read(max_tokens=10**9).sampling.max_tokens == 100_000
    assert read(top_p=0).sampling.top_p > 0


def test_what_changes_nothing_is_ignored():
    harmless = {
        "n": 1, "frequency_penalty": 0.0, "presence_penalty": 0, "logit_bias": {}, "logprobs": False, "tools": [],
        "tool_choice": "auto", "response_format": {"type": "text"}, "user": "me", "store": True, "metadata": {"a": "b"},
        "reasoning_effort": "low", "service_tier": "auto", "modalities": ["text"], "audio": None, "functions": None,
    }  # fmt: skip
    assert read(**harmless) == read()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -1),
        ("logit_bias", {"5": 100}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("tools", [{"type": "function"}]),
        ("tool_choice", "required"),
        ("functions", [{}]),
        ("response_format", {"type": "json_object"}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy"}),
        ("web_search_options", {}),
    ],
)
def test_what_would_change_the_answer_and_cannot_be_done_is_refused_by_name(name, value):
    refusal = refused(**{name: value})
    assert (refusal.code, refusal.param) == ("unsupported_parameter", name)
    assert name in str(refusal)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tool", "content": "4"}, "messages.0.role"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "messages.0.content.0"),
        ({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, "messages.0"),
    ],
)
def test_messages_of_other_kinds_are_refused_by_their_place(message, param):
    refusal = refused(messages=[message])
    assert (refusal.code, refusal.param) == ("unsupported_parameter", param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"content": "Hello"}]}, "messages.0.role"),
        ({"model": None}, "model"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(fields, param):
    assert refused(**fields).param == param


def test_what_nobody_knows_is_refused():
    refusal = refused(temprature=0.5)
    assert (refusal.code, refusal.param) == ("unknown_parameter", "temprature")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"model": "a", "messages": "b"}',
        b'{"model": "a", "messages": [{"role": "user", "content": "\\ud800"}]}',
    ],
)
def test_what_is_no_request_is_refused(body):
    with pytest.raises(Refusal) as caught:
        read_chat(body)
    assert caught.value.status == 400


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = (
    PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(st.sampled_from(["role", "content", "a"]), PLAIN, max_size=2)
)
NAMES = st.sampled_from(
    ["model", "messages", "stop", "n", "tools", "temperature", "stream_options", "seed", "logit_bias"]
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=2), max_size=4))
def test_whatever_comes_is_read_or_refused(fields):
    try:
        read_chat(json.dumps({"model": "science", "messages": HELLO, **fields}).encode())
    except Refusal as refusal:
        assert refusal.status == 400 and str(refusal)
