"""What follows a surprise each time is guessed; what follows it otherwise is not."""

from __future__ import annotations

import pytest

from nightschool.engine.chat.habits import Habits, Said, write_phrases
from nightschool.engine.slots.generations import PHRASES
from nightschool.schemas.errors import Damaged

PROMPT = [1, 2, 3]
STAY, CURIOUS, BANG = 50, 51, 52


def hear(habits, *tokens, prompt=PROMPT):
    """Have a reply: numbers of at least 50 are surprising."""
    habits.begin(prompt)
    for token in tokens:
        habits.add(token, surprising=token >= 50)
    habits.end()


def next_after(habits, *tokens, prompt=PROMPT):
    """What is guessed after the last of some tokens."""
    habits.begin(prompt)
    for token in tokens:
        habits.add(token, surprising=token >= 50)
    return habits.guess()


def test_a_phrase_is_known_after_it_was_said_twice():
    habits = Habits()
    hear(habits, 10, 11, 12, STAY, CURIOUS, BANG)
    assert next_after(habits, 20, 12, STAY) == []
    habits.end()
    hear(habits, 14, 12, STAY, CURIOUS, BANG)
    assert next_after(habits, 20, 12, STAY) == [CURIOUS, BANG]
    assert next_after(habits, 20, 12, STAY, CURIOUS) == [BANG]
    assert next_after(habits, 20, 21) == []


def test_a_phrase_is_known_by_its_first_word_in_another_place():
    habits = Habits()
    for before in (10, 11, 12):
        hear(habits, before, STAY, CURIOUS, BANG)
    assert next_after(habits, 14, STAY) == [CURIOUS, BANG]


def test_only_what_was_the_same_each_time_is_guessed():
    habits = Habits()
    hear(habits, 10, STAY, CURIOUS, 60, 61)
    hear(habits, 10, STAY, CURIOUS, 70, 71)
    hear(habits, 10, STAY, CURIOUS, 60, 61)  # and never again
    assert next_after(habits, 10, STAY) == [CURIOUS]
    hear(habits, 10, STAY, 99)
    assert next_after(habits, 10, STAY) == []


def test_words_that_were_to_be_guessed_belong_to_a_phrase_between_others_alone():
    habits = Habits()
    for _ in range(2):
        hear(habits, 10, STAY, 20, CURIOUS, 21, 22, 23, 24)
    assert next_after(habits, 10, STAY) == [20, CURIOUS]
    for _ in range(2):
        hear(habits, 11, 60, 20, 21, 22, 90)
    assert next_after(habits, 11, 60) == []  # three in a row were known to who guessed


def test_the_first_words_of_a_reply_are_a_phrase_once_they_were_said_twice():
    habits = Habits()
    hear(habits, STAY, CURIOUS, 20, 21, 22)
    assert next_after(habits) == []
    hear(habits, STAY, CURIOUS, 23, 24, 25)
    assert next_after(habits) == [STAY, CURIOUS]
    hear(habits, 20, 21, 22)
    assert next_after(habits) == []


def test_a_reply_that_ends_in_a_phrase_says_nothing_against_it():
    habits = Habits()
    for _ in range(2):
        hear(habits, 10, STAY, CURIOUS, BANG)
    hear(habits, 10, STAY)
    assert next_after(habits, 10, STAY) == [CURIOUS, BANG]


def test_the_oldest_phrases_are_forgotten(monkeypatch):
    monkeypatch.setattr("nightschool.engine.chat.habits._KEPT", 4)
    habits = Habits()
    hear(habits, 10, STAY, CURIOUS)
    for token in range(100, 110):
        hear(habits, 10, token)
    assert next_after(habits, 10, STAY) == []
    assert len(habits._habits) == 4


def test_what_a_study_heard_is_known_from_the_first_reply_on(tmp_path):
    write_phrases(tmp_path, [Said(after=[2, 3], tokens=[10, STAY, CURIOUS, BANG], surprising=[1, 2, 3])] * 2)
    habits = Habits.of([tmp_path, tmp_path / "without"])
    assert next_after(habits, 10, STAY) == [CURIOUS, BANG]


def test_phrases_that_do_not_read_back_are_said(tmp_path):
    (tmp_path / PHRASES).write_text("[{")
    with pytest.raises(Damaged, match="study again"):
        Habits.of([tmp_path])
