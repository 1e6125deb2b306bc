"""What is lost of an adapter that reaches below the tail, on a tiny base."""

from __future__ import annotations

import asyncio
import shutil

import pytest
import torch

from nightschool.engine.base.halves import open_tail
from nightschool.engine.base.library import load
from nightschool.engine.slots.adapter import Adapter, Factors, attach, new_adapter
from nightschool.engine.study.blending import try_merge
from nightschool.engine.study.cut_base import cut_here
from nightschool.engine.study.job import MergePart, MergeTask
from nightschool.engine.study.projected import energy, projection_of, upper_part
from nightschool.engine.study.replies import Replies
from nightschool.schemas.errors import UsageError
from nightschool.schemas.records import StudyState
from nightschool.tests.engine.study.small import LENIENT

PROMPTS = ["What is rain?", "Name a colour.", "Why is it late?"]


def made(base_folder, *, lower, upper, size=0.1):
    """An adapter of all four blocks; how much it changes below the tail and in it."""
    generator = torch.Generator().manual_seed(3)
    fresh = new_adapter(open_tail(load(base_folder), 4), 3)
    return Adapter(
        {
            (block, path): Factors(
                f.down, (lower if block < 2 else upper) * size * torch.randn(f.up.shape, generator=generator)
            )
            for (block, path), f in fresh.factors.items()
        }
    )


@pytest.fixture
def projected(job, plugins, tiny_base_folder):
    def measure(adapter, kept=None):
        whole = cut_here(job, plugins)
        replies = Replies(whole, None, 8)
        replies.compute(PROMPTS, lambda share: None)
        attach(whole.tail, upper_part(adapter, 2) if kept is None else kept)
        return projection_of(whole, adapter, PROMPTS, replies)

    return measure


def test_an_adapter_of_the_tail_alone_loses_nothing(projected, tiny_base_folder):
    found = projected(made(tiny_base_folder, lower=0.0, upper=1.0))
    assert (found.first, found.lowest) == (0, 2)
    assert found.left_out == pytest.approx(0.0, abs=1e-6)
    assert found.kept_nats < 1e-5 < 1e-3 < found.plain_nats


def test_one_of_the_lower_blocks_loses_all(projected, tiny_base_folder):
    found = projected(made(tiny_base_folder, lower=1.0, upper=0.0))
    assert found.left_out == pytest.approx(1.0, abs=1e-6)
    assert found.kept_nats == pytest.approx(found.plain_nats, rel=1e-3) and found.plain_nats > 1e-3


def test_what_is_kept_of_both_is_between(projected, tiny_base_folder):
    adapter = made(tiny_base_folder, lower=0.3, upper=1.0)
    found = projected(adapter)
    assert 0 < found.kept_nats < found.plain_nats
    of_all = {place: f.up @ f.down for place, f in adapter.factors.items()}
    whole = sum(float(update.square().sum()) for update in of_all.values())
    upper = sum(float(update.square().sum()) for (block, _), update in of_all.items() if block >= 2)
    assert energy(adapter) == pytest.approx(whole, rel=1e-4)
    assert found.left_out == pytest.approx(1 - upper / whole, rel=1e-4)


def test_an_adapter_with_nothing_in_the_tail_is_refused(tiny_base_folder):
    adapter = made(tiny_base_folder, lower=1.0, upper=0.0)
    below = Adapter({place: f for place, f in adapter.factors.items() if place[0] < 2})
    with pytest.raises(UsageError, match="`cut`"):
        upper_part(below, 2)


def test_a_trial_tells_what_was_lost(job, plugins, tiny_base_folder, tmp_path):
    adapter = made(tiny_base_folder, lower=0.5, upper=0.5, size=0.02)
    for name, saved in (("whole", adapter), ("kept", upper_part(adapter, 2))):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        (tmp_path / name).mkdir()
        saved.save(tmp_path / name, "tiny")
    part = MergePart(slot="", number=0, weight=1.0, adapter=tmp_path / "kept", sha256="0" * 64)
    task = MergeTask(strategy="exact", parts=[part], whole=tmp_path / "whole")
    told = job.model_copy(update={"lessons": [], "merge": task})
    result = asyncio.run(try_merge(told, plugins, lambda progress: None, LENIENT))
    assert result.state is StudyState.ACCEPTED, result.reason
    found = result.report.projection
    assert (found.first, found.lowest) == (0, 2) and 0.3 < found.left_out < 0.7
    alone = job.model_copy(update={"lessons": [], "merge": task.model_copy(update={"whole": None})})
    assert asyncio.run(try_merge(alone, plugins, lambda progress: None, LENIENT)).report.projection is None
