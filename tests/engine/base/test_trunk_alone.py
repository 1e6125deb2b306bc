"""The trunk alone is the trunk of the whole model, and reads no more of it than that."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nightschool.engine.base.halves import open_trunk
from nightschool.engine.base.library import load
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.base.trunk_alone import load_trunks
from nightschool.schemas.errors import ModelDamaged, UsageError
from nightschool.tests.tiny import FAMILIES, save_tiny

SEQUENCE = [5, 200, 3, 77, 12, 9, 31, 8, 254, 6, 1, 17]


@pytest.fixture(params=sorted(FAMILIES), scope="module")
def base(request, tmp_path_factory):
    return load(save_tiny(tmp_path_factory.mktemp("alone") / request.param, request.param))


def without_the_upper_half(folder):
    """Take what a trunk of two blocks does not need out of a checkpoint."""
    (path,) = folder.glob("*.safetensors")
    with safe_open(path, framework="pt") as file:
        kept = {
            name: file.get_tensor(name)
            for name in file.keys()  # noqa: SIM118
            if "layers.2." not in name and "layers.3." not in name and "lm_head" not in name
        }
    save_file(kept, path, metadata={"format": "pt"})


def test_it_gives_the_states_of_the_whole_model_at_every_cut(base):
    alone = load_trunks(replace(base, kept={}), [0, 2, 4])
    assert sorted(alone) == [0, 2, 4]
    for cut, trunk in alone.items():
        (expected,) = open_trunk(base, cut).sequences([SEQUENCE])
        (found,) = trunk.sequences([SEQUENCE])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["llama", "deepseek_v3"])
def test_what_lies_above_it_need_not_be_there(family, tmp_path):
    whole = load(save_tiny(tmp_path / "base", family))
    (expected,) = open_trunk(whole, 2).sequences([SEQUENCE])
    without_the_upper_half(whole.folder)
    bare = replace(whole, kept={})
    (found,) = load_trunks(bare, [2])[2].sequences([SEQUENCE])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(ModelDamaged, match=r"layers\.2"):
        load_trunks(bare, [1])


def test_a_cut_it_does_not_have_is_refused(base):
    with pytest.raises(UsageError, match="between 0 and 4"):
        load_trunks(base, [2, 5])


def test_quantised_weights_are_the_whole_models(tmp_path):
    base = load(save_tiny(tmp_path / "base", "llama")).computing_in(Numbers.INT8)
    (found,) = load_trunks(base, [2])[2].sequences([SEQUENCE])
    (expected,) = open_trunk(base, 2).sequences([SEQUENCE])
    assert torch.equal(found, expected)
