"""What carries the tokens of a provider elsewhere: a WebSocket where there is one, else HTTP."""

import httpx2
import pytest

from nightschool.engine.wire.client import Client
from nightschool.engine.wire.rows import Writing
from nightschool.plugins.providers.remote import RemoteProvider
from nightschool.schemas.errors import UsageError
from nightschool.schemas.hsp import Code
from nightschool.tests.engine.wire.peer import KEY, Fault, Wire, answered, garbled, problem
from nightschool.tests.plugins.providers.remotes import (
    ADDRESS,
    CUT,
    carrier,
    local,
    patience,
    peer,
    provider,
    remote,
    same,
    tokens,
)

__all__ = ["carrier", "local", "peer", "remote"]  # fixtures that live beside the provider


@pytest.mark.parametrize(
    "instead",
    [
        lambda response, peer: answered(404, "<html>what?</html>"),
        lambda response, peer: answered(502, "<html>bad gateway</html>"),
        lambda response, peer: answered(200, "<html>welcome</html>"),
        lambda response, peer: problem(Code.TOO_MANY, retry_after=1),
        lambda response, peer: httpx2.Response(101, headers={"sec-websocket-accept": "x"}, stream=response.stream),
    ],
    ids=["none there", "a proxy", "a page", "too many", "a false proof"],
)
async def test_where_no_websocket_can_be_had_http_carries_it(remote, local, peer, carrier, instead):
    if carrier == "http":
        pytest.skip("of WebSockets")
    peer.faults = [Fault("socket", instead)]
    await same(remote.open(CUT), local, tokens(50), 1, 2)
    assert (peer.faults, peer.opened, peer.by_socket) == ([], 1, 0)  # it was asked for once


@pytest.mark.parametrize(("wanted", "expected"), [("http", 0), ("socket", 1), ("auto", 1)])
async def test_the_settings_say_what_carries_it(tiny_base, peer, carrier, wanted, expected):
    if carrier == "http":
        pytest.skip("of WebSockets")
    client = Client(ADDRESS, KEY, transport=lambda: peer, carrier=wanted)
    await RemoteProvider(tiny_base.card, client, Writing("f32"), patience()).states([[1]], CUT)
    assert peer.by_socket == expected
    assert client.carrier == ("a WebSocket" if expected else "HTTP")


async def test_without_what_it_needs_http_carries_it_or_the_user_is_told(tiny_base, peer, monkeypatch):
    monkeypatch.setattr("nightschool.engine.wire.client.has_sockets", lambda: False)
    await provider(tiny_base, peer).states([[1]], CUT)
    assert peer.by_socket == 0
    with pytest.raises(UsageError, match=r"nightschool\[socket\]"):
        Client(ADDRESS, KEY, carrier="socket")


async def test_a_websocket_that_goes_on_after_the_end_is_not_used_again(remote, local, peer, carrier):
    if carrier == "http":
        pytest.skip("of WebSockets")
    peer.faults = [garbled(lambda pieces: [*pieces, pieces[-1]])]
    await same(remote.open(CUT), local, tokens(20), 5, 6)
    assert (peer.opened, peer.by_socket) == (2, 3)


async def test_a_websocket_that_rested_too_long_or_was_closed_is_not_used_again(remote, peer, carrier, monkeypatch):
    if carrier == "http":
        pytest.skip("of WebSockets")
    session = remote.open(CUT)
    await session.extend(0, [1])
    monkeypatch.setattr(Wire, "get_extra_info", lambda wire, info: info == "is_readable")
    await session.extend(1, [2])
    assert peer.opened == 2
