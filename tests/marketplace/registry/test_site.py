"""A registry behind a real web server, and what a hostile one can do on the way."""

import gzip
import http.server
import threading
import time
from contextlib import contextmanager

import pytest

from nightschool.marketplace.registry import layout
from nightschool.marketplace.registry.site import Site
from nightschool.marketplace.registry.source import Missing
from nightschool.schemas.errors import MarketError, Unchecked, UsageError


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    folder = None
    misdeeds = None  # by a part of the path: what is done instead of serving the file


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        for part, misdeed in self.server.misdeeds.items():
            if part in self.path:
                return misdeed(self)
        file = self.server.folder / self.path.lstrip("/").removeprefix("below/")
        if not file.is_file():
            return self.answer(404, b"nothing here")
        return self.answer(200, file.read_bytes())

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def served(folder, **misdeeds):
    server = Server(("127.0.0.1", 0), Handler)
    server.folder, server.misdeeds, server.asked = folder, misdeeds, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}/below"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def site(listed):
    """Gives a client of the registry over HTTP, and the server."""
    with served(listed.folder) as (server, address):
        yield listed.client("web", address), server


def code_of(action, *arguments, **named):
    with pytest.raises(MarketError) as caught:
        action(*arguments, **named)
    return caught.value.code


def test_a_registry_is_read_over_http_as_from_a_folder(listed, site, tmp_path):
    client, server = site
    client.refresh(listed.trust)
    slot = client.slot("captain")
    counted = []
    client.download(slot, slot.latest, tmp_path / "got.slot", tell=counted.append)
    assert (tmp_path / "got.slot").read_bytes() == (tmp_path / "made" / "captain-1.slot").read_bytes()
    assert counted[-1] == slot.latest.length
    assert client.manifest(slot, slot.latest).manifest.card.title == "Captain"
    assert {headers["accept-encoding"] for _, headers in server.asked} == {"identity"}


def test_a_refresh_over_http_asks_for_what_is_new_alone(listed, site):
    client, server = site
    client.refresh(listed.trust)
    server.asked.clear()
    client.refresh(listed.trust)
    assert [path.removeprefix("/below/") for path, _ in server.asked if "revocations" not in path] == [
        "metadata/2.root.json",
        "metadata/timestamp.json",
    ]


def read(address, place="registry.json", most=10_000, **options):
    with Site(address, **options) as source:
        return b"".join(source.read(place, most))


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip"])
def test_59_an_encoding_that_was_not_asked_for(listed, encoding):
    def encoded(handler):
        handler.answer(200, gzip.compress(b"\0" * 100_000), content_encoding=encoding)

    with served(listed.folder, registry=encoded) as (_, address):
        assert code_of(read, address) == "content-encoding"


def test_60_a_file_that_says_it_is_longer_is_not_begun(listed):
    with served(listed.folder, registry=lambda handler: handler.answer(200, b"x" * 10_001)) as (_, address):
        assert code_of(read, address) == "too-long"
        assert read(address, most=10_001) == b"x" * 10_001


def test_60_a_file_that_does_not_say_its_length_is_cut_off(listed):
    given = []

    def endless(handler):
        handler.send_response(200)
        handler.send_header("connection", "close")
        handler.end_headers()
        handler.close_connection = True
        try:
            while len(given) < 10_000:
                handler.wfile.write(b"x" * 65536)
                given.append(65536)
        except OSError:
            pass

    with served(listed.folder, registry=endless) as (_, address):
        assert code_of(read, address) == "too-long"
    assert sum(given) < 64 << 20


def test_60_a_body_that_ends_before_its_length_is_no_file(listed):
    def short(handler):
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 10)
        handler.close_connection = True

    with served(listed.folder, registry=short) as (_, address):
        assert code_of(read, address) == "unreachable"


def redirect(location, status=302):
    return lambda handler: handler.answer(status, location=location)


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/below/registry.json",
        "https://example.org/registry.json",
        "//example.org/registry.json",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://127.0.0.1@example.org/",
    ],
)
def test_61_a_redirect_to_another_place(listed, location):
    with served(listed.folder, registry=redirect(location)) as (server, address):
        assert code_of(read, address) == "redirect"
        assert len(server.asked) == 1


def test_61_a_redirect_within_the_site_is_followed(listed):
    with served(listed.folder, registry=redirect("/below/metadata/1.root.json")) as (_, address):
        assert read(address) == (listed.folder / "metadata" / "1.root.json").read_bytes()


def test_61_redirects_in_a_circle(listed):
    with served(listed.folder, registry=redirect("/below/registry.json")) as (server, address):
        assert code_of(read, address) == "redirect"
        assert len(server.asked) < 6


def test_62_a_server_that_goes_back(listed, site):
    client, _ = site
    client.refresh(listed.trust)
    old = listed.keep_copy()
    listed.publish()
    client.refresh(listed.trust)
    listed.show_again(old)
    assert code_of(client.refresh, listed.trust) == "registry-rollback"


@pytest.mark.parametrize("status", [500, 503, 401, 204, 206])
def test_an_answer_that_is_none(listed, status):
    with (
        served(listed.folder, registry=lambda handler: handler.answer(status)) as (_, address),
        pytest.raises(Unchecked),
    ):
        read(address)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_is_not_there(listed, status):
    with served(listed.folder, registry=lambda handler: handler.answer(status)) as (_, address), pytest.raises(Missing):
        read(address)


def test_a_server_that_is_not_there(listed):
    with served(listed.folder) as (_, address):
        pass
    assert code_of(read, address) == "unreachable"


def test_a_server_that_sends_too_slowly(listed):
    def slow(handler):
        handler.send_response(200)
        handler.send_header("content-length", "10000")
        handler.end_headers()
        try:
            for _ in range(200):
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.02)
        except OSError:
            pass

    with served(listed.folder, registry=slow) as (_, address):
        assert code_of(read, address, grace=0.2) == "unreachable"


@pytest.mark.parametrize("place", [layout.TIMESTAMP, "targets/catalog"])
def test_a_bomb_in_the_place_of_a_file(listed, place):
    def bomb(handler):
        handler.answer(200, gzip.compress(b"\0" * (50 << 20)), content_encoding="gzip")

    with served(listed.folder, **{place: bomb}) as (_, address):
        assert code_of(listed.client("web", address).refresh, listed.trust) == "content-encoding"


@pytest.mark.parametrize(
    "address", ["ftp://host/x", "http://", "https://user:pass@host/", "http://host/?x=1", "gopher://x", "file:///etc"]
)
def test_an_address_that_is_none(address):
    from nightschool.marketplace.registry.client import open_source

    with pytest.raises(UsageError):
        open_source(address)
