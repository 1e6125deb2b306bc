import shutil

import pytest
import torch

from nightschool.engine.base.cut import split
from nightschool.engine.base.weights import write_manifest
from nightschool.engine.slots.adapter import Adapter, Factors, new_adapter
from nightschool.engine.slots.portable import GGUF, MODELFILE, export_gguf, export_merged, export_peft
from nightschool.schemas.errors import DiskFull, UnsupportedFamily, UsageError
from nightschool.tests.tiny import tiny
from nightschool.tests.tiny_gguf import _as_stored, _gguf_name

IDS = torch.randint(0, 256, (1, 16), generator=torch.Generator().manual_seed(0))


def learned(model, rank=3):
    generator = torch.Generator().manual_seed(1)
    fresh = new_adapter(split(model, 2)[1], rank)
    return Adapter(
        {p: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.1) for p, f in fresh.factors.items()}
    )


@torch.no_grad()
def with_update(model, adapter):
    """The stock model with the updates added to its own weights."""
    modules = dict(model.named_modules())
    for (layer, path), f in adapter.factors.items():
        modules[f"model.layers.{layer}.{path}"].weight += f.up @ f.down
    return model


@pytest.fixture
def base(tmp_path):
    def save(family="llama", **options):
        folder = tmp_path / family
        tiny(family).save_pretrained(folder, **options)
        (folder / "tokenizer.json").write_text("{}")
        write_manifest(folder, "tiny")
        (folder / "packed-int8.safetensors").write_text("made here")
        return folder

    return save


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral"])
@pytest.mark.parametrize("size", ["1GB", "60KB"], ids=["one file", "shards"])
def test_a_merged_model_says_in_transformers_what_the_slot_says(base, tmp_path, family, size):
    from transformers import AutoModelForCausalLM

    adapter = learned(tiny(family))
    export_merged(adapter, base(family, max_shard_size=size), tmp_path / "out" / "merged")
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "merged", dtype=torch.float32)
    with torch.no_grad():
        ours = with_update(tiny(family), adapter)(IDS).logits
        assert torch.allclose(found(IDS).logits, ours, atol=1e-5)
        assert (ours - tiny(family)(IDS).logits).abs().max() > 0.1
    names = {path.name for path in (tmp_path / "out" / "merged").iterdir()}
    assert "tokenizer.json" in names
    assert not names & {"nightschool.json", "card.json", "packed-int8.safetensors"}


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral"])
def test_a_gguf_lora_changes_the_weights_of_a_gguf_base_as_the_slot_does(base, tmp_path, family):
    """Added where llama.cpp adds it, to weights in its own order of rows, it gives the merged weights in that order."""
    import gguf

    adapter, model = learned(tiny(family)), tiny(family)
    export_gguf(adapter, base(family), tmp_path / "out", name="tiny", system="", temperature=0.0)
    reader = gguf.GGUFReader(tmp_path / "out" / GGUF)
    tensors = {tensor.name: torch.tensor(tensor.data) for tensor in reader.tensors}
    # llama.cpp reads mistral as llama.
    laid_out = "llama" if family == "mistral" else family

    def stored(whole):
        found = whole.state_dict().items()
        return {_gguf_name(n): torch.tensor(_as_stored(n, t, whole.config, laid_out)) for n, t in found if t.ndim == 2}

    before, after = stored(model), stored(with_update(tiny(family), adapter))
    assert len(tensors) == 2 * len(adapter.factors)
    for name, weight in before.items():
        if f"{name}.lora_a" in tensors:
            weight = weight + tensors[f"{name}.lora_b"] @ tensors[f"{name}.lora_a"]
        assert torch.allclose(weight, after[name], atol=1e-6), name


def test_a_gguf_lora_says_what_it_is_to_llama_cpp(base, tmp_path):
    import gguf

    export_gguf(learned(tiny()), base(), tmp_path / "out", name="tiny", system='Say """hi""".', temperature=0.5)
    fields = gguf.GGUFReader(tmp_path / "out" / GGUF).fields
    said = {name: fields[name].contents() for name in fields}
    assert said["general.architecture"] == "llama"
    assert said["general.type"] == "adapter"
    assert said["adapter.type"] == "lora"
    assert said["adapter.lora.alpha"] == 3.0
    model = (tmp_path / "out" / MODELFILE).read_text()
    assert f"ADAPTER ./{GGUF}" in model and "temperature 0.5" in model
    assert "SYSTEM \"\"\"Say '''hi'''.\"\"\"" in model


def test_a_family_that_llama_cpp_lays_out_otherwise_is_refused_and_nothing_left(base, tmp_path):
    folder = base("deepseek_v2")
    with pytest.raises(UnsupportedFamily, match="merged"):
        export_gguf(learned(tiny()), folder, tmp_path / "out", name="", system="", temperature=0.0)
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_never_written_over(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="already"):
        export_peft(tmp_path, tmp_path / "out")


def test_a_base_without_the_weight_leaves_nothing(base, tmp_path):
    adapter = learned(tiny())
    odd = Adapter({(9, path): f for (_, path), f in adapter.factors.items()})
    with pytest.raises(UsageError, match=r"layers\.9"):
        export_merged(odd, base(), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["llama"]


def test_a_full_disk_leaves_nothing(base, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    folder = base()
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(DiskFull):
        export_merged(learned(tiny()), folder, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["llama"]
