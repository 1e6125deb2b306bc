"""Who may not ask is not heard: without a key, by another name, or with more than can be read."""

from __future__ import annotations

import json
import socket

import openai
import pytest

from nightschool.engine.api.web import BODY_BYTES
from nightschool.engine.wire.server.keys import remove_key

HELLO = [{"role": "user", "content": "Hello"}]


def test_without_a_key_nothing_is_told(api):
    with api.http(key="") as http:
        for answer in (http.get("/models"), http.post("/chat/completions", json={"model": "science"})):
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.json()["error"]["code"] == "invalid_api_key"
    with pytest.raises(openai.AuthenticationError):
        api.client("ns_wrong").models.list()
    assert api.engine.asked == []


def test_a_key_that_was_removed_is_refused(api, tmp_path, until, client):
    client.models.list()
    remove_key(tmp_path / "keys.json", "editor")
    with api.http() as http:
        until(lambda: http.get("/models").status_code == 401)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:1", 200),
        ("LOCALHOST.", 200),
        ("127.0.0.1", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:80", 403),
        ("", 403),
    ],
)
def test_a_page_that_calls_the_server_by_another_name_is_refused(api, host, status):
    with api.http() as http:
        assert http.get("/models", headers={"host": host}).status_code == status


def test_no_page_of_another_origin_may_read_anything(api):
    with api.http() as http:
        asked = http.options(
            "/chat/completions",
            headers={"origin": "https://evil.example", "access-control-request-method": "POST"},
        )
        got = http.get("/models", headers={"origin": "https://evil.example"})
    assert asked.status_code == 404
    assert not [name for answer in (asked, got) for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/embeddings", "/completions", "/", "/models/a/b"])
def test_what_is_not_there_is_told_in_the_same_shape(api, path):
    with api.http() as http:
        answer = http.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] in ("unknown_url", "model_not_found")


def test_a_body_that_says_it_is_too_long_is_not_read(api):
    port = int(api.url.rpartition(":")[2].partition("/")[0])
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {api.keys['editor']}\r\n"
        f"content-length: {BODY_BYTES + 1}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(head.encode())
        said = b""
        while piece := line.recv(4096):
            said += piece
    assert said.startswith(b"HTTP/1.1 413 ") and b"connection: close" in said
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_large"


def test_a_body_that_does_not_say_how_long_it_is_is_measured(api):
    def pieces():
        for _ in range(BODY_BYTES // 65536 + 2):
            yield b" " * 65536

    with api.http() as http:
        assert http.post("/chat/completions", content=pieces()).status_code == 413


def test_what_is_no_json_is_a_bad_request(api):
    with api.http() as http:
        answer = http.post("/chat/completions", content=b"{")
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
