"""The provider elsewhere gives the states of the local one, whatever is lost on the way, and believes nobody."""

import asyncio

import httpx2
import pytest
import torch

from nightschool.engine.base.card import check_probe
from nightschool.engine.base.halves import open_tail
from nightschool.engine.base.library import load
from nightschool.engine.wire import session as wire_session
from nightschool.engine.wire.client import Client, Waiting
from nightschool.engine.wire.frames import Header, Type, encode
from nightschool.engine.wire.rows import Writing, encode_rows
from nightschool.plugins.providers.local import LocalProvider
from nightschool.plugins.providers.remote import open_named
from nightschool.plugins.providers.several import SeveralProviders
from nightschool.schemas.errors import (
    BadFrame,
    BaseMismatch,
    NotFound,
    PeerFull,
    PeerRefused,
    PromptTooLong,
    RemoteError,
    Unauthorised,
    Unreachable,
    UsageError,
)
from nightschool.schemas.hsp import BaseIdentity, Code
from nightschool.tests.engine.wire.peer import (
    KEY,
    Fault,
    Peer,
    answered,
    counting,
    cut_after,
    garbled,
    lost_before,
    problem,
    refused,
    restarted,
)
from nightschool.tests.plugins.providers.remotes import (
    ADDRESS,
    CUT,
    carrier,
    local,
    peer,
    provider,
    remote,
    same,
    tokens,
)
from nightschool.tests.tiny import save_tiny

__all__ = ["carrier", "local", "peer", "remote"]  # fixtures that live beside the provider


async def test_a_session_gives_the_local_states(remote, local, peer):
    session = remote.open(CUT)
    await same(session, local, tokens(200), 1, 2, 150)
    with counting(peer) as asked:
        again = await session.extend(100, tokens(30, 5))
    assert asked == [("step", 100, 30, 30)]
    (whole,) = await local.states([tokens(200)[:100] + tokens(30, 5)], CUT)
    torch.testing.assert_close(again.rows, whole.rows[100:], atol=2e-5, rtol=1e-4)
    await session.close()
    assert peer.sessions == {}


async def test_one_connection_carries_what_comes_after_each_other(remote, peer, carrier):
    session = remote.open(CUT)
    for place in range(5):
        await session.extend(place, [place])
    await remote.states([tokens(5)], CUT)
    assert (peer.opened, peer.by_socket) == ((1, 6) if carrier == "socket" else (0, 0))


async def test_batches_come_back_in_order_however_they_are_cut(remote, local, peer):
    batch = [tokens(length, length) for length in (30, 1, 0, 30, 17, 100, 3, 3, 3, 3, 3)]
    found, expected = await remote.states(batch, CUT), await local.states(batch, CUT)
    for one, other in zip(found, expected, strict=True):
        assert one.position == 0
        torch.testing.assert_close(one.rows, other.rows, atol=2e-5, rtol=1e-4)
    assert max(count for verb, count, _, _ in peer.asked if verb == "capture") <= 4
    assert peer.sessions == {}


async def test_a_capture_that_is_cut_off_asks_only_for_what_lacks(remote, local, peer):
    batch = [tokens(10, 1), tokens(20, 2), tokens(5, 3)]
    peer.faults = [cut_after(1, "capture"), lost_before("capture")]
    found, expected = await remote.states(batch, CUT), await local.states(batch, CUT)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.rows, other.rows, atol=2e-5, rtol=1e-4)
    assert [(count, total) for verb, count, total, _ in peer.asked if verb == "capture"] == [(3, 35), (2, 15), (2, 15)]


@pytest.mark.parametrize("codec", ["bf16", "f16s", "i8h64"])
async def test_codecs_come_near(tiny_base, local, peer, codec):
    session = provider(tiny_base, peer, codec).open(CUT)
    (whole,) = await local.states([tokens(50)], CUT)
    rows = (await session.extend(0, tokens(50))).rows
    assert 0 < (rows - whole.rows).norm() / whole.rows.norm() < 0.02
    assert rows.dtype == torch.float32


FAULTS = {
    "the answer is lost": [lost_before()],
    "and once more": [lost_before(), lost_before(), lost_before()],
    "the server was started again": [restarted()],
    "it is cut off at once": [cut_after(0)],
    "it is cut off between rows": [cut_after(1)],
    "it is cut off before the end": [cut_after(2)],
    "the session was dropped": [
        Fault("step", lambda response, peer: (peer.sessions.clear(), problem(Code.UNKNOWN_SESSION))[1])
    ],
    "the server has no room": [refused(Code.CACHE_FULL, retry_after=2), refused(Code.BUSY)],
    "it shuts down": [refused(Code.SHUTTING_DOWN), restarted()],
    "it fails inside": [refused(Code.INTERNAL)],
    "a conflict of another history": [refused(Code.CONFLICT, have=3, hash="0" * 32)],
    "a conflict without words": [refused(Code.CONFLICT)],
    "a number that is too small": [refused(Code.STALE)],
    "a byte is damaged": [garbled(lambda pieces: [pieces[0][:-1] + b"\x99", *pieces[1:]])],
    "a proxy's page": [Fault("step", lambda response, peer: answered(502, "<html>bad gateway</html>"))],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_what_is_lost_on_the_way_is_asked_for_again(tiny_base, local, faults, at):
    """At the first step, in the middle of a long one, and at a single token."""
    peer = Peer(local, step_tokens=40)
    session = provider(tiny_base, peer).open(CUT)
    sequence = tokens(151)
    (whole,) = await local.states([sequence], CUT)
    for number, (start, stop) in enumerate(((0, 100), (100, 150), (150, 151))):
        if number == at:
            peer.faults = list(faults)
        rows = (await session.extend(start, sequence[start:stop])).rows
        torch.testing.assert_close(rows, whole.rows[start:stop], atol=2e-5, rtol=1e-4)
    assert peer.faults == []


async def test_after_a_loss_only_the_rows_that_lack_are_asked_for(tiny_base, local):
    peer = Peer(local, step_tokens=512)
    session = provider(tiny_base, peer).open(CUT)
    await session.extend(0, tokens(400))
    peer.sessions.clear()
    with counting(peer) as asked:
        await session.extend(400, [7])
    assert asked == [("open", 0, 0, 0), ("step", 0, 401, 1)]


async def test_what_the_server_still_has_is_not_sent_again(remote, local, peer):
    """A step was done, its answer was lost and given up; then another way is taken."""
    session = remote.open(CUT)
    sequence = tokens(60)
    await session.extend(0, sequence[:50])
    peer.faults = [lost_before() for _ in range(6)]
    with pytest.raises(Unreachable):
        await session.extend(20, [1, 2, 3])
    assert session.length == 50
    with counting(peer) as asked:
        states = await session.extend(50, sequence[50:])
    assert asked == [("step", 20, 40, 10)]
    (whole,) = await local.states([sequence], CUT)
    torch.testing.assert_close(states.rows, whole.rows[50:], atol=2e-5, rtol=1e-4)


async def test_a_lost_answer_is_asked_for_under_the_same_number(remote, peer):
    """So that the server need not compute it again."""
    session = remote.open(CUT)
    await session.extend(0, tokens(9))
    (held,) = peer.sessions.values()
    number = held[3]
    peer.faults = [lost_before(), lost_before()]
    await session.extend(9, [1])
    assert held[3] == number + 1


async def test_going_back_alone_costs_no_request(remote, peer):
    session = remote.open(CUT)
    await session.extend(0, tokens(9))
    with counting(peer) as asked:
        states = await session.extend(4, [])
    assert (asked, session.length, states.rows.shape) == ([], 4, (0, 32))


async def test_a_history_may_be_resumed_without_its_rows(remote, local, peer):
    session = remote.open(CUT)
    session.restore(tokens(60), session.held())
    states = await session.extend(60, [9, 8])
    (whole,) = await local.states([[*tokens(60), 9, 8]], CUT)
    torch.testing.assert_close(states.rows, whole.rows[60:], atol=2e-5, rtol=1e-4)
    assert peer.asked == [("open", 0, 0, 0), ("step", 0, 62, 2)]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (refused(Code.WRONG_BASE, "open"), BaseMismatch),
        (refused(Code.UNAUTHORISED), Unauthorised),
        (refused(Code.TOO_LONG), PromptTooLong),
        (refused(Code.BAD_REQUEST), PeerRefused),
        (refused(Code.CACHE_FULL, retry_after=1000), PeerFull),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_what_trying_again_cannot_help_is_told_at_once(remote, peer, fault, error):
    peer.faults = [fault, lost_before()]
    session = remote.open(CUT)
    with pytest.raises(error):
        await session.extend(0, tokens(3))
    assert len(peer.faults) == 1
    assert session.length == 0


async def test_it_is_given_up_in_the_end(tiny_base, peer):
    peer.faults = [lost_before() for _ in range(20)]
    with pytest.raises(Unreachable, match=r"peer\.test"):
        await provider(tiny_base, peer, tries=4).open(CUT).extend(0, [1])
    assert len(peer.faults) == 16


async def test_a_server_that_forgets_for_ever_is_given_up(tiny_base, peer):
    peer.faults = [refused(Code.CONFLICT, have=0, hash="66687aadf862bd776c8fc18b8e9f8e20") for _ in range(50)]
    with pytest.raises(PeerRefused):
        await provider(tiny_base, peer).open(CUT).extend(0, [1])
    assert len(peer.faults) > 40


async def test_a_wrong_key_is_told(tiny_base, peer):
    with pytest.raises(Unauthorised, match="key"):
        await provider(tiny_base, peer, key="another").open(CUT).extend(0, [1])


async def test_a_server_that_hangs_is_not_waited_for_to_hear_that_a_session_is_over(remote, monkeypatch):
    session = remote.open(CUT)
    await session.extend(0, tokens(5))
    monkeypatch.setattr(wire_session, "_CLOSING", 0.05)
    monkeypatch.setattr(Client, "close", lambda client, name: asyncio.sleep(600))
    await asyncio.wait_for(session.close(), 60)


async def test_limits_hold_before_anything_is_sent(remote, peer, tiny_base):
    session = remote.open(CUT)
    for position, new, error in ((1, [1], UsageError), (0, [260], UsageError), (0, [1] * 513, PromptTooLong)):
        with pytest.raises(error):
            await session.extend(position, new)
    with pytest.raises(UsageError):
        remote.open(5)
    await session.close()
    await session.close()
    with pytest.raises(UsageError):
        await session.extend(0, [1])
    assert peer.asked == []


# -- whom it believes -------------------------------------------------------------------------------------------------


async def test_another_base_is_refused_by_its_name(remote, peer, tiny_base):
    theirs = peer.describe().base
    peer.identity = BaseIdentity(**{**theirs.model_dump(), "tensors_hash": "0" * 64, "name": "Impostor"})
    with pytest.raises(BaseMismatch, match=r"Impostor.*tensors_hash"):
        await remote.states([[1]], CUT)
    with pytest.raises(BaseMismatch):
        await remote.open(CUT).extend(0, [1])


async def test_another_base_that_lies_is_refused_by_what_it_computes(tiny_base, tmp_path):
    other = Peer(LocalProvider(load(save_tiny(tmp_path, seed=9))))
    other.identity = Peer(LocalProvider(tiny_base)).describe().base
    with pytest.raises(BaseMismatch, match="nats"):
        await check_probe(tiny_base.card, provider(tiny_base, other), open_tail(tiny_base, CUT))


async def test_the_same_base_passes(tiny_base, remote):
    assert await check_probe(tiny_base.card, remote, open_tail(tiny_base, CUT)) < 1e-3


async def test_a_cut_that_is_not_offered_is_told(remote):
    with pytest.raises(UsageError, match="only 0, 1, 2"):
        await remote.open(3).extend(0, [1])


def rows_frame(**changes):
    """A forged ROWS frame in f32, one row of width 32 at position 0."""
    fields = {"codec": 1, "position": 0, "rows": 1, "width": 32, **changes}
    return encode(Header(Type.ROWS, **fields), bytes(4 * fields["rows"] * fields["width"]))


FORGED = {
    "another width": lambda pieces: [rows_frame(width=64)],
    "too many rows": lambda pieces: [rows_frame(rows=5)],
    "another position": lambda pieces: [rows_frame(position=1)],
    "another sequence": lambda pieces: [rows_frame(sequence=1)],
    "rows twice": lambda pieces: [pieces[0], pieces[0]],
    "an end too early": lambda pieces: [pieces[-1]],
    "something after the end": lambda pieces: [*pieces, pieces[-1]],
    "a request": lambda pieces: [encode(Header(Type.REQUEST), b"{}")],
    "a codec that was not asked for": lambda pieces: list(encode_rows(torch.ones(3, 32), 1, Writing("i8h64"))),
    "another history": lambda pieces: [
        *pieces[:-1],
        encode(Header(Type.END), b'{"have": 3, "hash": "%s"}' % (b"0" * 32)),
    ],
    "no JSON": lambda pieces: [*pieces[:-1], encode(Header(Type.END), b"\xff\xfe")],
    "not HSP": lambda pieces: [b"<html>" + bytes(40)],
}


AFTER_THE_END = ("something after the end", "rows twice")
"""Over a WebSocket an answer ends with its END: what comes after it is of no answer."""


@pytest.mark.parametrize("what", FORGED.keys())
async def test_a_forged_answer_is_refused(tiny_base, peer, what, carrier):
    if carrier == "socket" and what in AFTER_THE_END:
        pytest.skip("of bodies")
    change = FORGED[what]
    peer.faults = [garbled(change) for _ in range(3)]
    session = provider(tiny_base, peer, tries=3).open(CUT)
    with pytest.raises((BadFrame, RemoteError)):
        await session.extend(0, tokens(3))
    assert session.length == 0


async def test_no_answer_is_longer_than_it_may_be(tiny_base, peer):
    """A body without end, where a short record or three rows were to come, is not read on."""
    given = []

    class Endless(httpx2.AsyncByteStream):
        async def __aiter__(self):
            while True:
                given.append(65536)
                yield b" " * 65536

    for verb in ("describe", "open", "step"):
        given.clear()
        peer.faults = [Fault(verb, lambda response, peer: httpx2.Response(200, stream=Endless()))]
        with pytest.raises(BadFrame):
            await provider(tiny_base, peer, tries=1).open(CUT).extend(0, tokens(3))
        assert sum(given) <= 2 << 20


async def test_a_server_that_trickles_is_given_up(tiny_base, peer):
    class Trickle(httpx2.AsyncByteStream):
        async def __aiter__(self):
            while True:
                await asyncio.sleep(0.01)
                yield b""

    peer.faults = [Fault("describe", lambda response, peer: httpx2.Response(200, stream=Trickle()))]
    client = Client(ADDRESS, KEY, transport=lambda: peer, waiting=Waiting(whole=0.1))
    with pytest.raises(Unreachable, match="in time"):
        await client.describe()


async def test_redirects_are_not_followed(tiny_base, peer):
    """The key would go along."""
    peer.faults = [Fault("describe", lambda response, peer: answered(307, "", location="https://evil.test"))]
    with pytest.raises(PeerRefused, match="307"):
        await provider(tiny_base, peer, tries=1).describe()


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org",
        "http://192.168.1.5:8000",
        "ftp://a",
        "example.org",
        "https://",
        "https://a:b@c",
        "https://a:x",
    ],
)
def test_an_address_that_would_tell_the_key_or_is_none_is_refused(address):
    with pytest.raises(UsageError):
        Client(address)


@pytest.mark.parametrize(
    "address", ["https://example.org/v/", "http://127.0.0.1:8000", "http://[::1]:1", "http://localhost"]
)
def test_an_address_that_is_one_is_taken(address):
    assert Client(address).address == address.rstrip("/")


def test_it_goes_on_in_another_event_loop(remote):
    for _ in range(2):
        states = asyncio.run(remote.open(CUT).extend(0, [1]))
        assert states.rows.shape == (1, 32)


def test_the_settings_name_the_providers(tiny_base, tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path))
    (tmp_path / "key").write_text("secret\n")
    servers = (
        f'[servers.a]\nurl = "https://a.test"\nkey_file = "{tmp_path / "key"}"\n[servers.b]\nurl = "https://b.test"\n'
    )
    (tmp_path / "config.toml").write_text(f'provider = "a"\n{servers}')
    assert open_named(tiny_base).address == "https://a.test"
    (tmp_path / "config.toml").write_text(f'provider = ["b", "a", "local"]\n{servers}')
    assert isinstance(open_named(tiny_base), SeveralProviders)
    (tmp_path / "key").write_text("two words")
    with pytest.raises(UsageError):
        open_named(tiny_base)
    (tmp_path / "key").unlink()
    with pytest.raises(NotFound):
        open_named(tiny_base)


async def test_what_was_given_up_half_way_does_not_mislead_later(tiny_base, local):
    """Half of a long step was done when it was given up; the history is the one before it."""
    peer = Peer(local, step_tokens=40)
    session = provider(tiny_base, peer, tries=2).open(CUT)
    await session.extend(0, tokens(30))
    peer.faults = [Fault("step", lambda response, peer: response), lost_before(), lost_before()]
    with pytest.raises(Unreachable):
        await session.extend(10, tokens(100, 3))
    with counting(peer) as asked:
        states = await session.extend(30, [5])
    assert asked == [("step", 10, 21, 1)]
    (whole,) = await local.states([[*tokens(30), 5]], CUT)
    torch.testing.assert_close(states.rows, whole.rows[30:], atol=2e-5, rtol=1e-4)
