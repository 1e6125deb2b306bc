"""A head adapter speaks at every cut alike, and is exactly what LoRA on the head is."""

from __future__ import annotations

import json

import pytest
import torch

from nightschool.engine.base.halves import open_head, open_tail, open_trunk
from nightschool.engine.base.library import load
from nightschool.engine.base.weights import write_manifest
from nightschool.engine.slots.adapter import HEAD_PROJECTIONS, WEIGHTS, Adapter, Factors, attach, new_adapter
from nightschool.engine.slots.generations import CONFIG, HEAD_KIND, is_head_adapter
from nightschool.engine.slots.plain_peft import peft_updates
from nightschool.engine.slots.portable import export_gguf, export_head, export_merged, head_lora
from nightschool.schemas.errors import BaseMismatch, Damaged, UsageError
from nightschool.tests.tiny import FAMILIES, save_tiny

IDS = torch.randint(0, 256, (24,), generator=torch.Generator().manual_seed(0)).tolist()


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    made = {}

    def base(family="llama", **changes):
        key = (family, *changes.items())
        if key not in made:
            made[key] = load(save_tiny(tmp_path_factory.mktemp("base") / family, family, **changes))
        return made[key]

    return base


def learned(base, rank=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    (place,), (fresh,) = zip(*new_adapter(open_tail(base, 0), rank, HEAD_PROJECTIONS).factors.items(), strict=True)
    return Adapter({place: Factors(fresh.down, torch.randn(fresh.up.shape, generator=generator) * 0.3)})


def logits(base, cut, adapter):
    tail = open_tail(base, cut)
    attach(tail, adapter)
    with torch.inference_mode():
        (rows,) = tail.sequences(open_trunk(base, cut).sequences([IDS]))
        return tail.head(rows)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_it_says_the_same_at_every_cut_and_step_by_step(bases, family):
    base, plain = bases(family), logits(bases(family), 0, None)
    adapter = learned(base)
    assert adapter.is_head
    whole = logits(base, 0, adapter)
    assert (whole - plain).abs().max() > 0.1
    for cut in (1, 2, base.card.layers):
        torch.testing.assert_close(logits(base, cut, adapter), whole, atol=1e-4, rtol=1e-4)
    (states,) = open_trunk(base, 0).sequences([IDS])
    tail = open_tail(base, 0)
    attach(tail, adapter)
    with torch.inference_mode():
        cache, rows = tail.new_cache(), tail.new_rows(2, 64)
        stepped = torch.cat([tail.extend(states[None, n : n + 1], cache)[0] for n in range(len(IDS))])
        filled = tail.fill(rows, [0, 1], [states[:5], states[:7]])
        once = tail.step(rows, states[[5, 7]])
        torch.testing.assert_close(tail.head(stepped), whole, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(tail.head(filled[1]), whole[:7], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(tail.head(once), whole[[5, 7]], atol=1e-4, rtol=1e-4)
    attach(tail, None)
    with torch.inference_mode():
        torch.testing.assert_close(tail.head(tail.sequences([states])[0]), plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "deepseek_v3"])
@pytest.mark.parametrize("normed", [True, False])
def test_it_speaks_on_states_of_an_engine_of_others(bases, family, normed):
    base, adapter = bases(family), learned(bases(family))
    (states,) = open_trunk(base, 0).sequences([IDS])
    with torch.inference_mode():
        given = open_tail(base, 0).sequences([states])[0] if normed else states
        head = open_head(base, normed=normed)
        attach(head, adapter)
        torch.testing.assert_close(
            head.head(head.sequences([given])[0]), logits(base, 0, adapter), atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("tied", [False, True])
def test_exported_it_says_the_same_in_peft(tmp_path, tied):
    from peft import PeftModel

    base = load(save_tiny(tmp_path / "base", "llama", tie_word_embeddings=tied))
    adapter = learned(base)
    export_head(adapter, base.folder, tmp_path / "out", "tiny")
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(base.model, tmp_path / "out")(torch.tensor([IDS])).logits[0]
    torch.testing.assert_close(theirs, logits(base, 2, adapter), atol=1e-4, rtol=1e-4)
    assert not (tmp_path / "out").joinpath("base").exists()


def test_what_is_saved_reads_back_and_says_that_it_is_no_peft_adapter(bases, tmp_path):
    from peft import PeftConfig

    adapter = learned(bases())
    adapter.save(tmp_path, "tiny")
    again = Adapter.load(tmp_path)
    assert again.factors.keys() == adapter.factors.keys() == {(4, "head")}
    for place, factors in adapter.factors.items():
        assert torch.equal(again.factors[place].up, factors.up)
        assert torch.equal(again.factors[place].down, factors.down)
    assert is_head_adapter(tmp_path)
    assert json.loads((tmp_path / CONFIG).read_text())["peft_type"] == HEAD_KIND
    with pytest.raises((KeyError, ValueError, TypeError)):
        PeftConfig.from_pretrained(tmp_path)
    with pytest.raises(Damaged):
        peft_updates(tmp_path, {})


def test_files_of_the_two_kinds_are_not_mistaken_for_each_other(bases, tmp_path):
    learned(bases()).save(tmp_path, "tiny")
    config = tmp_path / CONFIG
    config.write_text(config.read_text().replace(HEAD_KIND, "LORA"))
    with pytest.raises(Damaged, match=r"nightschool\.final"):
        Adapter.load(tmp_path)
    blocks = tmp_path / "blocks"
    blocks.mkdir()
    new_adapter(open_tail(bases(), 2), 2).save(blocks, "tiny")
    assert not is_head_adapter(blocks)
    assert not is_head_adapter(tmp_path / "nothing")
    config = blocks / CONFIG
    config.write_text(config.read_text().replace('"LORA"', f'"{HEAD_KIND}"'))
    with pytest.raises(Damaged):
        Adapter.load(blocks)
    assert (tmp_path / WEIGHTS).stat().st_size < 2000


def test_new_adapters_of_blocks_do_not_touch_the_head(bases):
    tail = open_tail(bases(), 2)
    assert (4, "head") not in tail.shapes()
    assert tail.final() == {(4, "head"): (32, 32)}
    assert not new_adapter(tail, 2).is_head
    assert {layer for layer, _ in new_adapter(tail, 2).factors} == {2, 3}


def test_that_of_another_base_is_refused(bases):
    adapter = learned(bases(hidden_size=64))
    with pytest.raises(BaseMismatch):
        attach(open_tail(bases(), 2), adapter)


def test_merged_it_says_the_same_where_the_head_is_its_own(tmp_path):
    from transformers import AutoModelForCausalLM

    base = load(save_tiny(tmp_path / "base", "llama", tie_word_embeddings=False))
    write_manifest(base.folder, "tiny")
    adapter = learned(base)
    export_merged(adapter, base.folder, tmp_path / "merged")
    with torch.no_grad():
        found = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)(
            torch.tensor([IDS])
        ).logits
    torch.testing.assert_close(found[0], logits(base, 0, adapter), atol=1e-4, rtol=1e-4)


def test_where_it_cannot_be_written_that_is_said(tmp_path):
    base = load(save_tiny(tmp_path / "base", "llama", tie_word_embeddings=True))
    adapter = learned(base)
    with pytest.raises(UsageError, match="table of embeddings"):
        export_merged(adapter, base.folder, tmp_path / "merged")
    with pytest.raises(UsageError, match=r"llama\.cpp"):
        export_gguf(adapter, base.folder, tmp_path / "gguf", name="tiny", system="", temperature=0.0)
    down, up = head_lora(adapter, base.folder)
    assert (down.shape, up.shape) == ((3, 32), (260, 3))
    assert {path.name for path in tmp_path.iterdir()} == {"base"}
