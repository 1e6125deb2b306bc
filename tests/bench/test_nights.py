"""The pool of lessons of the simulated nights, and what the figures of a night come to."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest

from nightschool.bench import nights
from nightschool.bench.checks import holds, load_cases, rewrite
from nightschool.bench.nights import deal, kept, summary, telling
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.lessons import find_corrections
from nightschool.engine.study.plan import make_plan
from nightschool.engine.study.prompts import bank, normal
from nightschool.engine.study.recipe import Recipe
from nightschool.engine.study.relations import relations
from nightschool.schemas import messages as ask
from nightschool.schemas.records import Lesson, LessonState
from nightschool.tui.scripted import ScriptedEngine

POOL = load_cases(Path(__file__).parents[2] / "bench" / "data" / "nights.jsonl")


@pytest.fixture(scope="module")
def plugins():
    return PluginHost.load(third_party=False)


@pytest.fixture(scope="module")
def lessons(plugins):
    """What each person of the pool teaches, as the detectors read it."""
    found = []
    for number, case in enumerate(POOL, start=1):
        drafts = [draft for draft in find_corrections(plugins, "Hello?", "Hello.", case.say) if draft.rule]
        assert len(drafts) == 1, case.id
        (draft,) = drafts
        assert draft.state is LessonState.APPROVED, f"{case.id}: {draft.reason}"
        fields = {"slot": "science", "state": draft.state, "rule": draft.rule, "created": number}
        found.append(Lesson(id=number, steps=draft.steps, when=draft.when, **fields))
    return found


def test_there_are_enough_lessons_for_fourteen_nights_of_four(lessons):
    assert len(lessons) >= 60


def test_every_lesson_can_be_taught_and_none_contradicts_another(lessons, plugins):
    rewriters = plugins.collect("nightschool_rewriters")
    plan = make_plan(rewriters, [], lessons, Recipe())
    assert not plan.unlearnable
    assert not relations(rewriters, lessons)


def test_the_persons_edit_follows_the_rule():
    for case in POOL:
        said = "An essential, important point! It is; so we must create ways to help, says everyone. The end of it."
        assert holds(case.check, rewrite(case.rewrite, said)), case.id


def test_what_is_asked_was_never_trained_on():
    known = {normal(prompt.text) for prompt in bank()}
    assert known.isdisjoint(normal(text) for case in POOL for text in case.prompts())


def test_lessons_are_dealt_to_nights_without_taking_one_twice():
    spent = deal(POOL, nights=14, fewest=3, most=5, seed=0)
    dealt = [case.id for night in spent for case in night]
    assert len(spent) == 14 and len(set(dealt)) == len(dealt)
    assert {len(night) for night in spent} == {3, 4, 5}
    assert deal(POOL, nights=2, fewest=1, most=1, seed=0)[0] == deal(POOL, nights=9, fewest=1, most=1, seed=0)[0]


def test_a_lesson_is_asked_where_the_plain_base_breaks_it_if_there_are_such_prompts():
    case = next(case for case in POOL if case.id == "say-vital")
    replies = dict.fromkeys(case.probes, "It is vital.") | {case.probes[3]: "It is essential."}
    assert telling(case, replies, most=4)[0] == case.probes[3] and len(telling(case, replies, most=4)) == 4


def test_what_is_kept_is_the_share_of_what_stuck_at_first():
    first = {"a": 1.0, "b": 0.5, "c": 0.0}
    assert kept(first, {"a": 0.5, "b": 0.5, "c": 0.0}) == pytest.approx(0.75), "what never stuck cannot be lost"
    assert kept(first, {"a": 1.0, "b": 1.0, "c": 1.0}) == 1.0, "what is followed more often is not counted twice"
    assert kept({}, {}) is None


def test_the_summary_has_the_worst_night_and_the_growth():
    rows = [
        {"night": n, "minutes_per_night": 2.0 + n, "older_kept": None if n == 1 else 1.0 - n / 100, "peak_mb": 500 + n}
        for n in (1, 2, 3)
    ]
    found = summary(rows)
    assert found["minutes_per_night"] == 4.0 and found["older_kept"] == pytest.approx(0.975)
    assert found["older_kept_least"] == pytest.approx(0.97) and found["peak_mb"] == 503
    assert found["minutes_growth"] == pytest.approx(5.0 / 3.0)


class FakeScale:
    """A base that follows none of the rules."""

    base = None

    def __init__(self, model):
        pass

    def write(self, prompts, limit, adapter=None):
        return ["It is essential!"] * len(prompts)


async def test_nights_are_spent_one_after_the_other_through_an_engine(monkeypatch, tmp_path):
    engine = ScriptedEngine()
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path))
    monkeypatch.setattr(nights, "EngineClient", lambda home, model: engine)
    monkeypatch.setattr(nights, "Scale", FakeScale)
    monkeypatch.setattr(nights, "SlotStore", lambda folder: SimpleNamespace(adapter_folder=lambda slot: None))
    monkeypatch.setattr(nights, "prompt_tokens", lambda base, prompt: prompt)
    rows = []
    options = argparse.Namespace(model="", probes=2, rebuild=0)
    vital, other = POOL[0], next(case for case in POOL if case.id == "open-recipe")
    vital = vital.model_copy(update={"say": "Always say vital."})  # what the script reads as a rule; not the other one
    await nights.spend([[vital], [other]], options, rows.append)
    assert [row["accepted"] for row in rows] == [True, False] and "nothing to study" in rows[1]["reason"]
    assert [row["night"] for row in rows] == [1, 2] and rows[0]["older_kept"] is None
    assert [row["known"] for row in rows] == [1, 2] and rows[1]["new_stick"] == 0.0
    said = [request.text for request in engine.asked if isinstance(request, ask.SendMessage)]
    assert said == [vital.teach[0], vital.say, other.teach[0], other.say]
    assert sum(isinstance(request, ask.RunNight) for request in engine.asked) == 2
    assert summary(rows)["nights"] == 2
