"""The lean halves compute what the uncut stock model does: every Llama-shaped family, every cut, every way through.

And on every device of the machine: where there is a graphics processor, all of this is asked of it too.
"""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.base.cache import crop
from nightschool.engine.base.cut import split
from nightschool.engine.base.device import CPU, find_device
from nightschool.engine.base.lean import attention as attention_module
from nightschool.engine.base.lean import stream
from nightschool.engine.base.lean.halves import LeanTail, LeanTrunk, step_together
from nightschool.engine.base.lean.model import FAMILIES, LeanModel
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.slots.adapter import Adapter, Factors, attach, new_adapter
from nightschool.tests.tiny import tiny

CUTS = range(5)
CLOSE = {"atol": 1e-4, "rtol": 1e-4}
DEVICES = list(dict.fromkeys([CPU, find_device().name]))


@pytest.fixture(scope="module", params=DEVICES)
def device(request):
    return request.param


@pytest.fixture(scope="module", params=[*sorted(FAMILIES), "llama with biases", "qwen3 without sharing", "llama3 rope"])
def model(request, device):
    made = {
        "llama with biases": lambda: tiny("llama", attention_bias=True, mlp_bias=True),
        "qwen3 without sharing": lambda: tiny("qwen3", num_key_value_heads=4),
        "llama3 rope": lambda: tiny("llama", tie_word_embeddings=True, rope_parameters=LLAMA3),
    }.get(request.param, lambda: tiny(request.param))()
    return made.to(device)


LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}


@pytest.fixture
def ids():
    return torch.randint(0, 256, (24,), generator=torch.Generator().manual_seed(7)).tolist()


@torch.no_grad()
def logits(model, ids):
    return model(torch.tensor([ids], device=model.device)).logits[0]


def halves(model, cut, numbers=Numbers.FP32):
    lean = LeanModel.of(model.config, model.state_dict(), numbers)
    return LeanTrunk(lean, cut), LeanTail(lean, cut)


def learned(tail, seed=1):
    """An adapter with something in it, on some of the projections only."""
    generator = torch.Generator().manual_seed(seed)
    return Adapter(
        {
            place: Factors(factors.down, torch.randn(factors.up.shape, generator=generator) * 0.1)
            for place, factors in new_adapter(tail, 3, ("q_proj", "v_proj", "up_proj", "down_proj")).factors.items()
        }
    )


@pytest.mark.parametrize("short", [0, 384], ids=["stock attention kernel", "plain products"])
@pytest.mark.parametrize("cut", CUTS)
@torch.no_grad()
def test_packed_sequences_do_not_see_each_other(monkeypatch, model, ids, cut, short):
    monkeypatch.setattr(attention_module, "_SHORT", short)
    trunk, tail = halves(model, cut)
    batch = [ids, ids[3:9], ids[:1]]
    for rows, sequence in zip(tail.sequences(trunk.sequences(batch)), batch, strict=True):
        torch.testing.assert_close(tail.head(rows), logits(model, sequence), **CLOSE)


@pytest.mark.parametrize("normed", [True, False], ids=["after the norm", "before it"])
@torch.no_grad()
def test_the_head_of_final_states_says_the_same(model, ids, normed):
    (before,) = halves(model, 0)[0].sequences([ids])
    tail = LeanTail(LeanModel.of(model.config, model.state_dict(), Numbers.FP32), 0, normed=normed)
    given = model.model.norm(before) if normed else before
    torch.testing.assert_close(tail.head(tail.sequences([given])[0]), logits(model, ids), **CLOSE)
    last = tail.extend(given[None, -1:], tail.new_cache())
    torch.testing.assert_close(tail.head(last)[0], logits(model, ids)[-1:], **CLOSE)
    assert not tail.shapes()


@pytest.mark.parametrize("short", [0, 384], ids=["stock attention kernel", "plain products"])
@pytest.mark.parametrize("cut", CUTS)
@torch.no_grad()
def test_what_sequences_begin_with_alike_is_computed_once_for_all(monkeypatch, model, ids, cut, short):
    monkeypatch.setattr(attention_module, "_SHORT", short)
    trunk, tail = halves(model, cut)
    batch = [ids, [*ids[:10], 1, 2], ids[3:9], [*ids[:18], 5], ids[:10]]
    for rows, sequence in zip(tail.sequences(trunk.sequences(batch), batch), batch, strict=True):
        torch.testing.assert_close(tail.head(rows), logits(model, sequence), **CLOSE)

    lower, upper = trunk.new_rows(5, 25), tail.new_rows(5, 25)
    filled = tail.fill(upper, range(5), trunk.fill(lower, range(5), batch), batch)
    further = tail.head(tail.step(upper, trunk.step(lower, torch.tensor([9] * 5, device=model.device))))
    for rows, after, sequence in zip(filled, further, batch, strict=True):
        whole = logits(model, [*sequence, 9])
        torch.testing.assert_close(torch.cat([tail.head(rows), after[None]]), whole, **CLOSE)


def test_a_pass_filled_up_says_the_same(monkeypatch, model, ids):
    """In half numbers, on a CPU, a kernel is made for each number of rows."""
    trunk, tail = halves(model, 2, Numbers.BF16)
    if trunk.device.type != "cpu":
        pytest.skip("rows are filled up on a CPU alone")
    batch = [ids[:5], ids[:12], ids[3:9]]
    found = tail.sequences(trunk.sequences(batch), batch)
    monkeypatch.setattr("nightschool.engine.base.lean.halves._ROWS", 1)
    plain = tail.sequences(trunk.sequences(batch), batch)
    for rows, same in zip(found, plain, strict=True):
        torch.testing.assert_close(rows, same, atol=0.05, rtol=0.02)


def test_a_shared_beginning_learns_from_all_that_share_it(model, ids):
    trunk, tail = halves(model, 2)
    batch = [ids, [*ids[:10], 1, 2], [*ids[:18], 5]]
    states, gradients = trunk.sequences(batch), []
    for tokens in (None, batch):
        loras = attach(tail, learned(tail))
        for lora in loras.values():
            lora.down.requires_grad_(True)
        rows = torch.cat(tail.sequences(states, tokens))
        tail.head(rows).log_softmax(-1)[:, 7].sum().backward()
        gradients.append([lora.down.grad for lora in loras.values()])
    for alone, shared in zip(*gradients, strict=True):
        assert alone.abs().max() > 0
        torch.testing.assert_close(shared, alone, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("short", [0, 384], ids=["stock attention kernel", "plain products"])
@pytest.mark.parametrize("cut", CUTS)
@torch.no_grad()
def test_a_stream_goes_on_from_its_cache(monkeypatch, model, ids, cut, short):
    """Chunks shorter and longer than the sliding window, single tokens, and a buffer that must grow."""
    monkeypatch.setattr(attention_module, "_SHORT", short)
    monkeypatch.setattr(stream, "_ROOM", 4)
    trunk, tail = halves(model, cut)
    lower, upper, found = trunk.new_cache(), tail.new_cache(), []
    for start, stop in ((0, 5), (5, 6), (6, 13), (13, 14), (14, 24)):
        states = trunk.extend(torch.tensor([ids[start:stop]], device=model.device), lower)
        found.append(tail.head(tail.extend(states, upper))[0])
    torch.testing.assert_close(torch.cat(found), logits(model, ids), **CLOSE)


@pytest.mark.parametrize("cut", CUTS)
@torch.no_grad()
def test_a_kernel_may_lay_what_it_found_out_token_by_token(monkeypatch, model, ids, cut):
    """As the kernels of graphics processors do."""
    kernel = stream.scaled_dot_product_attention

    def by_token(*given, **options):
        return kernel(*given, **options).transpose(1, 2).contiguous().transpose(1, 2)

    monkeypatch.setattr(stream, "scaled_dot_product_attention", by_token)
    monkeypatch.setattr(attention_module, "scaled_dot_product_attention", by_token)
    monkeypatch.setattr(attention_module, "_SHORT", 0)
    trunk, tail = halves(model, cut)
    lower, upper, found = trunk.new_cache(), tail.new_cache(), []
    for start, stop in ((0, 12), (12, 13), (13, 17), (17, 24)):
        states = trunk.extend(torch.tensor([ids[start:stop]], device=model.device), lower)
        found.append(tail.head(tail.extend(states, upper))[0])
    torch.testing.assert_close(torch.cat(found), logits(model, ids), **CLOSE)


@torch.no_grad()
def test_a_cropped_stream_forgets_what_was_cut_off_even_behind_a_window(model, ids):
    trunk, tail = halves(model, 2)
    lower, upper = trunk.new_cache(), tail.new_cache()
    tail.extend(trunk.extend(torch.tensor([ids[:12] + ids[:8]], device=model.device), lower), upper)
    assert crop(lower, 12)
    assert crop(upper, 12)
    again = tail.head(tail.extend(trunk.extend(torch.tensor([ids[12:]], device=model.device), lower), upper))[0]
    torch.testing.assert_close(again, logits(model, ids)[12:], **CLOSE)


@pytest.mark.parametrize("cut", CUTS)
@torch.no_grad()
def test_rows_of_different_lengths_go_on_a_token_each(model, ids, cut):
    trunk, tail = halves(model, cut)
    lower, upper = trunk.new_rows(3, 24), tail.new_rows(3, 24)
    places = [5, 12, 3]
    tail.fill(upper, range(3), trunk.fill(lower, range(3), [ids[:place] for place in places]))
    expected = logits(model, ids)
    for _ in range(4):
        tokens = torch.tensor([ids[place] for place in places], device=model.device)
        got = tail.head(tail.step(upper, trunk.step(lower, tokens)))
        torch.testing.assert_close(got, expected[places], **CLOSE)
        places = [place + 1 for place in places]
    for rows in (lower, upper):
        rows.move(2, 0)  # the third goes on in the first one's place, and the second stands still
    got = tail.head(tail.step(upper, trunk.step(lower, torch.tensor([ids[places[2]]], device=model.device))))
    torch.testing.assert_close(got, expected[[places[2]]], **CLOSE)


@pytest.mark.parametrize("cut", [1, 4])
@torch.no_grad()
def test_tails_with_updates_of_their_own_step_at_once(model, ids, cut):
    lean = LeanModel.of(model.config, model.state_dict(), Numbers.FP32)
    trunk, tails = LeanTrunk(lean, cut), [LeanTail(lean, cut) for _ in range(3)]
    for tail, adapter in zip(tails, (learned(tails[0]), None, learned(tails[0], seed=2)), strict=True):
        attach(tail, adapter)
    places = [5, 12, 3]
    alone, together = ([tail.new_rows(1, 24) for tail in tails] for _ in range(2))
    for tail, *both, place in zip(tails, alone, together, places, strict=True):
        states = trunk.sequences([ids[:place]])
        for rows in both:
            tail.fill(rows, [0], states)
    for _ in range(3):
        states = torch.stack([trunk.sequences([ids[: place + 1]])[0][-1] for place in places])
        found = step_together(tails, together, states)
        expected = [tail.step(rows, state[None]) for tail, rows, state in zip(tails, alone, states, strict=True)]
        torch.testing.assert_close(found, torch.cat(expected), **CLOSE)
        places = [place + 1 for place in places]
    assert (found[0] - found[1]).abs().max() > 0.01


@pytest.mark.parametrize("cut", [1, 4])
def test_an_adapter_says_and_learns_the_same_as_on_the_stock_tail(model, ids, cut):
    trunk, lean = halves(model, cut)
    stock_trunk, stock = split(model, cut)
    adapter = learned(lean)
    assert lean.shapes() == stock.shapes()
    gradients = []
    for tail, states in ((lean, trunk.sequences([ids])), (stock, stock_trunk.sequences([ids]))):
        loras = attach(tail, adapter)
        for lora in loras.values():
            lora.scale = 0.5
            lora.down.requires_grad_(True)
            lora.up.requires_grad_(True)
        loss = tail.head(tail.sequences(states)[0]).log_softmax(-1)[:, 7].sum()
        loss.backward()
        gradients.append({place: (lora.down.grad, lora.up.grad) for place, lora in loras.items()} | {(-1, ""): loss})
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_a_scale_turned_after_speaking_counts(model, ids):
    trunk, tail = halves(model, 2)
    states = trunk.sequences([ids])
    plain = tail.head(tail.sequences(states)[0])
    loras = attach(tail, learned(tail))
    loud = tail.head(tail.sequences(states)[0])
    for lora in loras.values():
        lora.scale = 0.0
    torch.testing.assert_close(tail.head(tail.sequences(states)[0]), plain, **CLOSE)
    attach(tail, None)
    assert torch.equal(tail.head(tail.sequences(states)[0]), plain)
    assert (loud - plain).abs().max() > 0.01


@pytest.mark.model
@torch.no_grad()
def test_the_default_model_in_fp32_is_within_a_hair(default_base):
    tokens = default_base.card.probe.tokens
    trunk, tail = halves(default_base.model, 8)
    got = tail.head(tail.sequences(trunk.sequences([tokens]))[0])
    torch.testing.assert_close(got, logits(default_base.model, tokens), atol=1e-3, rtol=1e-4)


@pytest.mark.model
@pytest.mark.parametrize(("numbers", "most"), [(Numbers.BF16, 0.002), (Numbers.INT8, 0.01), (Numbers.INT4, 0.002)])
@torch.no_grad()
def test_the_default_model_quantised_stays_near(default_base, numbers, most):
    from nightschool.engine.chat.prompt import encode
    from nightschool.engine.study.prompts import neutral

    tokens = encode(default_base, neutral()[0])[:128]
    trunk, tail = halves(default_base.model, 8, numbers)
    now = tail.head(tail.sequences(trunk.sequences([tokens]))[0]).float().log_softmax(-1)
    base = logits(default_base.model, tokens).log_softmax(-1)
    assert float((base.exp() * (base - now)).sum(-1).mean()) < most
