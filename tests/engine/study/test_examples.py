"""Examples name the tokens that a rule exchanges wherever they would be said."""

from __future__ import annotations

import pytest

from nightschool.engine.chat.prompt import encode
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.examples import exchanges
from nightschool.engine.study.plan import make_plan
from nightschool.engine.study.prompts import bank
from nightschool.engine.study.recipe import Recipe
from nightschool.schemas.records import Evidence, Lesson, LessonState, Step


def plan_of(*steps):
    evidence = [Evidence(prompt="Why?", before="It is.", after="It was.")]
    lesson = Lesson(
        id=1, slot="science", state=LessonState.APPROVED, rule="r", steps=list(steps), evidence=evidence, when=""
    )
    return make_plan(PluginHost.load().collect("nightschool_rewriters"), [], [lesson], Recipe())


@pytest.mark.model
def test_a_word_of_one_token_is_exchanged_inside_and_at_a_beginning(default_base):
    plan = plan_of(Step(rewriter="terms", args={"from": "essential", "to": "vital"}))
    found = dict(exchanges(default_base, plan, bank()[0]))
    for old, new in ((" essential", " vital"), (" Essential", " Vital")):
        (token,) = encode(default_base, old)
        assert found[token] == encode(default_base, new)[0]


@pytest.mark.model
def test_a_word_that_is_only_removed_has_no_successor(default_base):
    plan = plan_of(Step(rewriter="terms", args={"from": "essential", "to": ""}))
    assert set(dict(exchanges(default_base, plan, bank()[0])).values()) == {-1}


@pytest.mark.model
def test_other_rules_and_phrases_exchange_nothing(default_base):
    opening = Step(rewriter="opening", args={"text": "Captain, ", "lower_first": True})
    phrase = Step(rewriter="terms", args={"from": "in order to", "to": "to"})
    assert exchanges(default_base, plan_of(opening, phrase), bank()[0]) == ()
