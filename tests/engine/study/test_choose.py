"""Prompts whose plain reply breaks a rule are looked for, taught and checked first."""

from __future__ import annotations

import dataclasses

import pytest

from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.choose import choose_prompts
from nightschool.engine.study.generate import Text
from nightschool.engine.study.plan import held_shares, make_plan, shares
from nightschool.engine.study.prompts import bank
from nightschool.engine.study.recipe import Recipe
from nightschool.engine.study.revise import _looked_at
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
SMALL = Step(rewriter="case", args={"to": "lower"})
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
    assert len(chosen(replies, SMALL).inside) == Recipe().spread


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


def others(count):
    """Rules that every plain reply breaks, all different."""
    return [Step(rewriter="closing", args={"text": f" Number {number}."}) for number in range(count)]


def with_known(known, new):
    """A plan of lessons that are known, and of those to be learned now, each with a condition of its own."""
    topics = ["travel", "cooking", "health", "sport", "money", "science", "history", "nature"]
    lessons = [
        Lesson(
            id=number, slot="science", state=LessonState.APPROVED, rule="r", steps=[step], when=f"I ask about {topic}"
        )
        for number, (step, topic) in enumerate(zip(others(known + new), topics, strict=False), 1)
    ]
    rewriters = PluginHost.load().collect("nightschool_rewriters")
    return make_plan(rewriters, lessons[:known], lessons[known:], dataclasses.replace(Recipe(), least_prompts=1))


def test_what_is_new_has_half_of_the_prompts_however_much_is_known():
    assert shares([True] * 4, 112) == [28] * 4
    assert shares([False] * 28 + [True] * 4, 112) == [2] * 28 + [14] * 4
    assert shares([False, True], 112) == [56, 56]
    assert shares([False] * 200 + [True], 112) == [1] * 200 + [56]
    assert shares([], 112) == []


def test_each_new_lesson_is_checked_on_enough_prompts_to_tell():
    recipe = Recipe()
    assert held_shares([True], recipe) == [recipe.held_out]
    assert held_shares([True] * 4, recipe) == [6] * 4
    assert held_shares([False] * 8 + [True] * 4, recipe) == [2] * 8 + [6] * 4
    assert held_shares([False] * 40 + [True], recipe) == [1] * 40 + [6]


def test_any_beginning_of_what_is_taught_is_about_every_lesson():
    plan = chosen_of(with_known(2, 2))
    first = plan.inside[:8]
    assert all(any(plan.asks(lesson, prompt) for prompt in first) for lesson in plan.lessons)


def test_the_second_round_looks_at_every_new_lesson_however_many_are_known():
    plan = chosen_of(with_known(5, 2))
    looked = _looked_at(plan, 6)
    new = [lesson for lesson in plan.lessons if lesson.id in plan.new]
    assert len(looked) == 6
    assert all(sum(plan.asks(lesson, prompt) for prompt in looked) >= 2 for lesson in new)


def chosen_of(plan):
    return choose_prompts(plan, Recipe(), Known(set(), shipped=True), lambda share: None)


class Naming(Known):
    """Each reply has a name of its own for every tenth prompt of the bank; all ship."""

    def __init__(self):
        super().__init__(set(), shipped=True)
        self.names = {prompt.text: f"N{chr(97 + place % 26)}{chr(97 + place // 26)}" for place, prompt in _tenths()}

    def reply(self, prompt):
        return Text(f"It is {self.names.get(prompt, 'good')}.", finished=True)


def _tenths():
    return list(enumerate(bank()[::10]))


@pytest.mark.parametrize(
    ("step", "all_of_them"), [(Step(rewriter="case", args={"to": "lower"}), True), (OPENING, False)]
)
def test_a_rule_of_letters_is_taught_where_most_words_change(step, all_of_them):
    replies = Naming()
    plan = chosen(replies, step)
    taught = {prompt.text for prompt in plan.inside}
    mine = {prompt.text for prompt in plan_of(step).inside} & replies.names.keys()
    assert len(mine) > 20
    assert (mine <= taught) is all_of_them
