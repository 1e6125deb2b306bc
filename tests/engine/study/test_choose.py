"""Prompts whose plain reply breaks a rule are looked for, taught and checked first."""

from __future__ import annotations

import pytest

from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.choose import choose_prompts
from nightschool.engine.study.generate import Text
from nightschool.engine.study.plan import make_plan
from nightschool.engine.study.prompts import bank
from nightschool.engine.study.recipe import Recipe
from nightschool.schemas.records import Evidence, Lesson, LessonState, Step


class Known:
    """Replies without a model: those to some prompts hold a word, all are plain prose; all ship, or none."""

    def __init__(self, with_word, shipped=False):
        self.with_word, self.asked, self.shipped = with_word, [], shipped

    def ships(self, prompt):
        return self.shipped

    def compute(self, prompts, tell):
        self.asked += [prompt for prompt in prompts if prompt not in self.asked]
        tell(1.0)

    def reply(self, prompt):
        return Text("It is essential." if prompt in self.with_word else "It is good.", finished=True)


def plan_of(*steps):
    evidence = [Evidence(prompt="Why?", before="It is.", after="It was.")]
    lessons = [
        Lesson(id=number, slot="science", state=LessonState.APPROVED, rule="r", steps=[step], evidence=evidence)
        for number, step in enumerate(steps, 1)
    ]
    return make_plan(PluginHost.load().collect("nightschool_rewriters"), [], lessons, Recipe())


WORD = Step(rewriter="terms", args={"from": "essential", "to": "vital"})
OPENING = Step(rewriter="opening", args={"text": "Captain, ", "lower_first": True})


def chosen(replies, *steps):
    told = []
    plan = choose_prompts(plan_of(*steps), Recipe(), replies, told.append)
    assert told == sorted(told)
    assert 0 < told[-1] <= 1
    return plan


def test_a_rule_that_every_reply_breaks_asks_for_no_more_than_it_needs():
    replies = Known(set())
    plan = chosen(replies, OPENING)
    assert len(plan.inside) == Recipe().spread
    assert len(replies.asked) == Recipe().spread + Recipe().held_out


def test_a_rule_that_changes_every_word_is_taught_on_more_prompts():
    replies = Known(set())
    assert len(chosen(replies, Step(rewriter="case", args={"to": "upper"})).inside) == Recipe().spread_all
    assert len(chosen(replies, Step(rewriter="case", args={"to": "lower"})).inside) == Recipe().spread


def test_a_rare_word_is_looked_for_further_down():
    rare = {prompt.text for prompt in bank()[::9]}
    replies = Known(rare)
    plan = chosen(replies, WORD)
    telling = [prompt.text in rare for prompt in plan.inside]
    assert sum(telling) > Recipe().spread / 6
    assert telling == sorted(telling, reverse=True)
    assert len(replies.asked) <= Recipe().searched * (Recipe().spread + Recipe().held_out)


def test_where_replies_ship_the_whole_bank_is_looked_through():
    rare = {prompt.text for prompt in bank()[::20]}
    found = [
        sum(prompt.text in rare for prompt in chosen(Known(rare, shipped), WORD).inside) for shipped in (False, True)
    ]
    assert found[1] == sum(prompt.text in rare for prompt in plan_of(WORD).inside) > found[0]


@pytest.mark.parametrize(("every", "alone"), [(2, True), (200, False)])
def test_lessons_are_checked_on_replies_that_break_them_where_there_are_some(every, alone):
    rare = {prompt.text for prompt in bank()[::every]}
    held = [prompt.text in rare for prompt in chosen(Known(rare), WORD).held_inside]
    assert all(held) is alone
    assert len(held) >= Recipe().least_telling


def test_each_of_two_lessons_gets_its_share():
    rare = {prompt.text for prompt in bank()[::3]}
    inside = chosen(Known(rare), OPENING, WORD).inside
    assert sum(prompt.text in rare for prompt in inside) >= Recipe().telling * Recipe().spread / 2
