"""Slots that learn where an engine of others computes: in a head adapter, which goes where it can."""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.settings import ServerSettings, add_server, choose_provider
from nightschool.engine.slots.adapter import Adapter, Factors
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import UsageError
from nightschool.schemas.records import AdapterForm
from nightschool.tests.engine.host.conftest import CARD
from nightschool.tests.engine.host.test_study_service import OTHER, study, teach


@pytest.fixture
def box(desk):
    """The desk, with a slot that computes at an engine of others."""
    add_server(desk.home, "box", ServerSettings(url="http://127.0.0.1:1", kind="vllm"))
    desk.rooms.store.update("science", provider="box")
    return desk


@pytest.fixture
def head(box, tmp_path):
    """The same, where the slot has learned in a head adapter."""
    folder = tmp_path / "head"
    folder.mkdir()
    Adapter({(CARD.layers, "head"): Factors(torch.ones(2, 8), torch.ones(8, 2))}).save(folder, CARD.name)
    box.rooms.store.add_version("science", folder, base=CARD.fingerprint)
    return box


async def test_what_it_learns_goes_into_the_head(box, runner):
    box.rooms.store.update("science", provider="")
    await teach(box)
    box.rooms.store.update("science", provider="box")
    add_server(box.home, "gpu", ServerSettings(url="https://gpu.home"))
    choose_provider(box.home, ["gpu"], studies=True)
    await study(box)
    (job,) = runner.jobs
    assert (job.cut, job.elsewhere) == (0, ())


async def test_it_stays_so_where_it_computes_here(head, runner):
    head.rooms.store.update("science", provider="")
    await teach(head)
    await study(head)
    assert runner.jobs[0].cut == 0
    await teach(head, OTHER, "gaming")
    await study(head, "gaming")
    assert runner.jobs[1].cut == head.model.loaded.cut


@pytest.mark.parametrize("form", [AdapterForm.GGUF, AdapterForm.MERGED])
async def test_what_it_cannot_become_is_said(head, form, tmp_path, monkeypatch):
    monkeypatch.setattr("nightschool.engine.slots.portable.is_tied", lambda folder: True)
    monkeypatch.setattr(head.model.loaded.base, "check_whole", lambda: None, raising=False)
    with pytest.raises(UsageError, match="head adapter"):
        await head.ask(ask.ExportSlot(slot="science", form=form, to=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


async def test_it_is_not_shared_or_merged(head):
    with pytest.raises(UsageError, match="bundles hold changes of blocks alone"):
        await head.ask(ask.DescribeVersion(slot="science"))
    with pytest.raises(UsageError, match="not merged"):
        await head.ask(ask.BlendSlots(weights={"science": 0.5, "gaming": 0.5}, into="creative", strategy="exact"))
