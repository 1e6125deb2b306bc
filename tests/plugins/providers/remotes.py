"""A provider elsewhere over the peer of the tests, with what carries its tokens; fixtures to be imported."""

import random

import pytest
import torch

from nightschool.engine.wire.client import Client
from nightschool.engine.wire.patience import Patience
from nightschool.engine.wire.rows import Writing
from nightschool.plugins.providers.local import LocalProvider
from nightschool.plugins.providers.remote import RemoteProvider
from nightschool.tests.engine.wire.peer import KEY, Peer

CUT = 2
ADDRESS = "https://peer.test/base"


@pytest.fixture(params=["http", "socket"], autouse=True)
def carrier(request, monkeypatch):
    """What carries the tokens of every test here."""
    monkeypatch.setattr(Peer, "sockets", request.param == "socket")
    return request.param


async def at_once(seconds):
    """Do not wait."""


def patience(tries=6):
    return Patience(tries=tries, sleep=at_once, random=random.Random(1))


def tokens(length, seed=0):
    return torch.randint(0, 256, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.fixture
def local(tiny_base):
    return LocalProvider(tiny_base)


@pytest.fixture
def peer(local):
    return Peer(local)


@pytest.fixture
def remote(tiny_base, peer):
    return provider(tiny_base, peer)


def provider(base, peer, codec="f32", key=KEY, tries=6, zstd=False):
    client = Client(ADDRESS, key, transport=lambda: peer)
    return RemoteProvider(base.card, client, Writing(codec, zstd), patience(tries))


async def same(session, local, sequence, *cuts):
    """Extend a session piece by piece and compare with the local provider's states of the whole."""
    (whole,) = await local.states([sequence], CUT)
    for start, stop in zip((0, *cuts), (*cuts, len(sequence)), strict=True):
        states = await session.extend(start, sequence[start:stop])
        assert states.position == start
        torch.testing.assert_close(states.rows, whole.rows[start:stop], atol=2e-5, rtol=1e-4)
    assert session.length == len(sequence)
