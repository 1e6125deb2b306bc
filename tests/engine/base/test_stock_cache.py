"""A growing cache holds what the stock one holds, across its buffers' ends, croppings and modes of autograd."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache

from nightschool.engine.base import stock_cache
from nightschool.engine.base.cache import crop
from nightschool.engine.base.stock_cache import GrowingLayer, growing_cache
from nightschool.tests.tiny import FAMILIES, tiny


@pytest.fixture
def ids():
    return torch.randint(0, 256, (1, 40), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_it_gives_the_bits_of_the_stock_cache_while_its_buffers_grow(monkeypatch, ids, family):
    monkeypatch.setattr(stock_cache, "_ROOM", 4)
    model = tiny(family)
    stock, growing = DynamicCache(config=model.config), growing_cache(model.config)
    for start, stop in ((0, 3), (3, 4), (4, 5), (5, 20), (20, 21), (21, 40)):
        part = ids[:, start:stop]
        expected = model(part, past_key_values=stock).logits
        assert torch.equal(model(part, past_key_values=growing).logits, expected)
    assert growing.get_seq_length() == 40


@torch.no_grad()
def test_what_was_cropped_is_overwritten(ids):
    model = tiny("llama")
    cache, fresh = growing_cache(model.config), growing_cache(model.config)
    model(ids, past_key_values=cache)
    assert crop(cache, 8)
    model(ids[:, :8], past_key_values=fresh)
    token = torch.tensor([[65]])
    expected = model(token, past_key_values=fresh).logits
    torch.testing.assert_close(model(token, past_key_values=cache).logits, expected, atol=2e-5, rtol=1e-4)
    assert cache.get_seq_length() == 9


def test_one_turn_in_inference_mode_and_the_next_outside_of_it(ids):
    model = tiny("llama")
    cache, stock = growing_cache(model.config), DynamicCache(config=model.config)
    with torch.inference_mode():
        model(ids, past_key_values=cache)
        model(ids, past_key_values=stock)
    with torch.no_grad():
        assert torch.equal(model(ids, past_key_values=cache).logits, model(ids, past_key_values=stock).logits)


def test_sliding_blocks_keep_the_stock_layer_that_drops_the_past():
    kinds = [isinstance(layer, GrowingLayer) for layer in growing_cache(tiny("qwen2").config).layers]
    assert kinds == [True, True, False, False]
