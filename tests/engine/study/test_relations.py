"""Which lessons say the same, and of which only one can be followed."""

from __future__ import annotations

import pytest

from nightschool.engine.study import compose
from nightschool.engine.study.lessons import lesson_from_rule
from nightschool.engine.study.relations import relations
from nightschool.schemas.records import Lesson, LessonState, RelationKind


@pytest.fixture
def related(plugins):
    rewriters = plugins.collect("nightschool_rewriters")

    def relate(*rules, **changes):
        lessons = []
        for number, rule in enumerate(rules, start=1):
            draft = lesson_from_rule(plugins, rule)
            assert draft.steps, rule
            fields = {"id": number, "slot": "science", "state": LessonState.APPROVED, "rule": rule, "created": number}
            lessons.append(Lesson(**{**fields, **changes}, steps=draft.steps, when=draft.when))
        return [(found.kind, found.earlier, found.later) for found in relations(rewriters, lessons)]

    return relate


SAME, AGAINST = RelationKind.SAME, RelationKind.CONTRADICTS


def test_the_same_in_other_words_and_other_marks_is_the_same(related):
    assert related('Start every reply with "Captain,".', 'Please always begin with "captain:"') == [(SAME, 1, 2)]


def test_two_lengths_two_openings_and_two_cases_contradict_each_other(related):
    assert related("Answer in one sentence.", "Answer in at most three sentences.") == [(AGAINST, 1, 2)]
    assert related('Start every reply with "Captain,".', 'Start every reply with "Doctor,".') == [(AGAINST, 1, 2)]
    assert related("Write everything in lowercase.", "Write in capital letters only.") == [(AGAINST, 1, 2)]


def test_words_that_are_exchanged_and_exchanged_back_contradict_each_other(related, plugins):
    rules = 'Say "vital" instead of "essential".', 'Say "essential" instead of "vital".'
    assert related(*rules) == [(AGAINST, 1, 2)]
    old, new = (lesson_from_rule(plugins, rule).steps for rule in rules)
    assert compose.merge(plugins.collect("nightschool_rewriters"), old, new) == new


def test_what_can_both_be_followed_is_no_contradiction(related):
    assert not related("Answer in one sentence.", 'Start every reply with "Captain,".', "Never use the word 'vital'.")
    assert not related("Answer in at most two sentences.", "Answer in at most 40 words.")


def test_rules_for_prompts_that_never_meet_do_not_contradict_each_other(related):
    recipe, code = (f'When I ask {what}, start with "{text}".' for what, text in (
        ("for a recipe", "Chef's note:"), ("a question about code", "In plain words:")
    ))  # fmt: skip
    assert not related(recipe, code)
    assert related(recipe, 'Start every reply with "Captain,".') == [(AGAINST, 1, 2)]


def test_what_is_dismissed_asks_for_nothing(related):
    assert not related("Answer in one sentence.", "Answer in one sentence.", state=LessonState.DISMISSED)
