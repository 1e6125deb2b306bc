"""Callers that bring their whole history find what was read of it, and leave each other's alone."""

from __future__ import annotations

import asyncio

import pytest

from nightschool.engine.chat.chat import Chat, Turn
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role

LONG = "Tell me all about the sea, its tides, its depth, and who lives there. " * 2


@pytest.fixture
def chat(tiny_base, tmp_path):
    return Chat(tiny_base, LocalProvider(tiny_base), 2, tmp_path / "shelf")


def ask(chat, *texts, conversation=None, system=""):
    roles = [Role.USER, Role.ASSISTANT] * len(texts)
    turns = [Turn(role, text) for role, text in zip(roles, texts, strict=False)]
    return asyncio.run(
        chat.reply(
            conversation,
            turns,
            system=system,
            adapter=None,
            sampling=Sampling(max_tokens=4),
            on_text=lambda text: None,
            cancelled=lambda: False,
        )
    )


def test_a_history_that_grows_is_read_once(chat):
    first = ask(chat, LONG)
    assert (first.held, first.asked > len(LONG)) == (0, True)
    second = ask(chat, LONG, first.text, "And?")
    assert second.held >= first.asked
    assert second.asked - second.held < 40
    assert chat.computed < second.asked + 16  # and not twice


def test_the_reply_is_that_of_a_fresh_start(chat, tiny_base):
    first = ask(chat, LONG)
    ask(chat, "Something else.")
    fresh = Chat(tiny_base, LocalProvider(tiny_base), 2)
    assert ask(chat, LONG, first.text, "And?") == ask(fresh, LONG, first.text, "And?")


def test_the_same_question_again_reads_hardly_anything(chat):
    first = ask(chat, LONG)
    again = ask(chat, LONG)
    assert again.text == first.text
    assert again.held == again.asked - 1


def test_two_chats_in_turn_keep_what_each_has_read(chat):
    one, other = ask(chat, LONG), ask(chat, LONG.upper())
    assert ask(chat, LONG, one.text, "And?").held >= one.asked
    assert ask(chat, LONG.upper(), other.text, "And?").held >= other.asked


def test_another_chat_with_the_same_short_beginning_does_not_take_the_place_of_a_long_one(chat):
    one = ask(chat, LONG, system="Be brief.")
    ask(chat, "Hello", system="Be brief.")
    assert ask(chat, LONG, one.text, "And?", system="Be brief.").held >= one.asked


def test_the_one_not_used_for_longest_makes_room(chat):
    questions = [LONG.replace("sea", word) + word * 60 for word in ("A", "B", "C", "D")]
    asked = [f"{number}{question}" for number, question in enumerate(questions)]
    for question in asked:
        ask(chat, question)
    assert ask(chat, asked[3]).held > 100
    assert ask(chat, asked[1]).held > 100
    assert ask(chat, asked[0]).held < 30


def test_nothing_of_it_goes_to_the_disk(chat, tmp_path):
    ask(chat, LONG)
    ask(chat, LONG, conversation=1)
    asyncio.run(chat.close())
    assert [path.name for path in (tmp_path / "shelf").iterdir()] == ["1.safetensors"]
