"""A study at cut 0 makes a head adapter, by the same examples, gates and reports."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from nightschool.engine.slots.adapter import Adapter
from nightschool.engine.study.study import study
from nightschool.schemas.records import StudyState
from nightschool.tests.engine.study.small import LENIENT, lesson
from nightschool.tests.engine.study.test_study import _one_sentence


def run(job, plugins, recipe=LENIENT):
    return asyncio.run(study(job, plugins, lambda progress: None, recipe))


@pytest.fixture
def head_job(job):
    return job.model_copy(update={"cut": 0})


def test_it_learns_in_the_final_state_alone(head_job, plugins):
    result = run(head_job, plugins, dataclasses.replace(LENIENT, head_rank=5))
    assert result.state is StudyState.ACCEPTED, result.reason
    adapter = Adapter.load(result.candidate)
    assert (set(adapter.factors), adapter.rank) == ({(4, "head")}, 5)
    assert bool(adapter.factors[4, "head"].up.any())
    gates = {gate.name: gate for gate in result.report.gates}
    assert {"sticks", "kept_kl", "neutral_kl", "opposite", "files", "peft"} <= gates.keys()
    assert gates["peft"].passed  # as LoRA on the head it says the same
    assert gates["files"].value == 0.0


def test_it_goes_on_from_a_head_adapter(head_job, plugins, captain):
    first = run(head_job, plugins)
    adapter = head_job.folder.parent / "kept"
    first.candidate.rename(adapter)
    short = lesson(plugins, "Captain, inflation is a rise in prices.", 2, steps=[_one_sentence()])
    later = head_job.model_copy(update={"lessons": [short], "known": [captain], "adapter": adapter})
    result = run(later, plugins, dataclasses.replace(LENIENT, most_forgotten=1.0))
    assert result.state is StudyState.ACCEPTED, result.reason
    assert Adapter.load(result.candidate).is_head


def test_the_line_search_turns_it(head_job, plugins):
    result = run(head_job, plugins, dataclasses.replace(LENIENT, most_neutral_kl=0.0, scales=(1.0, 0.5, 0.0)))
    assert result.report.scale == 0.0
