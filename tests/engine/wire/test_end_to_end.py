"""A chat whose trunk is in a real server process, over real loopback: killed in mid-reply, it costs a pause alone."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest

from nightschool.engine.base.card import check_probe
from nightschool.engine.base.halves import open_tail
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.wire.client import Client
from nightschool.engine.wire.patience import Patience
from nightschool.engine.wire.rows import Writing
from nightschool.plugins.providers.local import LocalProvider
from nightschool.plugins.providers.remote import RemoteProvider
from nightschool.schemas.errors import Unauthorised
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role

CUT = 2


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(*arguments):
    return [sys.executable, "-c", "from nightschool.tui.cli import main; main()", *map(str, arguments)]


@contextmanager
def server(folder, home, port):
    """Give the process of a server that listens."""
    environment = {**os.environ, "NIGHTSCHOOL_HOME": str(home)}
    arguments = [
        "serve",
        "--base",
        folder,
        "--port",
        port,
        "--cut",
        CUT,
        "--numbers",
        "fp32",
        "--cache-mb",
        64,
        "--json",
    ]
    process = subprocess.Popen(
        command(*arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        line = process.stdout.readline()
        assert line, "the server ended before it listened"
        assert json.loads(line)["url"].endswith(f":{port}")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def answer(base, provider, on_text=lambda text: None):
    sampling = Sampling(max_tokens=40, temperature=0)
    chat = Chat(base, provider, CUT)
    turns = [Turn(Role.USER, "Say something long.")]
    reply = chat.reply(1, turns, system="", adapter=None, sampling=sampling, on_text=on_text, cancelled=lambda: False)
    return asyncio.run(reply)


@pytest.mark.parametrize("carrier", ["http", "socket"])
def test_a_server_that_is_killed_in_mid_reply_costs_only_a_pause(tiny_base, tiny_base_folder, tmp_path, port, carrier):
    plain = answer(tiny_base, LocalProvider(tiny_base))
    assert plain.tokens > 20
    client = Client(f"http://127.0.0.1:{port}", carrier=carrier)
    remote = RemoteProvider(tiny_base.card, client, Writing("f32"), Patience(tries=10_000, longest=0.2))
    seen = []
    with server(tiny_base_folder, tmp_path, port) as first:
        assert asyncio.run(check_probe(tiny_base.card, remote, open_tail(tiny_base, CUT))) < 1e-3
        with server_later(tiny_base_folder, tmp_path, port) as start:

            def on_text(piece):
                seen.append(piece)
                if len(seen) == 10:
                    first.kill()
                    first.wait()
                    start()

            assert answer(tiny_base, remote, on_text) == plain
    assert client.carrier == ("a WebSocket" if carrier == "socket" else "HTTP")
    assert len(seen) > 10


@contextmanager
def server_later(folder, home, port):
    """Give a function that starts a server and waits until it listens."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(server(folder, home, port))


def test_a_server_with_keys_wants_one(tiny_base, tiny_base_folder, tmp_path, port):
    environment = {**os.environ, "NIGHTSCHOOL_HOME": str(tmp_path)}
    added = subprocess.run(
        command("serve", "keys", "add", "me", "--json"), env=environment, check=True, capture_output=True, text=True
    )
    key = json.loads(added.stdout)["key"]
    with server(tiny_base_folder, tmp_path, port):
        for secret in ("", f"{key}x"):
            remote = RemoteProvider(tiny_base.card, Client(f"http://127.0.0.1:{port}", secret))
            with pytest.raises(Unauthorised):
                asyncio.run(remote.states([[1, 2]], CUT))
        (tmp_path / "key").write_text(f"{key}\n")
        url = f"http://127.0.0.1:{port}"
        found = subprocess.run(
            command(
                "--model",
                tiny_base_folder,
                "providers",
                "test",
                url,
                "--key-file",
                tmp_path / "key",
                "--cut",
                CUT,
                "--json",
            ),
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout)
    assert said["distance"] < 1e-3
    assert said["description"]["base"]["fingerprint"] == tiny_base.card.fingerprint
    errors = {codec["name"]: codec["kl"] for codec in said["codecs"]}
    assert errors["f32"] <= errors["bf16"] < errors["i4h64"]
    assert said["step_ms"] > 0
    assert said["carrier"] == "a WebSocket"
