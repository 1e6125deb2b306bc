"""The stream verb byte by byte: what is answered, when it ends, and what a session holds afterwards."""

from __future__ import annotations

import threading

import pytest
import torch

from nightschool.engine.wire import routes
from nightschool.engine.wire.bodies import decode_record, encode_request
from nightschool.engine.wire.frames import CONTENT_TYPE, Flag, Type
from nightschool.engine.wire.prefix import prefix_hash
from nightschool.engine.wire.rows import decode_guesses, decode_rows
from nightschool.engine.wire.server import service
from nightschool.schemas.hsp import Code, Noise, StepEnd, Stream
from nightschool.tests.serving import Refusal, tokens


def body(session, position, new, **fields):
    session.number += 1
    how = {"step": session.number, "first": position, "ahead": 5, "most": 100, "noise": Noise(seed=1, temperature=0)}
    asked = Stream(**{**how, "hash": prefix_hash(session.said[:position]), **fields})
    return encode_request(asked, [new], position=position)


def with_guesses(said, frames):
    """What stands after some frames, of which each guess follows its row."""
    for frame in frames:
        for token in decode_guesses(frame):
            said = [*said[: frame.header.position + 1], token]
    return said


def stream(session, position, new, **fields):
    """Return the frames of a stream, without its END, and note what the session holds."""
    path = routes.STREAM.format(session=session.name)
    *frames, end = session.client.frames(path, body(session, position, new, **fields))
    said = decode_record(end, StepEnd)
    session.said = with_guesses(session.said[:position] + new, frames)[: said.have]
    assert said.hash == prefix_hash(session.said)
    return frames


@pytest.fixture
def session(server):
    return server.client().open()


@pytest.mark.parametrize("at_once", [256, 4])
def test_guesses_are_what_the_plain_base_says_and_rows_are_theirs(server, session, monkeypatch, at_once):
    monkeypatch.setattr(service, "_READ_AT_ONCE", at_once)  # a long prompt is read in pieces
    new = tokens(9)
    frames = stream(session, 0, new)
    guesses = [token for frame in frames for token in decode_guesses(frame)]
    with torch.no_grad():
        whole = server.base.model.generate(torch.tensor([new]), max_new_tokens=5, do_sample=False, eos_token_id=999)
    assert guesses == whole[0, len(new) :].tolist()
    rows = torch.cat([decode_rows(frame) for frame in frames])
    assert len(rows) == len(new) + 5
    (again,) = server.client().capture([new + guesses])
    assert torch.allclose(rows, again, atol=1e-4)
    assert Flag.GUESSED not in frames[-1].header.flags  # nothing follows the last


def test_a_session_goes_on_after_its_guesses_or_before_them(session):
    new = tokens(9)
    stream(session, 0, new)
    assert len(session.said) == 14
    kept = session.step(14, tokens(2))
    stream(session, 11, tokens(3, seed=5), ahead=2)
    assert len(session.said) == 16
    assert kept.shape == (2, 32)


def test_an_end_and_the_most_are_kept_to(server, session):
    first = [token for frame in stream(session, 0, tokens(9)) for token in decode_guesses(frame)]
    third = first[2]
    assert third not in first[:2]
    ended = stream(session, 0, tokens(9), ends=[third])
    assert decode_guesses(ended[-1]) == [third]
    assert len(session.said) == 9 + 2
    stream(session, 0, tokens(9), most=1)
    assert len(session.said) == 9 + 1


def test_the_context_ends_a_stream(server, session):
    context = server.base.card.context
    stream(session, 0, tokens(context - 2))
    assert len(session.said) == context


def test_another_stream_ends_the_one_before(server, session):
    stream(session, 0, tokens(20))
    path = routes.STREAM.format(session=session.name)
    long = body(session, 20, tokens(1), ahead=256, most=400)
    correction = body(session, 20, tokens(2, seed=3), ahead=2)
    with server.client().http.stream("POST", path, content=long, headers={"content-type": CONTENT_TYPE}) as answer:
        pieces = answer.iter_raw()
        next(pieces)  # it runs
        found = []

        def correct():
            found.extend(session.client.frames(path, correction))

        thread = threading.Thread(target=correct)
        thread.start()
        rest = b"".join(pieces)
        thread.join(60)
    assert found[-1].header.type is Type.END
    assert decode_record(found[-1], StepEnd).have == 20 + 2 + 2
    assert len(rest) < 256 * 32 * 4  # it ended before it had guessed all


def test_guesses_of_the_client_come_first_and_are_read_one_at_a_time(server, session, monkeypatch):
    passes, begin = [], service.Service._begin
    monkeypatch.setattr(
        service.Service, "_begin", lambda self, held, at, new: (passes.append(len(new)), begin(self, held, at, new))[1]
    )
    sure, ours = tokens(9), tokens(3, seed=5)
    frames = stream(session, 0, sure + ours, guessed=3, ahead=2)
    guesses = [token for frame in frames for token in decode_guesses(frame)]
    with torch.no_grad():
        whole = server.base.model.generate(
            torch.tensor([sure + ours]), max_new_tokens=2, do_sample=False, eos_token_id=999
        )
    assert guesses == ours + whole[0, -2:].tolist()
    assert passes == [9, 1, 1, 1, 1, 1]
    rows = torch.cat([decode_rows(frame) for frame in frames])
    (again,) = server.client().capture([sure + guesses])
    assert torch.allclose(rows, again, atol=1e-4)


def test_rows_of_guesses_can_be_left_out(session):
    (*_, last) = stream(session, 0, tokens(9) + tokens(3, seed=5), guessed=3, ahead=1, first=11)
    rows = stream(session, 0, tokens(9) + tokens(3, seed=5), guessed=3, ahead=1, first=11)
    assert sum(len(decode_rows(frame)) for frame in rows) == 2
    assert last.header.position == 12


@pytest.mark.parametrize("guessed", [2, 3])
def test_a_stream_of_guesses_alone_is_refused(session, guessed):
    with pytest.raises(Refusal) as caught:
        stream(session, 0, tokens(2), guessed=guessed)
    assert caught.value.problem.code is Code.BAD_REQUEST


def test_an_older_number_changes_nothing(session):
    stream(session, 0, tokens(9))
    stream(session, 9, tokens(1))
    with pytest.raises(Refusal) as caught:
        stream(session, 9, tokens(1), step=1)
    assert caught.value.problem.code is Code.STALE


def test_a_stream_without_tokens_is_refused(session):
    with pytest.raises(Refusal) as caught:
        stream(session, 0, [])
    assert caught.value.problem.code is Code.BAD_REQUEST
