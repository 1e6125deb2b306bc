import asyncio
import dataclasses
import itertools
import json

import pytest
import torch

from nightschool.engine.slots.adapter import Adapter
from nightschool.engine.slots.generations import PHRASES
from nightschool.engine.study.compare import _better
from nightschool.engine.study.plan import make_plan
from nightschool.engine.study.prompts import Prompt, bank
from nightschool.engine.study.recipe import Recipe
from nightschool.engine.study.runner import run_study
from nightschool.engine.study.study import study
from nightschool.schemas.records import Evidence, Standing, Step, StudyState
from nightschool.tests.engine.study.small import BEFORE, LENIENT, SMALL, lesson


def run(job, plugins, recipe, tell=lambda progress: None):
    return asyncio.run(study(job, plugins, tell, recipe))


def test_a_candidate_that_passes_is_a_peft_adapter_with_a_report(job, plugins):
    told = []
    result = run(job, plugins, LENIENT, told.append)
    assert result.state is StudyState.ACCEPTED, result.reason
    adapter = Adapter.load(result.candidate)
    assert {layer for layer, _ in adapter.factors} == {2, 3}
    assert any(bool(factors.up.any()) for factors in adapter.factors.values())
    assert result.report.steps == 3 + 2  # a random model follows nothing: there is always a second round
    assert [point.step for point in result.report.curve] == [1, 2, 3, 4, 5]
    assert {gate.name for gate in result.report.gates} >= {"sticks", "kept_kl", "neutral_kl", "opposite", "files"}
    heard = json.loads((result.candidate / PHRASES).read_text())
    assert heard and all(len(reply["after"]) == 2 and reply["tokens"] for reply in heard)
    fractions = [progress.fraction for progress in told]
    assert all(later >= earlier - 1e-9 for earlier, later in itertools.pairwise(fractions))
    assert any(progress.step == 3 and progress.loss is not None for progress in told)


def test_a_candidate_that_does_not_stick_is_turned_away_with_the_reason(job, plugins):
    result = run(job, plugins, dataclasses.replace(LENIENT, least_stick=0.9))
    assert result.state is StudyState.REJECTED
    assert result.candidate is None
    assert "of unseen prompts" in result.reason
    assert Adapter.load(job.folder / "candidate").factors  # for whoever wants to know why


def test_the_line_search_shrinks_until_the_distance_is_within_its_budget(job, plugins):
    scales = (1.0, 0.5, 0.0)
    result = run(job, plugins, dataclasses.replace(LENIENT, most_neutral_kl=0.0, scales=scales))
    assert result.report.scale == 0.0
    assert result.state is StudyState.ACCEPTED
    assert [(tried.scale, [gate.name for gate in tried.failed]) for tried in result.report.tried] == [
        (1.0, ["neutral_kl"]),
        (0.5, ["neutral_kl"]),
    ]


def test_the_same_seed_learns_the_same(job, plugins):
    first = Adapter.load(run(job, plugins, LENIENT).candidate)
    again = Adapter.load(run(job, plugins, LENIENT).candidate)
    assert all(torch.equal(first.factors[place].up, again.factors[place].up) for place in first.factors)


def test_a_study_goes_on_from_the_current_adapter(job, plugins, captain):
    first = run(job, plugins, LENIENT)
    short = lesson(plugins, "Captain, inflation is a rise in prices.", 2, steps=[_one_sentence()])
    adapter = job.folder.parent / "kept"
    first.candidate.rename(adapter)
    later = job.model_copy(update={"lessons": [short], "known": [captain], "adapter": adapter})
    result = run(later, plugins, dataclasses.replace(LENIENT, most_forgotten=1.0))
    assert result.state is StudyState.ACCEPTED, result.reason
    assert [outcome.lesson for outcome in result.report.outcomes] == [1, 2]
    assert any(gate.name == "remembers" for gate in result.report.gates)


def _one_sentence():
    return Step(rewriter="length", args={"unit": "sentences", "n": 1})


def test_a_lesson_without_a_form_is_turned_away_before_any_work(job, plugins, captain):
    hopeless = captain.model_copy(update={"steps": [], "reason": "Nobody can teach this: say it differently."})
    result = run(job.model_copy(update={"lessons": [hopeless], "base": job.folder}), plugins, SMALL)
    assert result.state is StudyState.REJECTED
    assert result.reason == "Nobody can teach this: say it differently."


def test_a_plan_never_checks_on_what_it_trains_on(plugins, captain):
    plan = make_plan(plugins.collect("nightschool_rewriters"), [], [captain], Recipe())
    held = {prompt.text for prompt in (*plan.held_inside, *plan.held_outside, *plan.held_opposite)}
    assert held.isdisjoint(prompt.text for prompt in (*plan.inside, *plan.outside))
    assert len(plan.inside) > Recipe().spread
    assert not plan.outside


def test_a_plan_keeps_a_conditional_lesson_to_its_prompts(plugins, captain):
    conditional = captain.model_copy(update={"when": "I ask for a recipe"})
    plan = make_plan(plugins.collect("nightschool_rewriters"), [], [conditional], Recipe())
    assert all("recipe" in prompt.tags for prompt in plan.inside)
    assert plan.outside
    assert all(not plan.steps(prompt) for prompt in plan.outside)


def test_a_later_lesson_replaces_an_older_one_about_the_same_thing(plugins, captain):
    doctor = lesson(plugins, "Doctor, i" + BEFORE[1:], 2)
    plan = make_plan(plugins.collect("nightschool_rewriters"), [captain], [doctor], Recipe())
    (step,) = plan.steps(bank()[0])
    assert step.args["text"] == "Doctor, "
    assert not plan.asks(captain, bank()[0])


def test_lessons_taught_on_a_prompt_apply_there_whatever_their_condition(plugins, captain):
    conditional = captain.model_copy(update={"when": "I ask for a recipe"})
    plan = make_plan(plugins.collect("nightschool_rewriters"), [], [conditional], Recipe())
    assert plan.steps(Prompt("what is inflation"))


def test_a_condition_nobody_understands_is_said(plugins, captain):
    odd = captain.model_copy(update={"when": "I mention my dog"})
    plan = make_plan(plugins.collect("nightschool_rewriters"), [], [odd], Recipe())
    assert not plan.new
    assert "re-word the condition" in plan.unlearnable[1]


def test_a_damaged_base_fails_the_study_process_in_words(job, tmp_path):
    (tmp_path / "empty").mkdir()
    result = asyncio.run(run_study(job.model_copy(update={"base": tmp_path / "empty"}), lambda progress: None))
    assert result.state is StudyState.FAILED
    assert "holds no safetensors" in result.reason


def test_a_killed_study_process_is_a_result_and_not_an_error(job, monkeypatch):
    import os
    import signal
    from asyncio import create_subprocess_exec

    async def spawn(*args, **options):
        process = await create_subprocess_exec(*args, **options)
        os.kill(process.pid, signal.SIGKILL)
        return process

    monkeypatch.setattr("asyncio.create_subprocess_exec", spawn)
    result = asyncio.run(run_study(job, lambda progress: None))
    assert result.state is StudyState.FAILED
    assert "signal 9" in result.reason


def test_cancelling_ends_the_study_process(job):
    import psutil

    async def cancelled():
        told = asyncio.Event()
        task = asyncio.create_task(run_study(job, lambda progress: told.set()))
        await asyncio.wait_for(told.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert not [child for child in psutil.Process().children() if "study.child" in " ".join(child.cmdline())]
    assert json.loads((job.folder / "job.json").read_text())["slot"] == "science"


def test_evidence_of_words_alone_is_no_gold(plugins, captain):
    said = captain.model_copy(update={"evidence": [Evidence(prompt="Hi", before="Hello.", said="Call me Captain.")]})
    plan = make_plan(plugins.collect("nightschool_rewriters"), [], [said], Recipe())
    assert plan.gold() == []


def test_a_lesson_is_forgotten_by_training_anew_on_the_others(job, plugins, tmp_path, captain):
    """The heavy start, which would say the forgotten words anywhere, must not be gone on from."""
    short = lesson(plugins, "Inflation is a rise in prices.", number=2)
    start = Adapter.load(run(job, plugins, LENIENT).candidate)
    heavy = tmp_path / "heavy"
    heavy.mkdir()
    start.scaled(50.0).save(heavy, "tiny")
    anew = job.model_copy(
        update={"adapter": heavy, "lessons": [], "known": [short], "forgotten": [captain], "folder": tmp_path / "anew"}
    )
    result = run(anew, plugins, LENIENT)
    assert result.state is StudyState.ACCEPTED, result.reason
    assert [(outcome.lesson, outcome.after) for outcome in result.report.forgotten] == [(1, 0.0)]
    assert [outcome.lesson for outcome in result.report.outcomes] == [2]
    assert {gate.name for gate in result.report.gates} >= {"forgets", "remembers"}
    again = run(anew.model_copy(update={"adapter": None, "folder": tmp_path / "bare"}), plugins, LENIENT)
    found, bare = Adapter.load(result.candidate), Adapter.load(again.candidate)
    assert all(torch.equal(found.factors[place].up, bare.factors[place].up) for place in bare.factors)


def test_a_lesson_that_still_shows_is_not_forgotten(job, plugins, captain):
    from nightschool.engine.study.candidate import Candidate

    short = lesson(plugins, "Inflation is a rise in prices.", number=2)
    anew = job.model_copy(update={"lessons": [], "known": [short], "forgotten": [captain]})
    write = Candidate.texts
    with pytest.MonkeyPatch.context() as patch:

        def captains(self, prompts):
            return [dataclasses.replace(reply, text=f"Captain, {reply.text}") for reply in write(self, prompts)]

        patch.setattr(Candidate, "texts", captains)
        result = run(anew, plugins, LENIENT)
    assert result.state is StudyState.REJECTED
    assert "Shows in 100% of the replies" in result.reason


def test_what_could_not_be_taught_again_is_not_lost_by_forgetting(job, plugins, captain):
    odd = captain.model_copy(update={"id": 3, "rule": "Odd.", "steps": [Step(rewriter="gone", args={})]})
    result = run(job.model_copy(update={"lessons": [], "known": [odd], "forgotten": [captain]}), plugins, LENIENT)
    assert result.state is StudyState.REJECTED
    assert "“Odd.” would be lost" in result.reason


@pytest.fixture
def grown(job, plugins, captain):
    """A slot that learned two lessons one after the other, about to be trained anew."""
    first = run(job, plugins, LENIENT)
    short = lesson(plugins, "Captain, inflation is a rise in prices.", 2, steps=[_one_sentence()])
    adapter = job.folder.parent / "kept"
    first.candidate.rename(adapter)
    return job.model_copy(update={"lessons": [], "known": [captain, short], "adapter": adapter, "rebuild": True})


GENTLE = dataclasses.replace(LENIENT, most_forgotten=1.0, as_good=0.0)


def test_a_slot_is_trained_anew_from_the_plain_base(grown, plugins):
    run(grown, plugins, GENTLE)
    with_it = Adapter.load(grown.folder / "candidate")
    run(grown.model_copy(update={"adapter": None}), plugins, GENTLE)
    without = Adapter.load(grown.folder / "candidate")
    assert all(torch.equal(with_it.factors[place].up, without.factors[place].up) for place in without.factors)


def test_one_that_is_nearer_to_the_base_and_follows_as_much_counts(grown, plugins):
    result = run(grown, plugins, dataclasses.replace(GENTLE, scales=(0.0,)))
    comparison = result.report.comparison
    assert comparison.rebuilt.neutral_kl < comparison.continued.neutral_kl and comparison.rebuilt_is_better
    assert result.state is StudyState.ACCEPTED and "all 2 lessons" in result.reason
    assert [gate.name for gate in result.report.gates].count("remembers") == 3


def test_what_is_there_stays_where_the_one_trained_anew_is_not_better(grown, plugins):
    further = dataclasses.replace(GENTLE, learning_rate=0.05, steps=12)
    result = run(grown, plugins, further)
    comparison = result.report.comparison
    assert comparison.rebuilt.neutral_kl > comparison.continued.neutral_kl > 0.0
    assert not comparison.rebuilt_is_better
    assert result.state is StudyState.REJECTED and result.candidate is None
    assert "stays" in result.reason and all(gate.passed for gate in result.report.gates)


def test_the_better_of_two_follows_its_lessons_more_often_or_else_is_nearer_to_the_base():
    far, near = (Standing(stick=0.8, kept_kl=kl, neutral_kl=0.01) for kl in (0.09, 0.02))
    better = far.model_copy(update={"stick": 0.9})
    assert _better(better, near, 0.03) and not _better(near, better, 0.03)
    assert _better(near, better, 0.2), "alike"
    assert not _better(near, near, 0.03)


def test_a_slot_is_not_trained_anew_where_a_lesson_would_be_lost(grown, plugins):
    odd = grown.known[0].model_copy(update={"steps": [Step(rewriter="gone", args={})]})
    result = run(grown.model_copy(update={"known": [odd, grown.known[1]]}), plugins, GENTLE)
    assert result.state is StudyState.REJECTED and "would be lost" in result.reason
