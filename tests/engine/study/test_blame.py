"""One lesson that cannot be learned does not keep the others from being."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from nightschool.engine.slots.adapter import Adapter
from nightschool.engine.study.blame import _softened
from nightschool.engine.study.study import study
from nightschool.plugins.gates import sticks
from nightschool.schemas.records import StudyState
from nightschool.tests.engine.study.small import BEFORE, LENIENT, lesson

NEVER = dataclasses.replace(LENIENT, most_neutral_kl=0.0, scales=(1.0,))


@pytest.fixture
def brief(plugins):
    """A lesson that leaves most of a reply out."""
    return lesson(plugins, BEFORE.split(". ")[0] + ".", 2, rule="One sentence.")


def run(job, plugins, recipe=LENIENT, told=None):
    return asyncio.run(study(job, plugins, (told if told is not None else []).append, recipe))


@pytest.fixture
def missed(monkeypatch):
    """Numbers of lessons that never stick."""
    missed, real = set(), sticks._result

    def result(name, value, limit, text, lesson=None):
        found = real(name, value, limit, text, lesson)
        return found.model_copy(update={"passed": False}) if lesson in missed else found

    monkeypatch.setattr(sticks, "_result", result)
    return missed


def test_the_others_are_learned_without_the_one_that_does_not_stick(job, plugins, captain, brief, missed):
    missed.add(2)
    told = []
    result = run(job.model_copy(update={"lessons": [captain, brief]}), plugins, told=told)
    assert result.state is StudyState.ACCEPTED, result.reason
    assert result.left_out.keys() == {2} and "One sentence." in result.left_out[2]
    assert [blame.lessons for blame in result.report.blamed] == [[2]]
    assert [outcome.lesson for outcome in result.report.outcomes] == [1]
    assert Adapter.load(result.candidate).factors
    assert result.left_out[2] in result.reason
    assert any(progress.stage.endswith("again without one lesson") for progress in told)
    alone = run(job.model_copy(update={"folder": job.folder.parent / "alone"}), plugins)
    same = [one.candidate.joinpath("adapter_model.safetensors").read_bytes() for one in (result, alone)]
    assert same[0] == same[1]  # nothing of the one that was left out is in it


def test_where_none_sticks_nothing_is_tried_again(job, plugins, captain, brief, missed):
    missed |= {1, 2}
    result = run(job.model_copy(update={"lessons": [captain, brief]}), plugins)
    assert result.state is StudyState.REJECTED
    assert not result.report.blamed


def test_what_moves_too_far_is_laid_to_the_lesson_that_changes_most_then_learned_softly(job, plugins, captain):
    loud = lesson(plugins, BEFORE.upper(), 2, rule="Shout.")
    result = run(job.model_copy(update={"lessons": [captain, loud]}), plugins, NEVER)
    assert result.state is StudyState.REJECTED
    assert [blame.lessons for blame in result.report.blamed] == [[2], []]
    assert all(gate.name == "neutral_kl" for blame in result.report.blamed for gate in blame.failed)
    assert result.left_out.keys() == {2}


def test_one_lesson_alone_is_learned_softly_before_it_is_turned_away(job, plugins):
    result = run(job, plugins, NEVER)
    assert result.state is StudyState.REJECTED
    assert [blame.lessons for blame in result.report.blamed] == [[]]
    once = run(job, plugins, dataclasses.replace(NEVER, softer=1.0))
    assert not once.report.blamed


def test_a_lesson_that_does_not_stick_is_not_learned_more_softly(job, plugins, missed):
    missed.add(1)
    assert not run(job, plugins).report.blamed


def test_no_more_than_so_many_are_left_out(job, plugins, captain, brief, missed):
    missed.add(2)
    lessons = {"lessons": [captain, brief]}
    result = run(job.model_copy(update=lessons), plugins, dataclasses.replace(LENIENT, blamed=0))
    assert result.state is StudyState.REJECTED
    assert not result.left_out


def test_a_slot_that_is_trained_anew_leaves_no_lesson_out(job, plugins, captain, brief, missed):
    first = run(job.model_copy(update={"lessons": [captain, brief]}), plugins)
    adapter = job.folder.parent / "kept"
    first.candidate.rename(adapter)
    changes = {"lessons": [], "known": [captain, brief], "adapter": adapter, "rebuild": True}
    missed.add(2)
    assert not run(job.model_copy(update=changes), plugins).report.blamed


def test_softer_moves_less_and_holds_more():
    soft = _softened(LENIENT)
    assert soft.learning_rate < LENIENT.learning_rate and soft.again_rate < LENIENT.again_rate
    assert soft.keep > LENIENT.keep and soft.keep_anchors > LENIENT.keep_anchors
    assert soft.steps == LENIENT.steps
