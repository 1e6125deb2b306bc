import re

import pytest

from nightschool.engine.study import prompts
from nightschool.engine.study.conditions import understand
from nightschool.engine.study.prompts import Prompt, bank, divide, in_scope, neutral, normal


def texts(some):
    return {normal(prompt.text) for prompt in some}


def in_bank(when):
    return [prompt for prompt in bank() if in_scope(when, prompt)]


def test_bank_is_large_and_has_no_prompt_twice():
    assert len(bank()) >= 400
    assert len(texts(bank())) == len(bank())


def test_every_prompt_has_a_form_and_only_known_tags():
    for prompt in bank():
        assert prompt.tags & prompts.FORMS, prompt.text
        assert prompt.tags <= prompts.TAGS, prompt.text
        assert prompt.text == prompt.text.strip()


@pytest.mark.parametrize("length", [16, 32])
def test_any_beginning_of_the_bank_is_diverse(length):
    forms = {form for prompt in bank()[:length] for form in prompt.tags & prompts.FORMS}
    assert len(forms) >= 8
    openings = {prompt.text.split()[0].lower() for prompt in bank()[:length]}
    assert len(openings) >= length // 3


def test_bank_is_disjoint_from_every_benchmark_case(cases):
    known = texts(bank())
    for case in cases:
        for text in case.prompts():
            assert normal(text) not in known, f"{case.id}: {text}"


def test_neutral_prose_is_long_and_in_passages():
    passages = neutral()
    assert sum(len(passage.split()) for passage in passages) >= 5000
    assert all(120 <= len(passage.split()) <= 250 for passage in passages)
    assert len(set(passages)) == len(passages)


def test_prompts_divide_into_two_parts_without_a_common_one():
    divided = divide(bank(), seed=3)
    assert not texts(divided.train) & texts(divided.held_out)
    assert texts(divided.train) | texts(divided.held_out) == texts(bank())
    assert 0.2 < len(divided.held_out) / len(bank()) < 0.4


def test_a_prompts_side_does_not_depend_on_order_or_company():
    whole = texts(divide(bank(), seed=3).held_out)
    part = tuple(reversed(bank()[::2]))
    assert texts(divide(part, seed=3).held_out) == whole & texts(part)


def test_two_spellings_of_one_prompt_fall_on_the_same_side():
    for prompt in bank()[:40]:
        shouted = Prompt(f"  {prompt.text.upper()} ")
        divided = divide([prompt, shouted], seed=1)
        assert len(divided.train) in (0, 2)


def test_another_seed_divides_otherwise():
    assert divide(bank(), seed=1).held_out != divide(bank(), seed=2).held_out


@pytest.mark.parametrize(
    ("when", "inside", "outside"),
    [
        ("you explain a concept", "What is evaporation?", "Hi!"),
        ("explaining concepts", "How do airplanes fly?", "What is 12 plus 30?"),
        ("I ask for a recipe", "How do I make pancakes?", "How do I change a flat tire?"),
        ("answering code questions", "How do I sort a list of numbers in Python?", "Who was Rosa Parks?"),
        ("I ask you to write code", "Write a Python function that adds two numbers.", "Write a poem about friendship."),
        ("you write a poem", "Write a haiku about the sea.", "Write a ghost story in three sentences."),
        ("I say hello", "Hi!", "What is jazz?"),
        ("you give advice", "How often should I change my passwords?", "Hi!"),
        ("I ask about history", "Who was Cleopatra?", "How do I make pancakes?"),
        ("I ask how to do something", "How do I change a flat tire?", "What is jazz?"),
        ("I ask how something works", "How do airplanes fly?", "How do I change a flat tire?"),
        ("I don't ask for code", "What is jazz?", "What is a pointer in C?"),
        ("I don\u2019t ask for code", "What is jazz?", "What is a pointer in C?"),
        ("I ask a question", "Who was Cleopatra?", "Good night!"),
        ("Translating", 'Translate "thank you" into Spanish.', "What is 9 times 6?"),
    ],
)
def test_condition_in_the_users_words_finds_its_prompts(when, inside, outside):
    by_text = {prompt.text: prompt for prompt in bank()}
    assert in_scope(when, by_text[inside]) is True
    assert in_scope(when, by_text[outside]) is False


def test_form_and_topic_must_both_hold():
    found = in_bank("you explain something about science")
    assert found
    assert all({"explain", "science"} <= prompt.tags for prompt in found)


def test_alternatives_of_one_kind_are_all_in_scope():
    both = set(in_bank("I ask for a poem or a story"))
    assert both == set(in_bank("I ask for a poem")) | set(in_bank("I ask for a story"))


@pytest.mark.parametrize(
    "when",
    ["it is raining", "I mention my dog Rex", "you answer", "I ask a yes/no question", "you write code but not Python"],
)
def test_condition_that_the_tags_cannot_tell_is_left_undecided(when):
    assert understand(when) is None
    assert in_scope(when, bank()[0]) is None


def test_no_condition_means_every_prompt():
    assert all(in_scope(" ", prompt) for prompt in bank())


@pytest.mark.parametrize(
    "when",
    ["you explain a concept", "I ask for a recipe", "you give advice", "you answer code questions", "you describe it"],
)
def test_common_conditions_leave_enough_to_train_and_to_check_on(when):
    divided = divide(in_bank(when), seed=0)
    assert len(divided.train) >= 8
    assert len(divided.held_out) >= 3


def test_bank_asks_the_words_that_its_question_tag_claims():
    for prompt in bank():
        if re.search(r"\?$", prompt.text):
            assert "question" in prompt.tags, prompt.text
