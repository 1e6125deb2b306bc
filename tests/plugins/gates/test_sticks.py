"""What must be followed, and how much of what was followed may be lost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nightschool.engine.study.recipe import Recipe
from nightschool.plugins.gates.sticks import Sticks
from nightschool.schemas.records import LessonOutcome


def judged(*outcomes, new=()):
    """Return what the gate says of lessons, each ``(before, after, asked)``, numbered from 1."""
    found = [
        LessonOutcome(lesson=number, rule="Rule.", before=before, after=after, asked=asked)
        for number, (before, after, asked) in enumerate(outcomes, start=1)
    ]
    plan = SimpleNamespace(new=list(new))
    candidate = SimpleNamespace(recipe=Recipe(), held=SimpleNamespace(plan=plan), outcomes=lambda: found)
    return Sticks().judge(candidate)


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [
        (0.0, 0.29, False),
        (0.0, 0.31, True),
        (0.4, 0.6, False),  # three tenths more are asked for
        (0.4, 0.71, True),
        (0.91, 0.91, True),  # who follows it anyway cannot show that it was learned
        (1.0, 0.85, True),
        (1.0, 0.7, False),
    ],
)
def test_a_new_lesson_sticks_where_it_is_followed_more_or_enough(before, after, passed):
    (result,) = judged((before, after, 13), new=[1])
    assert (result.name, result.passed, result.lesson) == ("sticks", passed, 1)


@pytest.mark.parametrize(
    ("asked", "after", "passed"),
    [(2, 0.5, True), (2, 0.0, False), (4, 0.75, True), (4, 0.5, False), (20, 0.8, True), (20, 0.75, False)],
)
def test_of_an_older_lesson_one_reply_may_be_lost_or_a_fifth(asked, after, passed):
    result = judged((1.0, after, asked), (1.0, 1.0, 1000))[0]
    assert (result.name, result.passed, result.lesson) == ("remembers", passed, 1)


def test_all_older_lessons_together_may_lose_a_tenth():
    """Each of them by itself has lost no more than it may."""
    many = [(1.0, 0.5, 2)] * 6
    *each, together = judged(*many, (1.0, 1.0, 6))
    assert all(result.passed for result in each)
    assert (together.name, together.passed, together.lesson) == ("remembers", False, None)
    assert together.value == pytest.approx((6 * 1 + 6) / 18)
    assert judged(*many[:1], (1.0, 1.0, 30))[-1].passed


def test_of_new_lessons_alone_nothing_is_remembered():
    assert [result.name for result in judged((0.0, 1.0, 12), new=[1])] == ["sticks"]
