"""A base in 16 bits, computed in float32 without ever being widened as a whole: bit for bit the float32 load."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from nightschool.engine.base.library import load, prepare
from nightschool.engine.base.widened import stored_dtype, widened
from nightschool.engine.paths import Home
from nightschool.tests.tiny import FAMILIES, tiny, tiny_tokenizer

IDS = torch.arange(40)[None]


@pytest.fixture
def narrow(tmp_path):
    """Write a tiny model of a family in 16 bits."""

    def write(family="llama", dtype=torch.bfloat16):
        tiny(family).to(dtype).save_pretrained(tmp_path / family)
        tiny_tokenizer().save_pretrained(tmp_path / family)
        return tmp_path / family

    return write


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_it_computes_what_a_float32_load_does(narrow, family):
    folder = narrow(family)
    wide = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    with widened(model):
        logits = model(IDS).logits
    assert logits.dtype == torch.float32
    assert torch.equal(logits, wide(IDS).logits)
    assert {parameter.dtype for parameter in model.parameters()} >= {torch.bfloat16}
    assert not torch.equal(model(IDS).logits.float(), logits), "the hooks stayed"


@torch.no_grad()
def test_no_more_than_one_module_is_wide_at_a_time(narrow):
    model = AutoModelForCausalLM.from_pretrained(narrow(), dtype=torch.bfloat16)
    most = []
    model.model.layers[2].mlp.up_proj.register_forward_hook(
        lambda *_: most.append([name for name, one in model.named_parameters() if one.dtype == torch.float32])
    )
    with widened(model):
        model(IDS)
    assert most == [["model.layers.2.mlp.up_proj.weight"]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_dtype_is_that_of_the_files(narrow, dtype):
    assert stored_dtype(narrow(dtype=dtype)) == dtype


def test_a_prepared_base_has_the_card_of_a_float32_load(narrow, tmp_path):
    folder = narrow("qwen3")
    prepared = load(prepare(str(folder), Home(tmp_path / "home"), lambda *_: None)).card
    plain = load(folder).card
    assert prepared.fingerprint == plain.fingerprint and prepared.probe == plain.probe
