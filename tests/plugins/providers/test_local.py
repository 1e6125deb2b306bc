"""The local provider: its states are the trunk's, batched or in a session, and its limits are kept."""

from __future__ import annotations

import subprocess
import sys

import pluggy
import pytest
import torch

from nightschool.engine.base import cut as cut_module
from nightschool.engine.base.cut import split
from nightschool.engine.base.lean import blocks as blocks_module
from nightschool.engine.base.lean import halves as lean_halves
from nightschool.engine.base.library import load
from nightschool.engine.host.hooks import PROJECT, Hooks
from nightschool.plugins.providers import local
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.errors import PromptTooLong, UsageError
from nightschool.tests.tiny import save_tiny

CUT = 2


def tokens(length, seed=0):
    return torch.randint(0, 256, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.fixture(params=["llama", "mistral", "deepseek_v3"], scope="module")
def base(request, tmp_path_factory):
    return load(save_tiny(tmp_path_factory.mktemp("base") / request.param, request.param))


@pytest.fixture
def provider(base):
    return LocalProvider(base)


def whole(base, sequence):
    trunk, _ = split(base.model, CUT)
    return trunk.states(torch.tensor([sequence]))[0]


def assert_same(states, expected):
    torch.testing.assert_close(states, expected, atol=2e-5, rtol=1e-4)


def test_it_is_supplied_through_the_hook(tiny_base):
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(local)
    ((kind,),) = manager.hook.nightschool_providers()
    assert kind.name == "local"
    assert kind.open(tiny_base).base == tiny_base.card


def test_listing_the_plugins_does_not_import_torch():
    code = "import sys, nightschool.plugins.providers.local; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_sequences_of_all_lengths_come_back_in_order(base, provider):
    batch = [tokens(length, length) for length in (30, 1, 17, 30, 0, 200, 8)]
    found = await provider.states(batch, CUT)
    assert [item.rows.shape for item in found] == [(len(sequence), base.card.width) for sequence in batch]
    for item, sequence in zip(found, batch, strict=True):
        assert item.position == 0
        if sequence:
            assert_same(item.rows, whole(base, sequence))


async def test_large_batches_are_cut_into_groups(base, provider, monkeypatch):
    monkeypatch.setattr(cut_module, "_BATCH_TOKENS", 32)
    monkeypatch.setattr(lean_halves, "_TOKENS", 32)
    batch = [tokens(length, length) for length in (40, 5, 5, 5, 20)]
    assert list(cut_module._groups([len(sequence) for sequence in batch])) == [[1, 2, 3], [4], [0]]
    for item, sequence in zip(await provider.states(batch, CUT), batch, strict=True):
        assert_same(item.rows, whole(base, sequence))


async def test_a_session_gives_the_states_of_the_whole_sequence(base, provider):
    sequence = tokens(30)
    session = provider.open(CUT)
    rows = []
    for start, stop in ((0, 6), (6, 7), (7, 8), (8, 25), (25, 30)):
        states = await session.extend(start, sequence[start:stop])
        assert states.position == start
        rows.append(states.rows)
    assert session.length == 30
    assert_same(torch.cat(rows), whole(base, sequence))


@pytest.mark.parametrize("position", [0, 3, 11, 19, 20])
async def test_a_session_goes_back_and_on(base, provider, position):
    """Also where a sliding window has dropped the past, and the session must feed it once more."""
    first, second = tokens(20, 1), tokens(9, 2)
    session = provider.open(CUT)
    await session.extend(0, first)
    states = await session.extend(position, second)
    assert (states.position, session.length) == (position, position + 9)
    assert_same(states.rows, whole(base, first[:position] + second)[position:])
    last = await session.extend(session.length, [65])
    assert_same(last.rows, whole(base, [*first[:position], *second, 65])[-1:])


async def test_truncating_alone_gives_no_rows(provider):
    session = provider.open(CUT)
    await session.extend(0, tokens(5))
    states = await session.extend(2, [])
    assert (session.length, tuple(states.rows.shape)) == (2, (0, 32))


@pytest.mark.parametrize("cut", [0, 4])
async def test_the_outermost_cuts_work_in_sessions_too(base, provider, cut):
    trunk, _ = split(base.model, cut)
    sequence = tokens(12)
    session = provider.open(cut)
    await session.extend(0, sequence[:8])
    states = await session.extend(6, sequence[6:])
    assert_same(states.rows, trunk.states(torch.tensor([sequence]))[0, 6:])


async def test_a_full_context_is_refused_and_the_session_stays_as_it_was(base, provider):
    limit = base.card.context
    with pytest.raises(PromptTooLong, match=f"{limit + 1} tokens do not fit the {limit}"):
        await provider.states([tokens(limit + 1)], CUT)
    session = provider.open(CUT)
    await session.extend(0, tokens(limit))
    with pytest.raises(PromptTooLong):
        await session.extend(limit, [1])
    assert session.length == limit
    assert len((await session.extend(limit - 1, [1])).rows) == 1


async def test_a_position_beyond_the_session_is_refused(provider):
    session = provider.open(CUT)
    await session.extend(0, [1, 2, 3])
    with pytest.raises(UsageError, match="holds 3 tokens"):
        await session.extend(4, [1])
    with pytest.raises(UsageError, match="cannot go on from -1"):
        await session.extend(-1, [1])


@pytest.mark.parametrize("wrong", [-1, 260])
async def test_tokens_outside_the_vocabulary_are_refused(provider, wrong):
    with pytest.raises(UsageError, match="260"):
        await provider.open(CUT).extend(0, [1, wrong])
    with pytest.raises(UsageError, match="260"):
        await provider.states([[1], [wrong]], CUT)


@pytest.mark.parametrize("cut", [-1, 5])
async def test_a_cut_that_is_not_offered_is_refused(provider, cut):
    with pytest.raises(UsageError, match="between 0 and 4"):
        provider.open(cut)


async def test_a_failed_step_empties_the_session_instead_of_leaving_half_a_cache(base, provider, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    session = provider.open(CUT)
    await session.extend(0, tokens(5))
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "silu", interrupt)
        patch.setattr(blocks_module, "silu", interrupt)
        with pytest.raises(KeyboardInterrupt):
            await session.extend(5, [1])
    assert session.length == 0
    assert_same((await session.extend(0, tokens(5))).rows, whole(base, tokens(5)))


async def test_a_closed_session_stays_closed(provider):
    session = provider.open(CUT)
    await session.close()
    await session.close()
    with pytest.raises(UsageError, match="closed"):
        await session.extend(0, [1])


async def test_a_session_that_was_kept_without_keys_and_values_computes_them_again(base, provider):
    """As one elsewhere keeps them: tokens alone."""
    session = provider.open(CUT)
    session.restore(tokens(20), {})
    states = await session.extend(18, [65, 66])
    assert_same(states.rows, whole(base, [*tokens(20)[:18], 65, 66])[18:])
