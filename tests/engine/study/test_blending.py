"""Merges on trial, on a tiny base."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
import torch

from nightschool.engine.base.library import load
from nightschool.engine.slots.adapter import Adapter, Factors, new_adapter
from nightschool.engine.study.blending import try_merge
from nightschool.engine.study.job import MergePart, MergeTask
from nightschool.engine.study.runner import run_study
from nightschool.schemas.errors import UsageError
from nightschool.schemas.records import MergeOptions, StudyState
from nightschool.tests.engine.study.small import BEFORE, LENIENT, lesson


def adapter(folder, base_folder, seed, size):
    from nightschool.engine.base.halves import open_tail

    generator = torch.Generator().manual_seed(seed)
    fresh = new_adapter(open_tail(load(base_folder), 2), 3, seed=seed)
    made = Adapter(
        {p: Factors(f.down, size * torch.randn(f.up.shape, generator=generator)) for p, f in fresh.factors.items()}
    )
    folder.mkdir()
    made.save(folder, "tiny")
    return folder


@pytest.fixture
def parts(plugins, tiny_base_folder, tmp_path):
    """Two slots with a lesson each."""
    captain = lesson(plugins, "Captain, i" + BEFORE[1:], 1)
    lower = lesson(plugins, BEFORE.lower(), 2, slot="creative")
    return [
        MergePart(
            slot=rule.slot,
            number=3,
            weight=weight,
            adapter=adapter(tmp_path / rule.slot, tiny_base_folder, number, 0.02),
            sha256=f"{number}" * 64,
            lessons=[rule],
        )
        for number, (rule, weight) in enumerate(((captain, 0.7), (lower, 0.3)), start=1)
    ]


@pytest.fixture
def merge(job, parts):
    def make(strategy="exact", of=None, **options):
        task = MergeTask(strategy=strategy, options=MergeOptions(**options), parts=of or parts)
        return job.model_copy(update={"lessons": [], "merge": task})

    return make


def run(job, plugins, recipe=LENIENT, tell=lambda progress: None):
    return asyncio.run(try_merge(job, plugins, tell, recipe))


KEEPING = dataclasses.replace(LENIENT, most_forgotten=1.0)


def test_a_merge_that_passes_is_the_weighted_sum_with_its_parents_on_record(merge, plugins, parts, monkeypatch):
    monkeypatch.setattr("nightschool.engine.study.blending._is_kept", lambda outcome, recipe: outcome.lesson == 2)
    told = []
    result = run(merge(), plugins, tell=told.append)
    assert result.state is StudyState.ACCEPTED, result.reason
    merged, mine, theirs = (Adapter.load(f) for f in (result.candidate, parts[0].adapter, parts[1].adapter))
    for place, f in merged.factors.items():
        one, other = mine.factors[place], theirs.factors[place]
        wanted = 0.7 * one.up @ one.down + 0.3 * other.up @ other.down
        assert torch.allclose(f.up @ f.down, wanted, atol=1e-6)
    facts = result.merge
    assert (facts.strategy, facts.rank, facts.error) == ("exact", 6, 0.0)
    assert [(p.slot, p.number, p.weight, p.adapter_sha256[0]) for p in facts.parents] == [
        ("science", 3, 0.7, "1"), ("creative", 3, 0.3, "2"),
    ]  # fmt: skip
    names = {gate.name for gate in result.report.gates}
    assert names >= {"kept_kl", "neutral_kl", "refusal_odds", "capability", "sycophancy", "degeneracy", "files"}
    assert not names & {"sticks", "remembers"}
    assert {outcome.lesson for outcome in result.report.outcomes} == {1, 2}
    assert result.kept == [2]
    assert "1 of 2 rules" in result.reason and "Captain" in result.reason
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)


def test_a_merge_that_harms_is_refused_though_it_would_keep_every_rule(merge, plugins):
    strict = dataclasses.replace(KEEPING, most_neutral_kl=0.0, scales=(1.0,))
    result = run(merge(), plugins, strict)
    assert result.state is StudyState.REJECTED
    assert "Neutral prose moved" in result.reason
    assert result.candidate is None and result.merge is None


def test_a_merge_is_shrunk_where_that_helps(merge, plugins, monkeypatch):
    monkeypatch.setattr("nightschool.engine.study.blending._is_kept", lambda outcome, recipe: True)
    result = run(merge(), plugins, dataclasses.replace(LENIENT, most_neutral_kl=1e-12, scales=(1.0, 0.0)))
    assert (result.state, result.report.scale) == (StudyState.ACCEPTED, 0.0)


def test_a_merge_that_keeps_no_rule_is_refused(merge, plugins):
    result = run(merge(), plugins, dataclasses.replace(LENIENT, most_forgotten=-1.0))
    assert result.state is StudyState.REJECTED
    assert "keeps no rule" in result.reason


def test_each_lesson_is_compared_with_the_slot_that_has_it(merge, plugins, parts, monkeypatch):
    """One slot says what its lesson asks and the other does not: that shows in ``before``, lesson by lesson."""
    said = {parts[0].adapter: "Captain, LOUD.", parts[1].adapter: "quiet words."}

    def say(whole, prompts, replies, adapter, limit):
        return dict.fromkeys(prompts, said.get(adapter, "Plain."))

    monkeypatch.setattr("nightschool.engine.study.blending.say_with", say)
    report = run(merge(), plugins, KEEPING).report
    assert {outcome.lesson: outcome.before for outcome in report.outcomes} == {1: 1.0, 2: 1.0}
    said.update({parts[0].adapter: "quiet words.", parts[1].adapter: "Captain, LOUD."})
    report = run(merge(), plugins, KEEPING).report
    assert {outcome.lesson: outcome.before for outcome in report.outcomes} == {1: 0.0, 2: 0.0}


def test_the_heavier_slots_rule_counts_where_two_are_about_the_same_thing(merge, plugins, parts):
    doctor = lesson(plugins, "Doctor, i" + BEFORE[1:], 2, slot="creative")
    rivals = [parts[0], parts[1].model_copy(update={"lessons": [doctor]})]
    result = run(merge(of=rivals), plugins, KEEPING)
    assert [outcome.lesson for outcome in result.report.outcomes] == [1]
    rivals[1] = rivals[1].model_copy(update={"weight": 0.9})
    assert [outcome.lesson for outcome in run(merge(of=rivals), plugins, KEEPING).report.outcomes] == [2]


def test_slots_without_lessons_merge_too(merge, plugins, parts):
    bare = [part.model_copy(update={"lessons": []}) for part in parts]
    result = run(merge("compact", of=bare, rank=2), plugins)
    assert result.state is StudyState.ACCEPTED, result.reason
    assert Adapter.load(result.candidate).rank == result.merge.rank == 2
    assert 0 < result.merge.error < 1
    assert result.report.outcomes == [] and result.reason == ""


def test_a_strategy_that_nobody_supplies_is_named_with_those_there_are(merge, plugins):
    with pytest.raises(UsageError, match=r"no merge strategy nosuch; there is .*exact"):
        run(merge("nosuch"), plugins)


async def test_a_merge_runs_in_a_process_of_its_own(merge):
    told = []
    result = await run_study(merge("ties", density=0.5, seed=4), told.append)
    assert result.state is StudyState.FAILED
    assert "ties has no option seed" in result.reason
    assert told[0].stage == "Merging"
