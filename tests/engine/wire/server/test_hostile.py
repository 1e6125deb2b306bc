"""Whatever is sent, the server answers with a problem or hangs up, and goes on; it tells nobody what others said."""

from __future__ import annotations

import random
import socket
import struct

import httpx2
import pytest

from nightschool.engine.wire import routes
from nightschool.engine.wire.frames import CONTENT_TYPE, HEADER_BYTES
from nightschool.engine.wire.server import line, patient
from nightschool.engine.wire.server.allowance import Allowance
from nightschool.engine.wire.server.keys import remove_key
from nightschool.tests.serving import Refusal, running, tokens


def alive(server, key=""):
    return len(server.client(key).open().step(0, [1, 2, 3])) == 3


def post(server, session, body, **more):
    path = routes.STEP.format(session=session.name)
    return httpx2.post(f"{server.url}{path}", content=body, headers={"content-type": CONTENT_TYPE, **more}, timeout=30)


def raw(server, data, read=True):
    """Send bytes and return what comes back until the server hangs up."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as peer:
        peer.sendall(data)
        if not read:
            return b""
        came = b""
        while piece := peer.recv(65536):
            came += piece
        return came


def test_bodies_that_are_no_frames(server):
    session = server.client().open()
    session.step(0, [1])
    whole = session.body(1, [5, 6])
    for body in (b"", b"HSP/", b"\0" * 100, b"{}", whole[:-1], whole + whole, whole + b"x", b"\xff" * 5000):
        assert post(server, session, body).status_code == 400
    assert alive(server)


def test_lengths_that_are_forged(server):
    """What a header announces is refused before anybody waits for it or sets memory aside."""
    session = server.client().open()
    whole = session.body(0, [5, 6])
    second = HEADER_BYTES + struct.unpack_from("<I", whole, 24)[0]
    for offset, value in ((12, 0xFFFFFFFF), (24, 0xFFFFFFFF), (16, 1 << 30), (8, 0xFFFFFFFF)):
        for place in (0, second):
            forged = bytearray(whole)
            struct.pack_into("<I", forged, place + offset, value)
            assert post(server, session, bytes(forged)).status_code in (400, 413)
    assert alive(server)


def test_mutated_requests(server):
    chance = random.Random(5)
    session = server.client().open()
    whole = session.body(0, [5, 6, 7])
    with httpx2.Client(base_url=server.url, timeout=30) as http:
        for _ in range(400):
            forged = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                forged[chance.randrange(len(forged))] = chance.randrange(256)
            if chance.random() < 0.3:
                del forged[chance.randrange(len(forged)) :]
            response = http.post(routes.STEP.format(session=session.name), content=bytes(forged))
            assert response.status_code in (200, 400, 404, 409, 413), response.text
    assert alive(server)
    assert not [line for line in server.lines() if line["event"] == "failed"]


def test_bodies_that_are_too_long(server):
    session = server.client().open()
    path = routes.STEP.format(session=session.name)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".encode()
    assert b" 413 " in raw(server, head).splitlines()[0]
    big = post(server, session, iter([b"HSP/" + b"\0" * 100_000] * 60))
    assert big.status_code in (400, 413)
    assert httpx2.post(f"{server.url}{routes.SESSIONS}", content=b" " * 70_000).status_code == 413
    assert alive(server)


@pytest.mark.parametrize(
    "data", [b"\0" * 1000, b"GET / HTTP/x.9\r\n\r\n", b"POST \xff\xfe HTTP/1.1\r\n\r\n", b"\r\n" * 9]
)
def test_requests_that_are_no_http(server, data, monkeypatch):
    monkeypatch.setattr(patient, "HEAD_SECONDS", 0.2)
    raw(server, data)
    assert alive(server)


def test_heads_that_never_end(server, monkeypatch):
    monkeypatch.setattr(patient, "HEAD_SECONDS", 0.2)
    assert raw(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ") == b""
    assert raw(server, b"") == b""
    with httpx2.Client(base_url=server.url) as http:  # and after a request that was answered
        http.get(routes.HEALTH)
        (connection,) = http._transport._pool.connections
        peer = connection._connection._network_stream._sock
        peer.sendall(b"GET /heal")
        assert peer.recv(100) == b""
    assert raw(server, b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000).startswith(b"HTTP/1.1 400")
    assert alive(server)


def test_bodies_that_never_come(server, monkeypatch):
    monkeypatch.setattr(line, "PATIENCE", 0.3)
    head = b"POST /hsp/1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"
    came = raw(server, head)
    assert came.startswith(b"HTTP/1.1 400")
    assert b"too long" in came
    assert alive(server)


def test_a_client_that_leaves_in_the_middle(server):
    session = server.client().open()
    body = session.body(0, tokens(500))
    path = routes.STEP.format(session=session.name)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    raw(server, head + body, read=False)
    raw(server, head + body[:-50], read=False)
    said = tokens(500)
    assert len(session.step(0, said, number=1)) == 500
    assert alive(server)


def test_records_with_fields_that_nobody_knows(server):
    base = f'"fingerprint": "{server.base.card.fingerprint}"'
    for more in ('"cut": 2, "more": 1', '"cut": -1', '"cut": 2, "codec": "%s"' % ("x" * 300), '"cut": NaN'):
        response = httpx2.post(f"{server.url}{routes.SESSIONS}", content=f"{{{base}, {more}}}")
        assert (response.status_code, response.json()["code"]) == (400, "bad_request")


def test_paths_that_are_not_there(server):
    for method, path in (("GET", "/nope"), ("PUT", "/healthz"), ("GET", "/hsp/1/sessions/../../etc/passwd")):
        response = httpx2.request(method, f"{server.url}{path}")
        assert response.status_code in (404, 405)
        assert response.json()["code"] == "bad_request"
    assert httpx2.post(f"{server.url}{routes.CORRECT.format(session='x')}").json()["code"] == "not_offered"


def test_without_a_key_nothing_is_told(folders, tmp_path):
    with running(folders("llama"), tmp_path, keys={"one": Allowance(), "two": Allowance()}) as server:
        for key in ("", "ns_wrong", server.keys["one"][:-1]):
            for method, path in (("GET", routes.DESCRIBE), ("POST", routes.SESSIONS), ("GET", routes.METRICS)):
                headers = {"authorization": f"Bearer {key}"} if key else {}
                response = httpx2.request(method, f"{server.url}{path}", headers=headers)
                assert (response.status_code, response.json()["code"]) == (401, "unauthorised")
        assert httpx2.get(f"{server.url}{routes.HEALTH}").status_code == 200
        session = server.client("one").open()
        session.step(0, [1, 2, 3])
        session.client = server.client("two")
        with pytest.raises(Refusal) as refused:
            session.step(3, [4])
        assert (refused.value.status, refused.value.problem.have) == (404, None)
        session.close()
        session.client = server.client("one")
        assert len(session.step(3, [4], number=2)) == 1
        remove_key(tmp_path / "keys.json", "two")
        wait_until(
            lambda: (
                httpx2.get(
                    f"{server.url}{routes.DESCRIBE}", headers={"authorization": f"Bearer {server.keys['two']}"}
                ).status_code
                == 401
            )
        )
        assert alive(server, "one")


def wait_until(true):
    import time

    while not true():
        time.sleep(0.02)


def test_what_is_written_down_holds_no_token(server):
    client = server.client()
    session = client.open()
    said = [211, 212, 213, 214, 215, 216]
    session.step(0, said)
    client.capture([said])
    with pytest.raises(Refusal):
        session.step(6, [9999])
    assert server.lines()
    allowed = {"time", "event", "verb", "key", "status", "tokens", "ms"}
    for written in server.lines():
        assert set(written) <= allowed
        assert not isinstance(written.get("tokens"), list)
    assert "9999" not in server.journal.getvalue()


def test_an_error_while_computing_is_told_without_what_was_said(server, monkeypatch):
    client = server.client()
    session = client.open()
    session.step(0, [1, 2, 3])
    trunk = server.service._scheduler._trunks[2]

    def broken(batch, caches):
        raise ValueError(f"secret {batch}")

    monkeypatch.setattr(trunk, "extend_together", broken)
    with pytest.raises(Refusal) as refused:
        session.step(3, [77])
    assert (refused.value.status, refused.value.problem.code) == (500, "internal")
    assert "secret" not in str(refused.value) + server.journal.getvalue()
    assert [line["kind"] for line in server.lines() if line["event"] == "failed"] == ["ValueError"]
    monkeypatch.undo()
    with pytest.raises(Refusal) as refused:
        session.step(3, [78])
    assert refused.value.problem.have == 0
    assert alive(server)
