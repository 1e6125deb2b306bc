"""The lines of the engine pipe."""

from __future__ import annotations

import asyncio
import json

import pytest

from nightschool.engine.host import pipe
from nightschool.schemas.errors import Busy, NightSchoolError, ProtocolError, UsageError
from nightschool.schemas.events import DeltaEvent
from nightschool.schemas.messages import GetStatus, ListSlots, SendMessage
from nightschool.schemas.records import Slot


def reader_of(data, limit=pipe.LONGEST_LINE):
    reader = asyncio.StreamReader(limit=limit)
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def test_a_request_survives_the_pipe():
    request = SendMessage(conversation=3, text="Zwölf\n夜の学校\x1b[31m\u2028")
    line = pipe.dump_request(7, request)
    assert line.count(b"\n") == 1
    assert pipe.parse_request(line) == (7, request)


def test_half_a_character_survives_the_pipe_so_that_it_is_refused_by_name():
    line = json.dumps({"id": 1, "method": "chat.send", "params": {"conversation": 1, "text": "\ud800"}}).encode()
    with pytest.raises(pipe.BadRequest) as caught:
        pipe.parse_request(line)
    assert caught.value.id == 1
    assert isinstance(caught.value.error, UsageError)


def test_results_events_and_errors_survive_the_pipe():
    request = ListSlots()
    slot = Slot(name="science", title="Science")
    answer = pipe.parse_answer(pipe.dump_result(1, request, [slot]))
    assert request.result_type().validate_python(answer.result) == [slot]
    event = DeltaEvent(conversation=1, text="x")
    assert pipe.parse_answer(pipe.dump_event(None, event)) == pipe.Told(None, event)
    refused = pipe.parse_answer(pipe.dump_error(2, Busy("Wait.")))
    assert type(refused.error) is Busy
    assert str(refused.error) == "Wait."


def test_an_error_of_an_unknown_class_is_still_an_error():
    said = pipe.parse_answer(b'{"id": 1, "error": {"code": "Later", "message": "m"}}')
    assert type(said.error) is NightSchoolError


@pytest.mark.parametrize(
    "line",
    [b"", b"hello", b"[1]", b"\xff\xfe", b'{"result": 1}', b'{"id": 1}', b'{"id": 1, "event": {"kind": "no"}}',
     b'{"id": true, "result": 1}', b'{"id": 1, "result": 1, "error": {"code": "a", "message": "b"}}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_answer_is_refused(line):
    with pytest.raises(ProtocolError):
        pipe.parse_answer(line)


@pytest.mark.parametrize(
    ("line", "number", "error"),
    [
        (b"garbage", None, ProtocolError),
        (b'{"method": "slots.list"}', None, ProtocolError),
        (b'{"id": 4, "method": "slots.eat"}', 4, ProtocolError),
        (b'{"id": 4, "method": "slots.list", "more": 1}', 4, ProtocolError),
        (b'{"id": 4, "method": "slots.list", "params": {"x": 1}}', 4, UsageError),
        (b'{"id": 4, "method": "chat.send", "params": {"conversation": "x", "text": 1}}', 4, UsageError),
    ],
)
def test_what_is_no_request_is_refused_under_its_number(line, number, error):
    with pytest.raises(pipe.BadRequest) as caught:
        pipe.parse_request(line)
    assert caught.value.id == number
    assert type(caught.value.error) is error


async def test_a_line_that_is_too_long_is_skipped_and_the_next_one_read():
    reader = reader_of(b"x" * 500 + b"\nnext\nhalf", limit=100)
    with pytest.raises(ProtocolError):
        await pipe.read_line(reader)
    assert await pipe.read_line(reader) == b"next"
    assert await pipe.read_line(reader) is None


def test_an_answer_that_is_too_long_becomes_an_error(monkeypatch):
    monkeypatch.setattr(pipe, "LONGEST_LINE", 100)
    said = pipe.parse_answer(pipe.dump_result(1, ListSlots(), [Slot(name="a", title="b" * 200)]))
    assert type(said.error) is UsageError
    with pytest.raises(UsageError):
        pipe.dump_request(1, SendMessage(conversation=1, text="x" * 200))
    assert pipe.dump_request(1, GetStatus())
