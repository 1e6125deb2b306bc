"""Trunk and tail give the bits of the uncut model: every family, every cut, with and without a cache."""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.base.cache import crop
from nightschool.engine.base.cut import head_of, positions_of, split
from nightschool.engine.base.stock_cache import growing_cache
from nightschool.schemas.errors import UnsupportedFamily, UsageError
from nightschool.tests.tiny import FAMILIES, tiny

LAYERS = 4
CUTS = range(LAYERS + 1)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return tiny(request.param)


@pytest.fixture
def ids():
    return torch.randint(0, 256, (2, 24), generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("cut", CUTS)
@torch.no_grad()
def test_whole_sequences_are_bit_equal(model, ids, cut):
    trunk, tail = split(model, cut)
    assert torch.equal(tail.head(tail.hidden(trunk.states(ids))), model(ids).logits)


@pytest.mark.parametrize("cut", CUTS)
@torch.no_grad()
def test_padded_batches_are_bit_equal_at_real_tokens(model, ids, cut):
    mask = torch.ones_like(ids)
    mask[0, :7] = 0  # left padding
    mask[1, 19:] = 0  # right padding
    trunk, tail = split(model, cut)
    expected = model(ids, attention_mask=mask, position_ids=positions_of(mask)).logits
    assert torch.equal(tail(trunk.states(ids, mask), mask)[mask.bool()], expected[mask.bool()])


@torch.no_grad()
def test_padding_does_not_reach_real_tokens(model, ids):
    mask = torch.ones_like(ids)
    mask[0, :7] = 0
    mask[1, 19:] = 0
    trunk, tail = split(model, 2)
    got = tail(trunk.states(ids, mask), mask)
    torch.testing.assert_close(got[0, 7:], model(ids[:1, 7:]).logits[0], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(got[1, :19], model(ids[1:, :19]).logits[0], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("cut", CUTS)
@torch.no_grad()
def test_cached_steps_are_bit_equal(model, ids, cut):
    """Prefill shorter and longer than the sliding window, single tokens, and a chunk on a full window."""
    trunk, tail = split(model, cut)
    whole, lower, upper = growing_cache(model.config), trunk.new_cache(), tail.new_cache()
    for start, stop in ((0, 5), (5, 6), (6, 13), (13, 14), (14, 24)):
        part = ids[:1, start:stop]
        expected = model(part, past_key_values=whole, use_cache=True).logits
        assert torch.equal(tail(trunk.extend(part, lower), cache=upper), expected)


@torch.no_grad()
def test_a_cropped_cache_goes_on_as_if_it_had_never_held_more(model, ids):
    trunk, tail = split(model, 2)
    lower, upper = trunk.new_cache(), tail.new_cache()
    tail(trunk.extend(ids[:1, :7], lower), cache=upper)
    assert crop(lower, 4)
    assert crop(upper, 4)
    again = tail(trunk.extend(ids[1:, :3], lower), cache=upper)
    fresh_lower, fresh_upper = trunk.new_cache(), tail.new_cache()
    tail(trunk.extend(ids[:1, :4], fresh_lower), cache=fresh_upper)
    # Not bit-equal: the first four rows were part of a larger matrix product.
    expected = tail(trunk.extend(ids[1:, :3], fresh_lower), cache=fresh_upper)
    torch.testing.assert_close(again, expected, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_a_full_sliding_window_refuses_to_be_cropped_and_stays_whole(ids):
    trunk, _ = split(tiny("mistral"), 1)
    cache = trunk.new_cache()
    trunk.extend(ids[:1, :12], cache)
    assert crop(cache, 12)
    assert not crop(cache, 11)
    assert cache.get_seq_length() == 12


@torch.no_grad()
def test_cutting_leaves_the_uncut_model_as_it_was(model, ids):
    before = model(ids).logits
    numbers = [layer.self_attn.layer_idx for layer in model.model.layers]
    trunk, tail = split(model, 2)
    tail.layers[0].self_attn.o_proj = torch.nn.Identity()
    trunk.layers[0].register_forward_hook(lambda *_: pytest.fail("a hook of the copy ran in the original"))
    assert torch.equal(model(ids).logits, before)
    assert [layer.self_attn.layer_idx for layer in model.model.layers] == numbers
    assert model.config.num_hidden_layers == LAYERS
    _, other = split(model, 2)
    assert isinstance(other.layers[0].self_attn.o_proj, torch.nn.Linear)


def test_halves_share_the_memory_of_the_whole(model):
    whole = {parameter.data_ptr() for parameter in model.parameters()}
    trunk, tail = split(model, 2)
    halves = [*trunk.parameters(), *tail.parameters()]
    assert {parameter.data_ptr() for parameter in halves} <= whole
    assert not any(parameter.requires_grad for parameter in halves)
    assert any(parameter.requires_grad for parameter in model.parameters())


def test_a_tail_block_replaced_by_a_trainable_one_gets_gradients(model, ids):
    trunk, tail = split(model, 2)
    layer = tail.layers[1].self_attn
    frozen = layer.o_proj
    adapter = torch.nn.Linear(frozen.in_features, frozen.out_features, bias=False)
    torch.nn.init.zeros_(adapter.weight)

    class Adapted(torch.nn.Module):
        def forward(self, x):
            return frozen(x) + adapter(x)

    layer.o_proj = Adapted()
    logits = tail(trunk.states(ids))
    assert torch.equal(logits.detach(), model(ids).logits.detach())
    logits.logsumexp(-1).sum().backward()
    assert adapter.weight.grad is not None
    assert adapter.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("rope", ["linear", "llama3", "yarn"])
@torch.no_grad()
def test_scaled_rotary_positions_are_bit_equal(ids, rope):
    scaling = {"rope_type": rope, "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 16}
    if rope == "llama3":
        scaling |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    model = tiny("llama", rope_parameters=scaling)
    trunk, tail = split(model, 2)
    assert torch.equal(tail(trunk.states(ids)), model(ids).logits)


@torch.no_grad()
def test_tied_embeddings_are_bit_equal(ids):
    model = tiny("llama", tie_word_embeddings=True)
    trunk, tail = split(model, 2)
    assert torch.equal(tail(trunk.states(ids)), model(ids).logits)


@torch.no_grad()
def test_half_precision_is_bit_equal_too(ids):
    model = tiny("llama").bfloat16()
    trunk, tail = split(model, 2)
    assert torch.equal(tail(trunk.states(ids)), model(ids).logits)


def test_the_tail_knows_where_it_begins():
    _, tail = split(tiny("llama"), 3)
    assert (tail.first_layer, len(tail.layers)) == (1, 3)


@pytest.mark.parametrize("cut", [-1, LAYERS + 1])
def test_a_cut_outside_the_model_is_refused(cut):
    with pytest.raises(UsageError, match="between 0 and 4"):
        split(tiny("llama"), cut)


@pytest.mark.parametrize("family", ["gemma", "granite", "cohere"])
def test_families_that_scale_their_embeddings_or_logits_are_refused_by_name(family):
    with pytest.raises(UnsupportedFamily, match=rf"'{family}'.*llama, qwen2, qwen3, mistral, deepseek_v2"):
        split(tiny(family), 1)


def test_rotary_positions_that_depend_on_the_length_are_refused():
    model = tiny("llama", rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0})
    with pytest.raises(UnsupportedFamily, match="'dynamic' rotary"):
        split(model, 1)


@pytest.mark.model
@pytest.mark.parametrize("cut", [0, 8, 30])
@torch.no_grad()
def test_the_default_model_is_bit_equal(default_base, cut):
    ids = torch.tensor([default_base.card.probe.tokens])
    trunk, tail = split(default_base.model, cut)
    assert torch.equal(tail(trunk.states(ids)), default_base.model(ids).logits)


@pytest.mark.model
@torch.no_grad()
def test_the_default_model_says_paris_through_trunk_and_tail(default_base):
    tokenizer = default_base.tokenizer
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    trunk, tail = split(default_base.model, 8)
    lower, upper = trunk.new_cache(), tail.new_cache()
    said, feed = [], prompt
    while len(said) < 16:
        token = int(tail(trunk.extend(torch.tensor([feed]), lower), cache=upper)[0, -1].argmax())
        if token in default_base.card.end_of_turn:
            break
        said.append(token)
        feed = [token]
    assert tokenizer.decode(said) == "The capital of France is Paris."


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_each_half_is_a_stock_model_of_its_own_configuration(model, cut):
    """A model built anew from a half's configuration takes its tensors: dense and expert blocks fall into place."""
    trunk, tail = split(model, cut)
    for decoder in (trunk.decoder, tail.decoder):
        anew = type(decoder)(decoder.config)
        missing, unexpected = anew.load_state_dict(decoder.state_dict(), strict=False)
        assert not unexpected
        assert set(missing) <= {"embed_tokens.weight", "norm.weight"}


@pytest.mark.parametrize("normed", [True, False], ids=["after the norm", "before it"])
@torch.no_grad()
def test_the_head_of_final_states_is_bit_equal(model, ids, normed):
    trunk, _ = split(model, 0)
    before = trunk.states(ids)
    tail = head_of(model, normed=normed)
    given = model.model.norm(before) if normed else before
    assert torch.equal(tail.head(tail.hidden(given)), model(ids).logits)
    last = tail.head(tail.extend(given[:1, -1:], tail.new_cache()))
    torch.testing.assert_close(last, model(ids).logits[:1, -1:])  # one row alone is multiplied by another kernel
    assert not tail.shapes() and isinstance(split(model, 1)[1].decoder.norm, type(model.model.norm))
