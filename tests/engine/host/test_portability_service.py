"""Slots written for other programs, and adapters of others tried as a slot's next generation."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nightschool.engine.base.halves import open_tail
from nightschool.engine.host.model_thread import Model
from nightschool.engine.slots.adapter import Adapter, Factors, new_adapter
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import BaseMismatch, NotFound, UsageError
from nightschool.schemas.records import AdapterForm, StudyState, VersionKind


@pytest.fixture
def theirs(desk, tiny_base, tmp_path):
    """An adapter in a folder, with its scale yet to be folded in; the tiny base is loaded."""
    desk.model.loaded = Model(tiny_base, None, desk.chat, 2, SimpleNamespace(many=tiny_base.numbers))
    generator = torch.Generator().manual_seed(1)
    factors = {
        place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.1)
        for place, f in new_adapter(open_tail(tiny_base, 2), 4).factors.items()
    }
    folder = tmp_path / "theirs"
    folder.mkdir()
    Adapter(factors).save(folder, "tiny")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 12}))
    return folder


async def test_an_adapter_of_others_is_tried_and_becomes_a_generation(desk, theirs, runner):
    ended = await desk.ask(ask.ImportAdapter(folder=str(theirs), into="gaming"))
    assert (ended.state, ended.version) == (StudyState.ACCEPTED, 1)
    version = (await desk.ask(ask.ListVersions(slot="gaming")))[0]
    assert (version.kind, version.merge, version.lessons) == (VersionKind.IMPORT, None, [])
    (part,) = runner.jobs[0].merge.parts
    place = (3, "self_attn.q_proj")
    tried = Adapter.load(part.adapter).factors[place]
    (config, tensors) = (theirs / name for name in ("adapter_config.json", "adapter_model.safetensors"))
    config.write_text(config.read_text().replace('"lora_alpha": 12', '"lora_alpha": 4'))
    mine = Adapter.load(theirs).factors[place]
    assert torch.allclose(tried.up @ tried.down, 3 * mine.up @ mine.down, atol=1e-6)
    assert tensors.exists()


async def test_one_that_reaches_below_the_tail_is_refused_or_its_upper_part_is_tried(
    desk, theirs, tiny_base, tmp_path, runner
):
    generator = torch.Generator().manual_seed(2)
    whole = Adapter(
        {
            place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.1)
            for place, f in new_adapter(open_tail(tiny_base, 4), 4).factors.items()
        }
    )
    (tmp_path / "deep").mkdir()
    whole.save(tmp_path / "deep", "tiny")
    with pytest.raises(UsageError, match=r"`cut = 4`.*--keep-upper"):
        await desk.ask(ask.ImportAdapter(folder=str(tmp_path / "deep"), into="gaming"))
    await desk.ask(ask.ImportAdapter(folder=str(tmp_path / "deep"), into="gaming", keep_upper=True))
    merge = runner.jobs[0].merge
    assert {block for block, _ in Adapter.load(merge.parts[0].adapter).factors} == {2, 3}
    assert {block for block, _ in Adapter.load(merge.whole).factors} == {0, 1, 2, 3}
    await desk.ask(ask.ImportAdapter(folder=str(theirs), into="gaming", keep_upper=True))
    assert runner.jobs[1].merge.whole is None, "nothing of it is left out"


async def test_a_tail_of_more_blocks_takes_all_of_it(desk, theirs, tiny_base, tmp_path, runner):
    (tmp_path / "deep").mkdir()
    new_adapter(open_tail(tiny_base, 4), 4).save(tmp_path / "deep", "tiny")
    desk.model.loaded = Model(tiny_base, None, desk.chat, 4, SimpleNamespace(many=tiny_base.numbers))
    ended = await desk.ask(ask.ImportAdapter(folder=str(tmp_path / "deep"), into="gaming"))
    assert ended.state is StudyState.ACCEPTED and runner.jobs[0].cut == 4


async def test_what_is_no_adapter_begins_no_study(desk, theirs, runner):
    (theirs / "adapter_model.safetensors").unlink()
    with pytest.raises(NotFound, match="safetensors"):
        await desk.ask(ask.ImportAdapter(folder=str(theirs), into="gaming"))
    assert await desk.ask(ask.ListStudies()) == []
    with pytest.raises(NotFound, match="nobody"):
        await desk.ask(ask.ImportAdapter(folder=str(theirs), into="nobody"))


@pytest.mark.parametrize(
    ("form", "file"),
    [("peft", "adapter_model.safetensors"), ("gguf", "Modelfile"), ("merged", "config.json")],
)
async def test_a_generation_is_written_for_others(desk, theirs, tiny_base, tmp_path, form, file):
    desk.rooms.store.add_version("science", _portable(theirs, tmp_path), base=tiny_base.card.fingerprint)
    target, form = tmp_path / "out" / form, AdapterForm(form)
    made = await desk.ask(ask.ExportSlot(slot="science", to=str(target), form=form))
    assert (Path(made.folder), made.number, made.form) == (target, 1, form)
    assert (target / file).is_file()
    assert made.bytes == sum(path.stat().st_size for path in target.iterdir())
    with pytest.raises(UsageError, match="already"):
        await desk.ask(ask.ExportSlot(slot="science", to=str(target), form=form))


def _portable(folder, tmp_path):
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 4}))
    return folder


async def test_what_cannot_be_exported_is_said(desk, theirs, tmp_path):
    target = str(tmp_path / "out")
    with pytest.raises(UsageError, match="plain base"):
        await desk.ask(ask.ExportSlot(slot="science", to=target))
    desk.rooms.store.add_version("science", theirs, base="cd" * 32)
    with pytest.raises(BaseMismatch, match="another base"):
        await desk.ask(ask.ExportSlot(slot="science", to=target, form=AdapterForm.MERGED))
    with pytest.raises(NotFound, match="generation 7"):
        await desk.ask(ask.ExportSlot(slot="science", to=target, number=7))
