"""A simulated network takes the time it says, loses what it says, the same each time; and a chat does not mind."""

import asyncio

import pytest
import torch

from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.wire.client import Client
from nightschool.engine.wire.patience import Patience
from nightschool.engine.wire.rows import Writing
from nightschool.plugins.providers.local import LocalProvider
from nightschool.plugins.providers.remote import RemoteProvider
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role
from nightschool.tests.engine.wire.peer import KEY, Peer
from nightschool.tests.network import Conditions, Network, VirtualTime

CUT = 2


def over(base, conditions, seed=0, codec="f32"):
    """Return a provider behind a network, the network, and the time that passes in it."""
    time = VirtualTime()
    network = Network(Peer(LocalProvider(base)), conditions, seed, time.sleep)
    client = Client("https://peer.test", KEY, transport=lambda: network)
    patience = Patience(tries=50, sleep=time.sleep)
    return RemoteProvider(base.card, client, Writing(codec), patience), network, time


async def test_a_step_takes_a_round_trip_and_its_bytes(tiny_base):
    provider, network, time = over(tiny_base, Conditions(delay=0.05, bandwidth=1000))
    session = provider.open(CUT)
    await session.extend(0, [1])
    before, sent, received = time.seconds, network.traffic.sent, network.traffic.received
    await session.extend(1, [2])
    carried = network.traffic.sent - sent + network.traffic.received - received
    assert time.seconds - before == pytest.approx(0.1 + carried / 1000)
    assert 4 * 32 < network.traffic.received - received < 4 * 32 + 200


async def test_the_same_seed_breaks_the_same(tiny_base):
    runs = []
    for seed in (1, 1, 2):
        provider, network, _ = over(tiny_base, Conditions(delay=0.01, jitter=0.01, loss=0.2, cut=0.3), seed)
        session = provider.open(CUT)
        for place in range(20):
            await session.extend(place, [place])
        runs.append((network.traffic.broken, network.traffic.requests))
    assert runs[0] == runs[1] != runs[2]
    assert runs[0][0] > 0


def answer(base, provider):
    chat = Chat(base, provider, CUT)
    sampling = Sampling(max_tokens=30, temperature=0)
    turns = [Turn(Role.USER, "Say something long, please, and do not stop.")]
    reply = chat.reply(
        1, turns, system="", adapter=None, sampling=sampling, on_text=lambda text: None, cancelled=lambda: False
    )
    return asyncio.run(reply)


@pytest.mark.parametrize("seed", range(3))
def test_a_chat_over_a_bad_network_says_the_same(tiny_base, seed):
    conditions = Conditions(delay=0.1, jitter=0.3, loss=0.1, lost_answers=0.1, cut=0.2)
    provider, network, _ = over(tiny_base, conditions, seed)
    assert answer(tiny_base, provider) == answer(tiny_base, LocalProvider(tiny_base))
    assert network.traffic.broken > 3


async def test_rows_that_came_before_a_cut_are_kept(tiny_base):
    """However long a prompt is: what has come is not sent again."""
    provider, network, _ = over(tiny_base, Conditions(cut=0.5), seed=5)
    session = provider.open(CUT)
    rows = (await session.extend(0, list(range(256)))).rows
    (whole,) = await LocalProvider(tiny_base).states([list(range(256))], CUT)
    torch.testing.assert_close(rows, whole.rows, atol=2e-5, rtol=1e-4)
    assert network.traffic.broken > 0
