"""Feedback on a completion makes it a conversation of its slot, and teaches as in the app."""

from __future__ import annotations

import openai
import pytest

from nightschool.schemas.errors import EngineError
from nightschool.schemas.messages import EditReply, KeepAnswer, NoteWords, Thumb

HELLO = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def reply(client):
    return client.chat.completions.create(model="science", messages=HELLO)


def say(client, name, **said):
    return client.post("/nightschool/feedback", cast_to=object, body={"id": name, **said})


def test_a_rating_a_text_and_a_comment(api, client, reply):
    text = f"Captain, {reply.choices[0].message.content}"
    told = say(client, reply.id, rating="down", text=text, comment="Always start so.")
    (kept,) = api.asked(KeepAnswer)
    assert (kept.slot, [turn.text for turn in kept.turns]) == ("science", [HELLO[0]["content"]])
    assert api.asked(Thumb)[0].value == -1
    assert api.asked(EditReply)[0].text == text
    assert api.asked(NoteWords)[0].text == "Always start so."
    assert told["conversation"] in api.engine.conversations
    assert api.engine.messages[told["message"]].text == text
    assert [signal["kind"] for signal in told["signals"]] == ["edit", "rule"]
    assert told["signals"][0]["lesson"]["state"] == "approved"


def test_a_streamed_completion_is_known_by_the_id_of_its_pieces(api, client):
    pieces = list(client.chat.completions.create(model="science", messages=HELLO, stream=True))
    say(client, pieces[0].id, rating="up")
    assert api.asked(Thumb)[0].value == 1


def test_more_feedback_goes_to_the_same_conversation(api, client, reply):
    first = say(client, reply.id, rating="up")
    assert say(client, reply.id, rating="down")["message"] == first["message"]
    assert len(api.asked(KeepAnswer)) == 1


def test_it_is_stored_once_also_where_the_first_try_failed(api, client, reply):
    api.engine.fail["chat.edit"] = EngineError("Something failed; try again.")
    with pytest.raises(openai.InternalServerError, match="Something failed"):
        say(client, reply.id, text="Captain.")
    say(client, reply.id, text="Captain.")
    assert len(api.engine.conversations) == 1


@pytest.mark.parametrize(
    ("said", "param"),
    [({}, None), ({"rating": "meh"}, "rating"), ({"text": ""}, "text"), ({"rating": "up", "stars": 5}, "stars")],
)
def test_what_says_nothing_is_refused_and_stores_nothing(api, client, reply, said, param):
    with pytest.raises(openai.BadRequestError) as caught:
        say(client, reply.id, **said)
    assert caught.value.param == param
    assert api.engine.conversations == {}


def test_another_key_and_another_id_find_nothing(api, client, reply):
    with pytest.raises(openai.NotFoundError):
        say(api.client("guest"), reply.id, rating="up")
    with pytest.raises(openai.NotFoundError):
        say(client, "chatcmpl-0", rating="up")


def test_the_plain_base_learns_nothing(client):
    reply = client.chat.completions.create(model="plain_base", messages=HELLO)
    with pytest.raises(openai.BadRequestError) as caught:
        say(client, reply.id, rating="up")
    assert caught.value.code == "not_teachable"
