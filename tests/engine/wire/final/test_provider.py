"""Final states by an engine that is played: the rows are the model's, and what cannot be had is said."""

import pytest
import torch

from nightschool.engine.wire.client import Client
from nightschool.engine.wire.final.provider import FinalProvider
from nightschool.engine.wire.final.supply import examined, fitting_head
from nightschool.engine.wire.patience import Patience
from nightschool.plugins.providers.llama_cpp import LLAMA_CPP
from nightschool.plugins.providers.sglang import SGLANG
from nightschool.plugins.providers.vllm import VLLM
from nightschool.schemas.errors import BadFrame, BaseMismatch, PeerRefused, PromptTooLong, UsageError
from nightschool.schemas.hsp import Norm
from nightschool.tests.engines import played
from nightschool.tests.tiny import tiny

DIALECTS = {dialect.name: dialect for dialect in (VLLM, LLAMA_CPP, SGLANG)}
TOKENS = [5, 9, 200, 31, 7, 7, 64]


async def no_pause(seconds):
    return None


def provider_of(base, kind, engine, tries=2):
    return FinalProvider(base.card, Client(engine.url), DIALECTS[kind], Patience(tries=tries, sleep=no_pause))


@pytest.fixture(params=DIALECTS)
def kind(request):
    return request.param


async def test_rows_are_those_of_the_whole_model(kind, tiny_base):
    with played(kind) as engine:
        provider = provider_of(tiny_base, kind, engine)
        states = await provider.states([TOKENS, [], TOKENS[:1]], 0)
        assert [len(one.rows) for one in states] == [7, 0, 1]
        torch.testing.assert_close(states[0].rows, engine.rows(TOKENS))
        assert provider.moved > states[0].rows.nbytes


async def test_a_session_goes_on_and_back_with_all_its_tokens(kind, tiny_base):
    with played(kind) as engine:
        session = provider_of(tiny_base, kind, engine).open(0)
        first = await session.extend(0, TOKENS[:4])
        assert (first.position, len(first.rows), session.length) == (0, 4, 4)
        last = await session.last(2, TOKENS[2:], 2)
        assert (last.position, session.length) == (5, 7)
        torch.testing.assert_close(last.rows, engine.rows(TOKENS)[-2:])
        with pytest.raises(UsageError):
            await session.extend(8, [1])
        with pytest.raises(PromptTooLong):
            await session.extend(7, [1] * tiny_base.card.context)
        with pytest.raises(UsageError):
            await session.extend(7, [tiny_base.card.vocabulary])
        assert session.length == 7
        await session.close()
        with pytest.raises(UsageError):
            await session.extend(0, [1])


def test_no_other_cut_is_offered(kind, tiny_base):
    provider = FinalProvider(tiny_base.card, Client("http://127.0.0.1:1"), DIALECTS[kind])
    with pytest.raises(UsageError, match="final states alone"):
        provider.open(1)


async def test_rows_that_a_cache_holds_back_are_asked_for_one_by_one(tiny_base):
    with played("sglang", radix=[]) as engine:
        provider = provider_of(tiny_base, "sglang", engine)
        for _ in range(2):
            (states,) = await provider.states([TOKENS], 0)
            torch.testing.assert_close(states.rows, engine.rows(TOKENS))
        assert len(engine.asked) == 1 + len(TOKENS)
        session = provider.open(0)
        (await session.last(0, [*TOKENS, 3], 1), engine.asked.clear())
        torch.testing.assert_close((await session.last(8, [4, 4], 2)).rows, engine.rows([*TOKENS, 3, 4, 4])[-2:])
        assert len(engine.asked) == 1


async def test_an_engine_that_cannot_give_the_last_row_alone_is_asked_for_all(tiny_base):
    with played("sglang", last=False) as engine:
        session = provider_of(tiny_base, "sglang", engine).open(0)
        for place in range(3):
            await session.last(place, [7], 1)
        assert [body["return_hidden_states"] for body in engine.asked] == ["last", True, True, True]


@pytest.mark.parametrize("normed", [True, False])
async def test_the_probe_tells_whether_rows_come_after_the_norm(kind, normed, tiny_base):
    with played(kind, normed=normed) as engine:
        found, distance = await fitting_head(tiny_base, provider_of(tiny_base, kind, engine), expected=True)
        assert found is normed and distance < 1e-4
        said = (await examined(tiny_base, provider_of(tiny_base, kind, engine), None)).description
        assert said.norm is (Norm.AFTER if normed else Norm.BEFORE)
        assert said.cuts == [0] and not said.verbs
        assert "slot that has learned in blocks cannot speak there" in " ".join(said.notes)


async def test_another_model_is_refused_with_the_distance(kind, tiny_base):
    with played(kind, model=tiny(seed=9)) as engine, pytest.raises(BaseMismatch, match="nats"):
        await examined(tiny_base, provider_of(tiny_base, kind, engine), None)


async def test_rows_of_unit_length_are_refused(kind, tiny_base):
    """vLLM's default: an activation that divides each row by its length."""
    with played(kind, spoil=torch.nn.functional.normalize) as engine, pytest.raises(BaseMismatch):
        await examined(tiny_base, provider_of(tiny_base, kind, engine), None)


async def test_more_bytes_than_the_rows_can_have_are_not_read(kind, tiny_base):
    with played(kind, spoil=lambda rows: rows.repeat(9000, 1)) as engine, pytest.raises(BadFrame, match="more than"):
        await provider_of(tiny_base, kind, engine, tries=1).states([TOKENS], 0)


async def test_what_an_engine_says_when_it_refuses_is_told(tiny_base):
    with played("llama.cpp") as engine, pytest.raises(PeerRefused, match="404"):  # it knows no /pooling
        await provider_of(tiny_base, "vllm", engine).states([TOKENS], 0)
    with played("sglang", last=False) as engine:
        client = Client(engine.url)
        said = {"input_ids": [1], "return_hidden_states": "last"}
        with pytest.raises(PeerRefused, match="must be a boolean"):
            await client.answer("POST", "/generate", said, most=1000)
