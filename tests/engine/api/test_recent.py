"""Completions are remembered for a while, for the key that asked, and within a bound."""

from __future__ import annotations

import pytest

from nightschool.engine.api.recent import SECONDS, Completion, Recent
from nightschool.engine.api.refusal import Refusal
from nightschool.schemas.records import Answered, Finish, GivenTurn, Role


def completion(name, made=0.0, text="Paris."):
    turns = (GivenTurn(role=Role.USER, text="Hello"),)
    return Completion(name, "editor", "science", turns, Answered(text=text, finish=Finish.STOP, tokens=1), made)


def test_it_is_found_by_the_key_that_asked_as_long_as_it_is_young():
    now = [0.0]
    recent = Recent(lambda: now[0])
    recent.add(completion("one"))
    now[0] = SECONDS - 1
    assert recent.find("editor", "one").id == "one"
    with pytest.raises(Refusal):
        recent.find("guest", "one")
    now[0] = SECONDS + 1
    with pytest.raises(Refusal) as caught:
        recent.find("editor", "one")
    assert (caught.value.status, caught.value.code) == (404, "completion_not_found")


def test_the_oldest_make_room():
    recent = Recent(lambda: 0.0, most=100)
    for name in ("one", "two", "three"):
        recent.add(completion(name, text="x" * 40))
    assert recent.find("editor", "three") and recent.find("editor", "two")
    with pytest.raises(Refusal):
        recent.find("editor", "one")
    recent.add(completion("huge", text="x" * 200))
    with pytest.raises(Refusal):
        recent.find("editor", "huge")
