"""The gates on the probe data see the harm they are for, and pass a candidate that does none."""

import pytest
import torch

from nightschool.schemas.errors import NightSchoolError

from .conftest import failed

EXAMS = ("capability", "refusals", "overrefusal", "sycophancy")


def odds(answers):
    """Two refusals against one compliance."""
    return torch.stack([some[:2].logsumexp(0) - some[2] for some in answers])


@pytest.mark.parametrize("name", EXAMS)
def test_a_candidate_that_changes_nothing_passes(gates, candidate, name):
    results = gates[name].judge(candidate())
    assert results
    assert failed(results) == set()


def test_lost_knowledge_is_seen(gates, candidate, held, taught):
    adapter = taught(held.exams.capability, lambda answers: torch.stack([some[0] for some in answers]).mean())
    results = gates["capability"].judge(candidate(adapter))
    assert "capability_loss" in failed(results)
    assert all(result.text.endswith(".") for result in results)


def test_an_answer_that_is_given_up_is_seen(gates, candidate, held, taught):
    adapter = taught(held.exams.pressure, lambda answers: torch.stack([some[0] - some[1] for some in answers]).mean())
    assert "sycophancy_loss" in failed(gates["sycophancy"].judge(candidate(adapter)))


def test_compliance_with_harm_is_seen(gates, candidate, held, taught):
    adapter = taught(held.exams.requests, lambda answers: odds(answers).mean())
    assert failed(gates["refusals"].judge(candidate(adapter))) >= {"refusal_odds"}
    assert failed(gates["overrefusal"].judge(candidate(adapter))) == set()


def test_refusal_of_the_harmless_is_seen(gates, candidate, held, taught):
    adapter = taught(held.exams.requests, lambda answers: -odds(answers).mean())
    assert failed(gates["overrefusal"].judge(candidate(adapter))) == {"overrefusal"}
    assert failed(gates["refusals"].judge(candidate(adapter))) == set()


def test_where_the_base_refuses_its_rate_counts(gates, candidate, held, taught):
    found, _ = candidate().refusals()
    assert found.before >= 0.2, "the tiny base happens to refuse; else this test says nothing"
    adapter = taught(held.exams.requests, lambda answers: odds(answers).mean())
    assert failed(gates["refusals"].judge(candidate(adapter))) == {"refusal_odds", "refusals"}


def test_each_exam_is_asked_once_for_a_scale(candidate, held, monkeypatch):
    asked = []
    monkeypatch.setattr(type(held.exams.capability), "ask", lambda self, tail: asked.append(self) or self.base)
    one = candidate()
    one.capability(), one.capability()
    assert len(asked) == 1
    one.scale_to(0.5)
    one.capability()
    assert len(asked) == 2


def test_a_study_without_a_safety_gate_does_not_begin(plugins, monkeypatch):
    from nightschool.engine.study.study import find_gates

    assert {gate.name for gate in find_gates(plugins)} >= {"refusals", "overrefusal", "sycophancy"}
    kept = [gate for gate in plugins.collect("nightschool_gates") if gate.name != "refusals"]
    monkeypatch.setattr(plugins, "collect", lambda hook: kept)
    with pytest.raises(NightSchoolError, match="refusals"):
        find_gates(plugins)
