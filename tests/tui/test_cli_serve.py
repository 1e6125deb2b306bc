"""``nightschool serve``: a real process from the first line to the last, and the keys of those who may ask."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from nightschool.tui.cli import run


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    """Run a command line; gives exit code, stdout and stderr."""
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path))

    def run_it(*arguments):
        code = run(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_it


def test_keys_are_added_listed_and_removed(call):
    code, out, err = call("serve", "keys", "add", "laptop", "--sessions", "3", "--json")
    added = json.loads(out)
    assert (code, added["name"]) == (0, "laptop")
    assert "this once" in err
    (listed,) = json.loads(call("serve", "keys", "--json")[1])
    assert (listed["name"], listed["sessions"], listed["tokens_a_second"]) == ("laptop", 3, None)
    assert added["key"] not in call("serve", "keys")[1]
    assert call("serve", "keys", "add", "laptop")[0] == 2
    assert call("serve", "keys", "remove", "laptop")[0] == 0
    assert call("serve", "keys", "remove", "laptop")[0] == 3
    assert json.loads(call("serve", "keys", "--json")[1]) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_others_need_keys(call, host):
    code, out, err = call("serve", "--host", host)
    assert (code, out) == (2, "")
    assert "serve keys add" in err


def test_what_is_for_another_engine_alone_is_told(call):
    for arguments, said in (
        (("--engine-python", "python"), "add --engine vllm"),
        (("--engine-arg=--x",), "add --engine vllm"),
        (("--engine", "vllm", "--device", "cuda"), "leave --device out"),
    ):
        code, out, err = call("serve", *arguments)
        assert (code, out) == (2, "")
        assert said in err


def test_vllm_is_started_as_it_was_told(call, monkeypatch):
    told = {}
    monkeypatch.setattr(
        "nightschool.engine.wire.server.vllm.run.serve_vllm", lambda *given, **how: told.update(how, options=given[1])
    )
    assert call("serve", "--engine", "vllm", "--engine-python", "~/v/python", "--engine-arg=--a", "--cut", "4")[0] == 0
    assert told["python"] == str(Path("~/v/python").expanduser())
    assert (told["arguments"], told["options"].cuts) == (("--a",), (4,))


def test_threads_of_a_server_sleep_soon(call, monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setattr("nightschool.engine.wire.server.run.serve", lambda *arguments: None)
    try:
        assert call("serve")[0] == 0
        assert os.environ["GOMP_SPINCOUNT"] == "20000"
    finally:
        monkeypatch.setenv("GOMP_SPINCOUNT", "20000")


def test_a_server_says_where_it_is_and_stops_when_it_is_told(tiny_base_folder, tmp_path):
    command = [sys.executable, "-m", "nightschool", "--home", str(tmp_path), "serve"]
    options = ["--base", str(tiny_base_folder), "--port", "0", "--cut", "1", "--cut", "2", "--numbers", "fp32"]
    process = subprocess.Popen(
        [*command, *options, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        said = json.loads(process.stdout.readline())
        assert (said["cuts"], said["numbers"], said["needs_key"]) == ([1, 2], "fp32", False)
        described = httpx2.get(f"{said['url']}/hsp/1/describe").json()
        assert described["base"]["fingerprint"] == said["fingerprint"]
        taken = subprocess.run(
            [*command, *options[:2], "--port", said["url"].rpartition(":")[2]],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (taken.returncode, taken.stdout) == (50, "")
        assert "another --port" in taken.stderr
        process.send_signal(signal.SIGTERM)
        rest, journal = process.communicate(timeout=600)
    finally:
        process.kill()
    assert (process.returncode, rest) == (0, "")
    lines = [json.loads(line) for line in journal.splitlines()]
    assert [line["event"] for line in lines] == ["request", "stopped"]
