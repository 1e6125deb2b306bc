"""What is exported from a bundle is for PEFT what it was for us: the same model, the same logits."""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.base.installed import projections
from nightschool.engine.slots.portable import export_peft
from nightschool.marketplace.bundle.importing import Base, taken

from .making import BASE, factors, make, safetensors

TOKENS = torch.tensor([[3, 14, 15, 92, 65]])


@pytest.mark.parametrize(("alpha", "rslora"), [(None, False), (16.0, False), (6.0, True)])
def test_peft_makes_the_same_model_of_an_exported_bundle(tiny_base_folder, tmp_path, alpha, rslora):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    shapes = {place: shape for place, shape in projections(tiny_base_folder).items() if place[0] >= 2}
    tensors = factors(shapes=shapes)
    file = make(tmp_path, raw=safetensors(tensors), alpha=alpha, rslora=rslora)
    find = lambda base: Base(BASE.fingerprint, shapes)  # noqa: E731
    with taken(file, tmp_path / "q", trust=lambda signed: None, find_base=find) as found:
        assert found.fits
        export_peft(found.folder, tmp_path / "out")

    scale = {None: 1.0, 16.0: 4.0, 6.0: 3.0}[alpha]
    model = AutoModelForCausalLM.from_pretrained(tiny_base_folder).eval()
    with torch.no_grad():
        for (layer, path), _ in shapes.items():
            stem = f"base_model.model.model.layers.{layer}.{path}"
            down, up = (torch.from_numpy(tensors[f"{stem}.lora_{half}.weight"]) for half in "AB")
            weight = model.get_submodule(f"model.layers.{layer}.{path}").weight
            weight += scale * (up @ down)
        expected = model(TOKENS).logits
        plain = AutoModelForCausalLM.from_pretrained(tiny_base_folder).eval()
        assert not torch.allclose(plain(TOKENS).logits, expected, atol=1e-3)
        theirs = PeftModel.from_pretrained(plain, tmp_path / "out").eval()
        torch.testing.assert_close(theirs(TOKENS).logits, expected, rtol=1e-4, atol=1e-4)
