"""A base of which only the upper blocks are on this machine: the same tail, and one clear sentence for the rest."""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.base.halves import is_packed, merged_tail, open_head, open_tail, open_trunk, pack
from nightschool.engine.base.installed import find_installed, installed
from nightschool.engine.base.library import load, prepare
from nightschool.engine.base.lora import Lora
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.base.trunk_alone import load_trunks
from nightschool.engine.paths import Home
from nightschool.schemas.errors import ModelDamaged, ModelError, TailOnly, UsageError
from nightschool.tests.tails import save_tail
from nightschool.tests.tiny import FAMILIES, save_tiny

TOKENS = list(range(3, 40))


@pytest.fixture(params=[*FAMILIES, "tied"])
def pair(request, tmp_path):
    """A whole base and one of which the last three blocks are here."""
    family, changes = ("llama", {"tie_word_embeddings": True}) if request.param == "tied" else (request.param, {})
    whole = save_tiny(tmp_path / "whole", family, **changes)
    return load(whole), load(save_tail(whole, tmp_path / "tail", 3))


def logits(tail, states):
    with torch.inference_mode():
        return tail.head(tail.sequences([states])[0])


@pytest.mark.parametrize("cut", [3, 2, 0])
def test_the_tail_is_that_of_the_whole_base_bit_for_bit(pair, cut):
    whole, part = pair
    (states,) = open_trunk(whole, cut).sequences([TOKENS])
    ours, theirs = open_tail(part, cut), open_tail(whole, cut)
    assert torch.equal(logits(ours, states), logits(theirs, states))
    assert ours.first_layer == theirs.first_layer == 4 - cut
    assert ours.shapes() == theirs.shapes()


def test_a_stream_and_an_adapter_are_as_on_the_whole_base(pair):
    whole, part = pair
    (states,) = open_trunk(whole, 3).sequences([TOKENS])
    found = []
    for base in (whole, part):
        tail = open_tail(base, 3)
        random = torch.Generator().manual_seed(5)
        tail.carry(
            {
                place: Lora(torch.randn(2, size[1], generator=random), torch.randn(size[0], 2, generator=random) * 0.1)
                for place, size in sorted(tail.shapes().items())
            }
        )
        cache = tail.new_cache()
        with torch.inference_mode():
            rows = [tail.extend(states[None, place : place + 1], cache) for place in range(len(states))]
            found.append(tail.head(torch.cat(rows, dim=1)))
    assert torch.equal(*found)


@pytest.mark.parametrize("normed", [True, False])
def test_the_head_alone_is_as_on_the_whole_base(pair, normed):
    whole, part = pair
    (states,) = open_trunk(whole, 0).sequences([TOKENS])
    assert torch.equal(logits(open_head(part, normed=normed), states), logits(open_head(whole, normed=normed), states))


def test_what_needs_the_rest_is_refused_with_the_ways_out(pair):
    _, part = pair
    asked = [
        lambda: open_trunk(part, 3),
        lambda: open_tail(part, 4),
        lambda: part.model,
        lambda: load_trunks(part, [3]),
        lambda: part.check_here(4),
    ]
    for ask in asked:
        with pytest.raises(TailOnly, match=r"Only the last 3 blocks of whole are here: choose a server") as caught:
            ask()
        assert isinstance(caught.value, ModelError)
        assert "nightschool models pull" in str(caught.value)
    with pytest.raises(UsageError):
        open_tail(part, 5)
    assert part.cut == 3 and part.upper == 3


def test_no_lower_block_and_no_table_of_embeddings_is_ever_set_aside(tmp_path):
    whole = save_tiny(tmp_path / "whole", "deepseek_v3")
    part = load(save_tail(whole, tmp_path / "tail", 1))
    tail = open_tail(part, 1)
    here = sum(tensor.numel() for tensor in (*tail.decoder.parameters(), *tail.head.parameters()))
    assert len(tail.layers) == 1
    stored = load(whole).model.model
    expected = [*stored.layers[3].parameters(), *stored.norm.parameters(), *load(whole).model.lm_head.parameters()]
    assert here == sum(tensor.numel() for tensor in expected)
    decoder, _ = part.kept["stock upper"]
    assert decoder.embed_tokens.weight.shape[0] == 1


@pytest.mark.parametrize("numbers", [Numbers.INT8, Numbers.INT4])
def test_quantised_weights_are_packed_and_read_again(tmp_path, numbers):
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "head_dim": 16, "vocab_size": 272}
    whole = load(save_tiny(tmp_path / "whole", "qwen3", **sizes)).computing_in(numbers)
    part = load(save_tail(whole.folder, tmp_path / "tail", 2)).computing_in(numbers)
    (states,) = open_trunk(whole, 2).sequences([TOKENS])
    expected = logits(open_tail(whole, 2), states)
    assert torch.equal(logits(open_tail(part, 2), states), expected)
    assert not is_packed(part)
    pack(part)
    again = load(part.folder).computing_in(numbers)
    assert is_packed(again)
    assert torch.equal(logits(open_tail(again, 2), states), expected)


def test_a_packed_file_of_the_whole_base_is_none_of_its_tail(tmp_path):
    whole = load(save_tiny(tmp_path / "whole", "llama", hidden_size=64, head_dim=16)).computing_in(Numbers.INT8)
    part = load(save_tail(whole.folder, tmp_path / "tail", 2)).computing_in(Numbers.INT8)
    pack(whole)
    (whole.folder / "packed-int8.safetensors").rename(part.folder / "packed-int8.safetensors")
    assert not is_packed(part)


def test_a_merged_tail_is_as_on_the_whole_base(tmp_path):
    whole = load(save_tiny(tmp_path / "whole", "qwen2"))
    part = load(save_tail(whole.folder, tmp_path / "tail", 2))
    name = "model.layers.3.self_attn.q_proj.weight"
    updates = {name: torch.full((32, 32), 0.01)}
    (states,) = open_trunk(whole, 2).sequences([TOKENS])
    ours, theirs = (logits(merged_tail(base, 2, updates), states) for base in (part, whole))
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, logits(open_tail(whole, 2), states))


def test_a_missing_tensor_is_said(tmp_path):
    for family in ("llama", "deepseek_v2"):
        whole = save_tiny(tmp_path / family, family)
        folder = save_tail(whole, tmp_path / f"{family}-tail", 1)
        part = load(folder)
        object.__setattr__(part, "upper", 2)
        with pytest.raises(ModelDamaged, match="lacks the tensor"):
            open_tail(part, 2)


def test_a_profile_knows_which_of_its_bases_is_a_tail(tmp_path, tiny_base_folder):
    home = Home(tmp_path)
    whole = prepare(str(tiny_base_folder), home, lambda *_: None)
    part = save_tail(whole, home.models / "tiny-tail2-01234567", 2)
    assert {one.folder: one.upper for one in installed(home)} == {whole: None, part: 2}
    assert find_installed("tiny-tail2-01234567", home).folder == part
    assert find_installed(str(tiny_base_folder), home).folder == whole
    assert prepare("tiny-tail2-01234567", home, lambda *_: None) == part
