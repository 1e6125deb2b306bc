"""Several providers of one base: one goes on where another fails, and a wrong one is not asked twice."""

import pytest
import torch

from nightschool.engine.base.card import check_probe
from nightschool.engine.base.halves import open_tail
from nightschool.engine.base.library import load
from nightschool.plugins.providers.local import LocalProvider
from nightschool.plugins.providers.several import REST, SeveralProviders
from nightschool.schemas.errors import BaseMismatch, Unreachable, UsageError
from nightschool.tests.engine.wire.peer import Peer, lost_before
from nightschool.tests.plugins.providers.test_remote import CUT, provider, tokens
from nightschool.tests.tiny import save_tiny


@pytest.fixture
def local(tiny_base):
    return LocalProvider(tiny_base)


@pytest.fixture
def peers(local):
    return [Peer(local), Peer(local)]


def gone(peer):
    """Let a peer answer nothing from now on, and forget."""
    peer.sessions.clear()
    peer.faults = [lost_before("any") for _ in range(1000)]


def several(base, peers, **options):
    return SeveralProviders([provider(base, peer, tries=2) for peer in peers], **options)


async def test_another_one_goes_on_in_the_middle(tiny_base, local, peers):
    session = several(tiny_base, peers).open(CUT)
    sequence = tokens(40)
    (whole,) = await local.states([sequence], CUT)
    rows = [(await session.extend(0, sequence[:30])).rows]
    for place in range(30, 40):
        if place == 35:
            gone(peers[0])
        rows.append((await session.extend(place, [sequence[place]])).rows)
    torch.testing.assert_close(torch.cat(rows), whole.rows, atol=2e-5, rtol=1e-4)
    assert [ask for ask in peers[1].asked if ask[0] != "describe"][:3] == [
        ("open", 0, 0, 0),
        ("step", 0, 36, 1),
        ("step", 36, 1, 1),
    ]


async def test_this_process_may_be_the_last_resort(tiny_base, local, peers):
    providers = SeveralProviders([provider(tiny_base, peers[0], tries=2), local])
    session = providers.open(CUT)
    await session.extend(0, tokens(20))
    gone(peers[0])
    states = await session.extend(15, [1, 2])
    (whole,) = await local.states([[*tokens(20)[:15], 1, 2]], CUT)
    torch.testing.assert_close(states.rows, whole.rows[15:], atol=2e-5, rtol=1e-4)
    assert session.length == 17


async def test_one_that_failed_is_asked_again_after_a_rest(tiny_base, peers):
    now = [100.0]
    providers = several(tiny_base, peers, clock=lambda: now[0])
    peers[0].faults = [lost_before("any") for _ in range(2)]
    await providers.states([[1]], CUT)
    peers[0].asked.clear()
    await providers.states([[1]], CUT)
    assert peers[0].asked == []
    now[0] += REST
    await providers.states([[1]], CUT)
    assert peers[0].asked


async def test_if_none_answers_nothing_is_lost(tiny_base, local, peers):
    session = several(tiny_base, peers).open(CUT)
    await session.extend(0, tokens(10))
    gone(peers[0])
    gone(peers[1])
    with pytest.raises(Unreachable):
        await session.extend(10, [1])
    assert session.length == 10
    peers[1].faults.clear()
    (whole,) = await local.states([[*tokens(10), 1]], CUT)
    torch.testing.assert_close((await session.extend(10, [1])).rows, whole.rows[10:], atol=2e-5, rtol=1e-4)


async def test_a_wrong_one_is_found_out_and_not_asked_again(tiny_base, local, tmp_path):
    tail = open_tail(tiny_base, CUT)
    liar, honest = Peer(LocalProvider(load(save_tiny(tmp_path, seed=9)))), Peer(local)
    liar.identity = honest.describe().base
    providers = several(tiny_base, [liar, honest], admit=lambda one: check_probe(tiny_base.card, one, tail))
    (found,) = await providers.states([tokens(9)], CUT)
    (whole,) = await local.states([tokens(9)], CUT)
    torch.testing.assert_close(found.rows, whole.rows, atol=2e-5, rtol=1e-4)
    liar.asked.clear()
    await providers.states([[1]], CUT)
    assert liar.asked == []
    with pytest.raises(BaseMismatch):
        await several(tiny_base, [liar], admit=lambda one: check_probe(tiny_base.card, one, tail)).states([[1]], CUT)


def test_they_must_be_of_one_base(tiny_base, local, tmp_path):
    with pytest.raises(BaseMismatch):
        SeveralProviders([local, LocalProvider(load(save_tiny(tmp_path, seed=9)))])
    with pytest.raises(UsageError):
        SeveralProviders([])
