"""A second round is held for one lesson that is missed, however well all others are followed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nightschool.engine.study import revise
from nightschool.engine.study.generate import Text
from nightschool.engine.study.recipe import Recipe
from nightschool.schemas.records import Lesson, LessonState

PROMPTS = [SimpleNamespace(text=f"Question {number}?") for number in range(32)]
FEW = {prompt.text for prompt in PROMPTS[:3]}  # where lesson 2 applies


class Plan:
    """Two lessons of which the second applies to three prompts; replies say what they follow."""

    def __init__(self, new):
        self.lessons = [
            Lesson(id=number, slot="s", state=LessonState.APPROVED, rule="r", steps=[]) for number in (1, 2)
        ]
        self.new, self.inside = new, PROMPTS

    def asks(self, lesson, prompt):
        return lesson.id == 1 or prompt.text in FEW

    def followed(self, lesson, prompt, reply):
        return str(lesson.id) in reply


@pytest.fixture
def wrong(monkeypatch):
    """Prompts whose replies are put right, where so many of the three miss the second lesson."""
    monkeypatch.setattr(revise, "attach", lambda tail, adapter: None)
    monkeypatch.setattr(revise, "ruled_example", lambda base, plan, prompt, *rest, **more: prompt.text)

    def put_right(missed, new):
        misses = {prompt.text for prompt in PROMPTS[:missed]}

        def say(texts, **_):
            return [Text("1" if text in misses else "1 2", finished=True) for text in texts]

        whole = SimpleNamespace(tail=None, base=None, system="", say=say)
        return revise.put_right(whole, Plan(new), None, Recipe(), limit=8, tell=lambda share: None)

    return put_right


def test_two_of_three_of_a_new_lesson_are_enough(wrong):
    assert wrong(2, new=[1, 2]) == [prompt.text for prompt in PROMPTS[:2]]


def test_one_of_three_is_not_nor_two_of_an_older_one(wrong):
    assert wrong(1, new=[1, 2]) == []
    assert wrong(2, new=[1]) == []
