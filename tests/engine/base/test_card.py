"""A card follows what a base computes, not the files it lies in; its probe knows the base again."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from nightschool.engine.base.card import check_probe, probe_distance
from nightschool.engine.base.cut import split
from nightschool.engine.base.library import load
from nightschool.engine.base.provider import States
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.cards import BaseCard
from nightschool.schemas.errors import BaseMismatch
from nightschool.tests.tiny import save_tiny


@pytest.fixture
def folder(tmp_path, tiny_base_folder):
    return shutil.copytree(tiny_base_folder, tmp_path / "model")


def changed(folder, name, **fields):
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **fields}))
    return load(folder).card


def test_a_copy_elsewhere_has_the_same_fingerprint(folder, tiny_base):
    assert load(folder).card.fingerprint == tiny_base.card.fingerprint


def test_fields_that_compute_nothing_leave_the_fingerprint(folder, tiny_base):
    card = changed(folder, "config.json", transformers_version="4.0.0", some_future_field=1, use_cache=False)
    assert card.fingerprint == tiny_base.card.fingerprint


def test_each_of_the_four_hashes_follows_its_part(folder, tmp_path, tiny_base):
    old = tiny_base.card
    config = changed(shutil.copytree(folder, tmp_path / "a"), "config.json", rms_norm_eps=1e-5)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    template = load(folder).card
    tensors = load(save_tiny(tmp_path / "other", seed=1)).card
    for card, field in ((config, "config_hash"), (template, "template_hash"), (tensors, "tensors_hash")):
        differing = [
            name
            for name in type(card).model_fields
            if name.endswith("_hash") and getattr(card, name) != getattr(old, name)
        ]
        assert differing == [field]
        assert card.fingerprint != old.fingerprint


def test_the_tokenizer_hash_follows_the_vocabulary(folder, tiny_base):
    content = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert load(folder).card.tokenizer_hash != tiny_base.card.tokenizer_hash


def test_a_tied_head_counts_once_whether_or_not_it_is_stored(tmp_path):
    folder = save_tiny(tmp_path / "tied", tie_word_embeddings=True)
    before = load(folder).card
    tensors = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in tensors
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert load(folder).card == before


def test_a_card_survives_its_json(tiny_base):
    assert BaseCard.model_validate_json(tiny_base.card.model_dump_json()) == tiny_base.card


def test_the_end_of_a_turn_is_found_in_the_template(tiny_base):
    assert tiny_base.card.end_of_turn == [257]


@pytest.mark.parametrize("cut", [0, 2, 4])
async def test_the_probe_accepts_the_base_itself(tiny_base, cut):
    _, tail = split(tiny_base.model, cut)
    assert await check_probe(tiny_base.card, LocalProvider(tiny_base), tail) < 1e-5


async def test_the_probe_refuses_another_base_of_the_same_shape(tmp_path, tiny_base):
    other = load(save_tiny(tmp_path / "other", seed=1))
    _, tail = split(tiny_base.model, 2)
    with pytest.raises(BaseMismatch, match=r"lie \d+(\.\d+)? nats"):
        await check_probe(tiny_base.card, LocalProvider(other), tail)


async def test_the_probe_refuses_states_of_another_width_or_that_are_not_numbers(tiny_base):
    _, tail = split(tiny_base.model, 2)

    class Broken:
        base = tiny_base.card

        def __init__(self, width, value):
            self.width, self.value = width, value

        async def states(self, batch, cut):
            return [States(0, torch.full((len(tokens), self.width), self.value)) for tokens in batch]

    with pytest.raises(BaseMismatch, match="width 32"):
        await check_probe(tiny_base.card, Broken(31, 0.0), tail)
    with pytest.raises(BaseMismatch, match="nan nats"):
        await check_probe(tiny_base.card, Broken(32, float("nan")), tail)


@pytest.mark.model
@torch.no_grad()
def test_the_probe_of_the_default_model_tells_bfloat16_from_four_bits(default_base):
    card: BaseCard = default_base.card
    ids = torch.tensor([card.probe.tokens])
    rounded = load(default_base.folder)
    assert probe_distance(card.probe, rounded.model.bfloat16()(ids).logits[0]) < 0.1
    rounded.model.float()
    for weight in rounded.model.parameters():
        if weight.ndim == 2:
            step = weight.abs().amax(-1, keepdim=True) / 7
            weight.copy_((weight / step).round() * step)
    assert probe_distance(card.probe, rounded.model(ids).logits[0]) > 0.5
