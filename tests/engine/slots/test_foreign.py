import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from nightschool.engine.base.cut import split
from nightschool.engine.slots.adapter import PROJECTIONS, attach
from nightschool.engine.slots.foreign import read_foreign
from nightschool.schemas.errors import BaseMismatch, NotFound, UsageError
from nightschool.tests.tiny import tiny

CUT = 2
IDS = torch.randint(0, 256, (1, 16), generator=torch.Generator().manual_seed(0))
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture
def made(tmp_path):
    """Save a random LoRA with PEFT; returns its folder and what PEFT's model says."""
    from peft import LoraConfig, get_peft_model

    def make(**options):
        values = {"r": 4, "lora_alpha": 12, "target_modules": ["q_proj", "down_proj"], "layers_to_transform": [2, 3]}
        model = get_peft_model(tiny(), LoraConfig(task_type="CAUSAL_LM", **{**values, **options}))
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.1)
            model.save_pretrained(tmp_path / "theirs")
            return tmp_path / "theirs", model(IDS).logits

    return make


def shapes():
    return split(tiny(), CUT)[1].shapes()


@pytest.mark.parametrize(
    "options", [{}, {"use_rslora": True}, {"r": 8, "lora_alpha": 8}, {"target_modules": list(PROJECTIONS)}]
)
def test_what_peft_made_says_here_what_it_says_there(made, options):
    folder, theirs = made(**options)
    trunk, tail = split(tiny(), CUT)
    attach(tail, read_foreign(folder, tail.shapes()))
    with torch.no_grad():
        assert torch.allclose(tail(trunk.states(IDS)), theirs, atol=1e-5)
        assert (theirs - tiny()(IDS).logits).abs().max() > 0.05


def test_an_adapter_that_reaches_below_the_tail_is_told_where_it_begins(made):
    with pytest.raises(UsageError, match=r"blocks from 1 on.*block 2.*`cut = 3`"):
        read_foreign(made(layers_to_transform=[1, 2])[0], shapes())


def test_an_adapter_of_another_base_is_refused_by_shape(made):
    wide = split(tiny(hidden_size=64), CUT)[1].shapes()
    with pytest.raises(BaseMismatch, match="does not fit"):
        read_foreign(made()[0], wide)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peft_type": "IA3"}, "not a LoRA"),
        ({"bias": "all"}, "biases"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"(a+)+b": 4}}, "rank_pattern"),
        ({"r": 10**6}, "rank"),
        ({"r": "4"}, "rank"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"auto_mapping": {"parent_library": "os"}}, "auto_mapping"),
        ({"megatron_config": {"x": 1}}, "megatron_config"),
        ({"a_field_of_tomorrow": 1}, "a_field_of_tomorrow"),
        ({"init_lora_weights": "pissa"}, "changed weights"),
        ({"loftq_config": {"bits": 4}}, "loftq_config"),
    ],
)
def test_a_configuration_that_is_more_than_a_plain_lora_is_refused(made, change, words):
    folder, _ = made()
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **change}))
    with pytest.raises(UsageError, match=words):
        read_foreign(folder, shapes())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: t.update({"base_model.model.lm_head.weight": torch.zeros(4, 4)}), "lm_head"),
        (lambda t: t[next(iter(t))].fill_(float("inf")), "numbers that are none"),
        (lambda t: t.pop(next(iter(t))), "not whole"),
        (lambda t: t.clear(), "no LoRA"),
        (lambda t: t.update({"base_model.model.model.layers.2.../x.lora_A.weight": torch.zeros(4, 4)}), "no part"),
    ],
)
def test_tensors_that_are_more_or_less_than_a_lora_are_refused(made, spoil, words):
    folder, _ = made()
    tensors = load_file(folder / WEIGHTS)
    spoil(tensors)
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(UsageError, match=words):
        read_foreign(folder, shapes())


def test_files_that_do_not_read_or_are_missing_are_named(made):
    folder, _ = made()
    (folder / WEIGHTS).write_bytes(b"\x80\x04 pickled")
    with pytest.raises(UsageError, match="does not read"):
        read_foreign(folder, shapes())
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")
    with pytest.raises(NotFound, match="safetensors"):
        read_foreign(folder, shapes())
