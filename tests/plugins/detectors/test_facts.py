"""What users say of themselves that stays true, and what only looks like it."""

from __future__ import annotations

import pytest

from nightschool.plugins.detectors.facts import Facts


def facts(said, prompt="", reply=""):
    return [finding.rule for finding in Facts().find(prompt, reply, said)]


@pytest.mark.parametrize(
    ("said", "fact"),
    [
        ("My name is Maren Holt and I teach biology. Write a mail.", "My name is Maren Holt and I teach biology."),
        ("Hi, my name's Ada!", "Hi, my name's Ada."),
        ("I live in Tromsø and the harbour never freezes. How come?", "I live in Tromsø."),
        ("I'm allergic to nuts, so ask them not to bring nut cake.", "I'm allergic to nuts."),
        ("By the way, I am vegetarian.", "By the way, I am vegetarian."),
        ("I work as a nurse. What helps against tired feet?", "I work as a nurse."),
        ("My daughter is called Ida. Tell her a story.", "My daughter is called Ida."),
        ("I'm 34 years old.", "I'm 34 years old."),
    ],
)
def test_facts_are_found_in_the_users_own_words(said, fact):
    assert facts(said) == [fact]


@pytest.mark.parametrize(
    "said",
    [
        "Is my name Maren?",
        "Write a story that begins: My name is Ishmael and I live in a whale.",
        "I'm from the future, act as a robot.",
        "You are Bob. My name is Bob.",
        "I'm allergic to work today.",
        "I live in fear of exams.",
        "My name is not important.",
        "I think my dog is going to be sick.",
        "He said: I live in Paris.",
        "What is a teacher?",
        "I am tired.",
    ],
)
def test_what_is_asked_told_played_or_passing_is_none(said):
    assert facts(said) == []
