"""OpenAI's own client at the endpoint: models, replies whole and in pieces, and errors that it understands."""

from __future__ import annotations

import json
import threading

import openai
import pytest

from nightschool.schemas.errors import BaseMismatch, PromptTooLong
from nightschool.schemas.messages import AnswerTurns, CancelReply
from nightschool.schemas.records import Role

HELLO = [{"role": "user", "content": "What is the capital of France?"}]


def ask(client, messages=HELLO, model="science", **fields):
    return client.chat.completions.create(model=model, messages=messages, **fields)


def test_each_slot_is_a_model_and_so_is_the_plain_base(client):
    models = {model.id: model for model in client.models.list()}
    assert list(models) == ["science", "creative", "gaming", "professional", "plain_base"]
    found = client.models.retrieve("creative")
    assert (found.object, found.owned_by, found.context_length) == ("model", "nightschool", 8192)
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-4o")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="science"):
        ask(client, model="gpt-4o")


def test_a_whole_reply(api, client):
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        *HELLO,
    ]
    reply = ask(client, history, temperature=0.3, max_tokens=20, seed=5, stop=["\n"])
    (choice,) = reply.choices
    assert (choice.message.content, choice.message.role, choice.finish_reason) == (
        "The capital of France is **Paris**.", "assistant", "stop",
    )  # fmt: skip
    assert reply.id.startswith("chatcmpl-") and reply.model == "science"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    (asked,) = api.asked(AnswerTurns)
    assert (asked.slot, asked.system, asked.stop, asked.memory) == ("science", "Be brief.", ["\n"], True)
    assert [(turn.role, turn.text) for turn in asked.turns][1:] == [
        (Role.ASSISTANT, "Hi."), (Role.USER, HELLO[0]["content"]),
    ]  # fmt: skip
    assert (asked.sampling.temperature, asked.sampling.max_tokens, asked.sampling.seed) == (0.3, 20, 5)
    assert api.engine.conversations == {}


def test_the_plain_base_answers_with_no_slot(api, client):
    ask(client, model="plain_base")
    assert api.asked(AnswerTurns)[0].slot == ""


def test_a_reply_in_pieces(client):
    pieces = list(ask(client, stream=True, stream_options={"include_usage": True}))
    *said, last, count = pieces
    assert said[0].choices[0].delta.role == "assistant"
    assert "".join(piece.choices[0].delta.content for piece in said) == "The capital of France is **Paris**."
    assert len(said) > 3
    assert last.choices[0].finish_reason == "stop" and last.choices[0].delta.content is None
    assert count.choices == [] and count.usage.completion_tokens > 0
    assert len({(piece.id, piece.created, piece.model, piece.object) for piece in pieces}) == 1


def test_the_stream_is_one_of_events_and_counts_only_where_that_is_asked_for(api):
    with api.http() as http:
        answer = http.post("/chat/completions", json={"model": "science", "messages": HELLO, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert not any("usage" in chunk for chunk in chunks)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


def test_the_clients_own_stream_helper_puts_the_reply_together(client):
    with client.chat.completions.stream(model="science", messages=HELLO) as stream:
        for _ in stream:
            pass
        whole = stream.get_final_completion()
    assert whole.choices[0].message.content == "The capital of France is **Paris**."


async def test_the_asynchronous_client(api):
    async with api.client(kind=openai.AsyncOpenAI) as client:
        reply = await ask(client)
        assert reply.choices[0].message.content
        stream = await ask(client, stream=True)
        assert [piece async for piece in stream][-1].choices[0].finish_reason == "stop"


def test_what_cannot_be_done_is_a_bad_request_that_names_it(client):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, n=2)
    assert (caught.value.param, caught.value.code, caught.value.type) == (
        "n", "unsupported_parameter", "invalid_request_error",
    )  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PromptTooLong("The messages take 9000 tokens; leave out the oldest."), "context_length_exceeded"),
        (BaseMismatch("Slot science learned on another base; roll it back."), "model_not_usable"),
    ],
)
def test_an_error_before_the_first_word_is_a_refusal(api, client, error, code, stream):
    api.engine.fail["chat.answer"] = error
    with pytest.raises(openai.BadRequestError, match=str(error)[:20]) as caught:
        ask(client, stream=stream)
    assert caught.value.code == code


def test_an_engine_that_dies_is_told_of_and_started_again(api, client, until):
    api.engine.hold.clear()
    stream = ask(client, stream=True)
    next(stream)
    api.in_loop(api.engine.die)
    with pytest.raises(openai.APIError, match="started again"):
        list(stream)
    until(lambda: api.engine.starts == 2)
    api.engine.hold.set()
    assert ask(client).choices[0].message.content
    assert "engine_lost" in [line["event"] for line in api.lines()]


def test_an_engine_that_dies_before_the_first_word_is_unavailable(api, client, until):
    api.engine.stalled.add("chat.answer")
    api.engine.hold.clear()
    with api.http() as http:
        answers = []
        body = {"model": "science", "messages": HELLO}
        thread = threading.Thread(target=lambda: answers.append(http.post("/chat/completions", json=body)))
        thread.start()
        until(lambda: api.asked(AnswerTurns))
        api.in_loop(api.engine.die)
        thread.join(30)
    assert (answers[0].status_code, answers[0].headers["retry-after"]) == (503, "2")
    assert answers[0].json()["error"]["code"] == "engine_lost"


def test_a_client_that_leaves_stops_its_reply_and_the_next_is_answered(api, client, until):
    api.engine.hold.clear()
    stream = ask(client, stream=True)
    next(stream)
    stream.close()
    (cancel,) = until(lambda: api.asked(CancelReply))
    assert cancel.conversation == api.asked(AnswerTurns)[0].conversation < 0
    api.engine.hold.set()
    assert ask(client).choices[0].finish_reason == "stop"
    until(lambda: [line["status"] for line in api.lines()] == [499, 200])


def test_replies_come_one_after_the_other_and_too_many_are_told_to_come_back(api, client, until):
    api.service._turns._most = 1
    api.engine.hold.clear()
    first = ask(client, stream=True)
    next(first)
    answers = []
    waits = threading.Thread(target=lambda: answers.append(ask(api.client("guest"))))
    waits.start()
    until(lambda: api.service._turns.waiting)
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client)
    assert (caught.value.code, caught.value.response.headers["retry-after"]) == ("too_many_waiting", "5")
    assert len(api.asked(AnswerTurns)) == 1
    api.engine.hold.set()
    list(first)
    waits.join(30)
    assert answers[0].choices[0].finish_reason == "stop"


def test_an_end_lets_the_reply_that_runs_go_on_and_refuses_others(api, client, until):
    api.engine.hold.clear()
    stream = ask(client, stream=True)
    next(stream)
    api.in_loop(api.server.drain)
    until(lambda: api.service.stopping)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client)
    assert (caught.value.status_code, caught.value.code) == (503, "shutting_down")
    api.engine.hold.set()
    assert [piece.choices[0].finish_reason for piece in stream][-1] == "stop"
    api.thread.join(30)
    assert not api.thread.is_alive()


def test_the_log_has_numbers_and_names_alone(api, client, until):
    ask(client, [{"role": "user", "content": "A secret question"}])
    api.engine.fail["chat.answer"] = RuntimeError("A secret reason")
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client)
    assert "secret" not in str(caught.value)
    until(lambda: len(api.lines()) == 3)
    ask_line, failed, last = api.lines()
    assert (ask_line["verb"], ask_line["key"], ask_line["status"], ask_line["tokens"]) == ("chat", "editor", 200, 8)
    assert (failed["event"], failed["kind"], last["status"]) == ("failed", "RuntimeError", 500)
    assert "secret" not in api.journal.getvalue().lower() and "Paris" not in api.journal.getvalue()
