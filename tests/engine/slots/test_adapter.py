import json

import pytest
import torch

from nightschool.engine.base.cut import split
from nightschool.engine.slots.adapter import CONFIG, WEIGHTS, Adapter, Factors, attach, detach, new_adapter
from nightschool.schemas.errors import BaseMismatch, Damaged
from nightschool.tests.tiny import FAMILIES, tiny

IDS = torch.randint(0, 256, (1, 24), generator=torch.Generator().manual_seed(0))


def learned(tail, rank=4, projections=None):
    """An adapter that changes every projection it may."""
    generator = torch.Generator().manual_seed(1)
    fresh = new_adapter(tail, rank, **({"projections": projections} if projections else {}))
    return Adapter(
        {
            place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.1)
            for place, f in fresh.factors.items()
        }
    )


def speak(model, cut, adapter):
    trunk, tail = split(model, cut)
    attach(tail, adapter)
    with torch.no_grad():
        return tail(trunk.states(IDS))


@pytest.mark.parametrize("family", [name for name in FAMILIES if not name.startswith("deepseek")])
def test_plain_peft_on_the_whole_model_gives_the_same_logits(family, tmp_path):
    from peft import PeftModel

    model = tiny(family)
    adapter = learned(split(model, 2)[1])
    adapter.save(tmp_path, "tiny")
    ours = speak(model, 2, adapter)
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(model, tmp_path)(IDS).logits
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert not torch.allclose(ours, speak(tiny(family), 2, None), atol=1e-2)


@pytest.mark.model
def test_plain_peft_on_the_default_model_gives_the_same_logits(default_base_folder, tmp_path):
    from peft import PeftModel

    from nightschool.engine.base.library import load

    base = load(default_base_folder)
    adapter = learned(split(base.model, 8)[1], rank=8)
    adapter.save(tmp_path, base.card.name)
    ours = speak(base.model, 8, adapter)
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(base.model, tmp_path)(IDS).logits
    assert torch.allclose(ours, theirs, atol=1e-3)


def test_what_is_saved_reads_back_bit_for_bit(tmp_path):
    adapter = learned(split(tiny(), 3)[1])
    size = adapter.save(tmp_path, "tiny")
    again = Adapter.load(tmp_path)
    assert size == (tmp_path / WEIGHTS).stat().st_size
    assert again.factors.keys() == adapter.factors.keys()
    for place, factors in adapter.factors.items():
        assert torch.equal(again.factors[place].down, factors.down)
        assert torch.equal(again.factors[place].up, factors.up)


def test_the_files_are_of_the_portable_profile(tmp_path):
    learned(split(tiny(), 2)[1]).save(tmp_path, "tiny")
    config = json.loads((tmp_path / CONFIG).read_text())
    assert config["r"] == config["lora_alpha"] == 4
    assert config["layers_to_transform"] == [2, 3]
    assert len(config["target_modules"]) == 7


def test_a_new_adapter_changes_nothing():
    model = tiny()
    assert torch.equal(speak(model, 2, new_adapter(split(model, 2)[1], 4)), speak(model, 2, None))


def test_attaching_another_replaces_the_first_and_none_gives_the_base_back():
    model = tiny()
    trunk, tail = split(model, 2)
    one, other = learned(tail, 4), learned(tail, 8)
    states = trunk.states(IDS)
    with torch.no_grad():
        plain = tail(states)
        attach(tail, one)
        attach(tail, other)
        assert torch.allclose(tail(states), speak(model, 2, other))
        attach(tail, None)
        assert torch.equal(tail(states), plain)


def test_the_scale_of_the_layers_is_folded_into_what_is_detached():
    model = tiny()
    trunk, tail = split(model, 2)
    adapter = learned(tail)
    layers = attach(tail, adapter)
    for layer in layers.values():
        layer.scale = 0.5
    with torch.no_grad():
        half = tail(trunk.states(IDS))
    assert torch.allclose(half, speak(model, 2, detach(layers)), atol=1e-6)
    assert torch.allclose(half, speak(model, 2, adapter.scaled(0.5)), atol=1e-6)


def test_an_adapter_of_another_shape_is_refused_and_the_tail_stays_plain():
    model, other = tiny(), tiny(hidden_size=64)
    tail = split(model, 2)[1]
    with pytest.raises(BaseMismatch, match="roll the slot back"):
        attach(tail, learned(split(other, 2)[1]))
    with pytest.raises(BaseMismatch):
        attach(split(model, 1)[1], learned(tail))
    assert attach(tail, None) == {}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-40]),
        lambda folder: (folder / CONFIG).write_text("{"),
        lambda folder: (folder / CONFIG).write_text('{"r": 8, "lora_alpha": 32}'),
        lambda folder: (folder / WEIGHTS).write_bytes(b""),
    ],
)
def test_a_spoilt_adapter_is_damaged_in_words(tmp_path, spoil):
    learned(split(tiny(), 2)[1]).save(tmp_path, "tiny")
    spoil(tmp_path)
    with pytest.raises(Damaged, match="roll back"):
        Adapter.load(tmp_path)


def test_half_a_projection_is_damaged(tmp_path):
    from safetensors.torch import load_file, save_file

    learned(split(tiny(), 2)[1]).save(tmp_path, "tiny")
    tensors = load_file(tmp_path / WEIGHTS)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(Damaged, match="not whole"):
        Adapter.load(tmp_path)
