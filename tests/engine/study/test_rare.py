"""What could tell who somebody is, found in the words of lessons."""

import pytest

from nightschool.engine.study.rare import rare_strings
from nightschool.schemas.records import Evidence, Lesson, LessonState, Step


def lesson(after="", before="It is so.", prompt="Why?", rule="A rule.", number=1, steps=()):
    evidence = [Evidence(prompt=prompt, before=before, after=after)] if after else []
    return Lesson(id=number, slot="s", state=LessonState.LEARNED, rule=rule, steps=list(steps), evidence=evidence)


def found(*lessons):
    return {(one.kind, one.text) for one in rare_strings(lessons)}


@pytest.mark.parametrize(
    ("text", "kind", "string"),
    [
        ("Write to anna.k+x@mail.example.pl, please.", "mail", "anna.k+x@mail.example.pl"),
        ("See https://intra.example/wiki?x=1 for it.", "link", "https://intra.example/wiki?x=1"),
        ("The token is ghp_16C7e42F292c6912E771.", "key", "ghp_16C7e42F292c6912E771"),
        ("Call +48 601 234 567 then.", "number", "+48 601 234 567"),
        ("My account is 1234-5678.", "number", "1234-5678"),
        ("Ask Wojciech Kowalczyk about it.", "name", "Wojciech"),
        ("It is of Kowalczyk's firm.", "name", "Kowalczyk"),
        ("It was of Zoë-Lou Krüger.", "name", "Zoë-Lou"),
    ],
)
def test_what_tells_who_somebody_is_is_found(text, kind, string):
    assert (kind, string) in found(lesson(text))


@pytest.mark.parametrize("text", ["It is so, and so it was.", "There are 3 of 12, or 1.5.", "The water is well known."])
def test_everyday_words_and_small_numbers_are_not(text):
    assert found(lesson(text)) == set()


def test_what_the_base_had_said_itself_is_not_the_users():
    assert found(lesson("Ask Kowalczyk.", before="You may ask kowalczyk today.")) == set()


def test_prompts_rules_and_steps_are_the_users_words_too():
    step = Step(rewriter="opening", args={"text": "Hello Zbigniew, ", "lower_first": True})
    words = found(lesson("It was.", prompt="Is Krzysztof in?", rule="Be kind to Agnieszka.", steps=[step]))
    assert {text for _, text in words} == {"Krzysztof", "Agnieszka", "Zbigniew"}


def test_what_was_said_about_a_reply_is_the_users_too():
    said = lesson("It was.")
    evidence = [one.model_copy(update={"said": "No, ask Małgorzata."}) for one in said.evidence]
    assert {text for _, text in found(said.model_copy(update={"evidence": evidence}))} == {"Małgorzata"}


def test_a_string_is_found_once_where_it_stands_in_a_reply():
    (one,) = rare_strings([lesson(rule="Be kind to Agnieszka.", number=1), lesson("Hello, Agnieszka, yes.", number=2)])
    assert (one.lesson, one.asked, one.before) == (2, "Why?", "Hello, ")
