"""``nightschool api``: a real process from the first line to the last, OpenAI's own client, and the keys."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import openai
import pytest

QUESTION = "What is the capital of France?"


def test_keys_are_added_listed_and_removed(call):
    code, out, err = call("api", "keys", "add", "editor", "--json")
    added = json.loads(out)
    assert (code, added["name"]) == (0, "editor")
    assert "this once" in err
    (listed,) = json.loads(call("api", "keys", "--json")[1])
    assert listed["name"] == "editor"
    assert added["key"] not in call("api", "keys")[1]
    assert json.loads(call("serve", "keys", "--json")[1]) == [], "one who may speak to the slots is not served a base"
    assert call("api", "keys", "remove", "editor")[0] == 0
    assert call("api", "keys", "remove", "editor")[0] == 3


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com"])
def test_others_need_a_key_first(call, host):
    code, out, err = call("api", "--host", host)
    assert (code, out) == (2, "")
    assert "api keys add" in err


@contextmanager
def running(home, model, *options):
    """Start the command; gives the process and its first line."""
    argv = [sys.executable, "-m", "nightschool", "--home", str(home), "--model", str(model), "api", "--port", "0"]
    process = subprocess.Popen([*argv, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.wait()


def ask(client, *texts, model="science", **fields):
    roles = ("user", "assistant") * len(texts)
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    return client.chat.completions.create(model=model, messages=messages, **fields)


def asked_again(home, model, *arguments):
    argv = [sys.executable, "-m", "nightschool", "--home", str(home), "--model", str(model), *arguments, "--json"]
    return json.loads(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=600).stdout)


def test_it_says_where_it_is_and_stops_when_it_is_told(tiny_base_folder, tmp_path):
    home = tmp_path / "home"
    with running(home, tiny_base_folder, "--json") as (process, line):
        said = json.loads(line)
        assert said["models"] == ["science", "creative", "gaming", "professional"]
        client = openai.OpenAI(base_url=said["base_url"], api_key=said["key"], max_retries=0)
        reply = ask(client, "Hello", max_tokens=4)
        assert 0 < reply.usage.completion_tokens <= 4
        held = ask(client, "Hello", reply.choices[0].message.content, "And?", max_tokens=4)
        assert held.usage.prompt_tokens_details.cached_tokens >= reply.usage.prompt_tokens
        process.send_signal(signal.SIGTERM)
        rest, journal = process.communicate(timeout=600)
    assert (process.returncode, rest) == (0, "")
    assert json.loads(journal.splitlines()[-1])["event"] == "stopped"
    assert asked_again(home, tiny_base_folder, "conversations") == []
    assert [file.name for file in (home / "cache" / "conversations").glob("*")] == []
    mode = (home / "api-keys.json").stat().st_mode
    assert mode & 0o077 == 0 and said["key"] not in (home / "api-keys.json").read_text()
    with running(home, tiny_base_folder) as (process, line):
        assert "the key you were shown" in line
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=600)
    assert process.returncode == 0


def test_feedback_is_there_after_the_engine_was_killed(tiny_base_folder, tmp_path):
    home = tmp_path / "home"
    with running(home, tiny_base_folder, "--json") as (process, line):
        said = json.loads(line)
        client = openai.OpenAI(base_url=said["base_url"], api_key=said["key"], max_retries=0)
        reply = ask(client, "Hello", max_tokens=8)
        body = {"id": reply.id, "text": "Captain, hello.", "comment": "From now on, never use exclamation marks."}
        told = client.post("/nightschool/feedback", cast_to=object, body=body)
        (engine,) = children(process.pid)
        os.kill(engine, signal.SIGKILL)
        patient = openai.OpenAI(base_url=said["base_url"], api_key=said["key"], max_retries=8)
        assert ask(patient, "Hello", max_tokens=4).usage.completion_tokens
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=600)
    shown = asked_again(home, tiny_base_folder, "conversations", "show", str(told["conversation"]))
    assert [message["text"] for message in shown["messages"]] == ["Hello", "Captain, hello.", body["comment"]]
    kinds = [signal["kind"] for signal in told["signals"]]
    assert kinds == ["edit", "rule"]
    assert len(asked_again(home, tiny_base_folder, "lessons")) == 2


def children(pid):
    import psutil

    return [child.pid for child in psutil.Process(pid).children()]


def test_while_another_holds_the_profile_it_is_code_22(tiny_base_folder, tmp_path):
    home = tmp_path / "home"
    with running(home, tiny_base_folder) as (_, line):
        assert "base URL" in line
        with running(home, tiny_base_folder) as (second, nothing):
            assert nothing == ""
            _, why = second.communicate(timeout=600)
    assert second.returncode == 22 and "Another Night School" in why


def test_a_model_that_is_not_there_is_code_11(tmp_path):
    with running(tmp_path / "home", tmp_path / "none") as (process, line):
        assert line == ""
        process.communicate(timeout=600)
    assert process.returncode == 11


@pytest.mark.model
def test_the_default_model_answers_openais_client(default_base_folder, tmp_path):
    with running(tmp_path / "home", default_base_folder, "--json") as (process, line):
        said = json.loads(line)
        client = openai.OpenAI(base_url=said["base_url"], api_key=said["key"], timeout=300)
        whole = ask(client, QUESTION, max_tokens=20)
        assert "Paris" in whole.choices[0].message.content
        assert whole.choices[0].finish_reason == "stop"
        pieces = list(ask(client, QUESTION, max_tokens=20, stream=True))
        said_so = "".join(piece.choices[0].delta.content or "" for piece in pieces)
        assert said_so == whole.choices[0].message.content
        cut = ask(client, QUESTION, max_tokens=20, stop=["Paris"])
        assert cut.choices[0].message.content.endswith("is ") and cut.usage.prompt_tokens_details.cached_tokens > 20
        assert ask(client, QUESTION, max_tokens=2).choices[0].finish_reason == "length"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=600)
    assert process.returncode == 0
