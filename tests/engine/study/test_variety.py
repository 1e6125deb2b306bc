"""The prompts that show most words come first, and each counts by what it adds."""

from __future__ import annotations

from nightschool.engine.study.prompts import Prompt
from nightschool.engine.study.variety import varied

REPLIES = {
    "one name": "It was Ada.",
    "the same name again, and no other": "It was Ada. It was Ada, and Ada once more.",
    "two others": "It was Berta and Clara.",
    "no name": "it was nobody.",
}
PROMPTS = [Prompt(text) for text in REPLIES]


def order(count):
    return [prompt.text for prompt in varied(PROMPTS, lambda prompt: REPLIES[prompt.text], str.lower, count)]


def test_each_prompt_is_the_one_that_shows_most_words_which_were_not_shown():
    assert order(2) == ["two others", "one name"]


def test_no_more_are_given_than_there_are_and_none_twice():
    assert sorted(order(9)) == sorted(REPLIES)
    assert varied([PROMPTS[0]] * 3, lambda prompt: "Ada", str.lower, 3) == [PROMPTS[0]]
