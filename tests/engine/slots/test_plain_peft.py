import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from nightschool.engine.base.cut import split
from nightschool.engine.slots.adapter import CONFIG, WEIGHTS, Adapter, Factors, new_adapter
from nightschool.engine.slots.plain_peft import peft_updates
from nightschool.schemas.errors import Damaged
from nightschool.tests.tiny import tiny


@pytest.fixture
def model():
    return tiny()


@pytest.fixture
def folder(model, tmp_path):
    """The files of an adapter that changes every projection of the last two blocks."""
    generator = torch.Generator().manual_seed(1)
    fresh = new_adapter(split(model, 2)[1], 4)
    factors = {
        place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.1) for place, f in fresh.factors.items()
    }
    Adapter(factors).save(tmp_path, "tiny")
    return tmp_path


def change(folder, **values):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **values}))


@pytest.mark.parametrize("alpha", [4, 12])
def test_the_updates_are_those_that_peft_merges(model, folder, alpha):
    from peft import PeftModel

    change(folder, lora_alpha=alpha)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    updates = peft_updates(folder, weights)
    merged = PeftModel.from_pretrained(model, folder).merge_and_unload().state_dict()
    assert len(updates) == 14
    for name, tensor in merged.items():
        assert torch.allclose(tensor, weights[name] + updates.get(name, 0.0), atol=1e-6), name


def without(folder, ending):
    tensors = load_file(folder / WEIGHTS)
    save_file({name: tensor for name, tensor in tensors.items() if not name.endswith(ending)}, folder / WEIGHTS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: change(folder, layers_to_transform=[2]),
        lambda folder: change(folder, layers_to_transform=[1, 2, 3]),
        lambda folder: change(folder, target_modules=["q_proj"]),
        lambda folder: change(folder, use_rslora=True),
        lambda folder: change(folder, r=8),
        lambda folder: without(folder, "3.mlp.up_proj.lora_B.weight"),
    ],
)
def test_what_peft_would_leave_out_or_read_otherwise_is_damaged(model, folder, spoil):
    spoil(folder)
    with pytest.raises(Damaged):
        peft_updates(folder, model.state_dict())
