"""A restart goes on from what was read before; what does not fit is read again."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
import torch

from nightschool.engine.base.numbers import Numbers
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.chat.shelf import Kept, Shelf
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Finish, Role

PAST = [
    Turn(Role.USER, "Tell me all about the sea. " * 6),
    Turn(Role.ASSISTANT, "It is wide."),
    Turn(Role.USER, "And?"),
]


def kept(count=200):
    states = torch.randn(count, 4)
    return Kept(list(range(count)), "said", "", states, {"keys": torch.ones(1, 1, count, 2)}, {})


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "shelf", "base")


def test_what_was_put_there_comes_back(shelf):
    put = kept()
    shelf.put(7, put)
    found = shelf.take(7)
    assert (found.tokens, found.text, found.voice) == (put.tokens, put.text, put.voice)
    assert torch.equal(found.states, put.states)
    assert torch.equal(found.trunk["keys"], put.trunk["keys"])
    assert not found.tail
    assert shelf.take(8) is None


def test_what_another_base_read_is_not_used(shelf, tmp_path):
    shelf.put(7, kept())
    assert Shelf(tmp_path / "shelf", "another").take(7) is None


@pytest.mark.parametrize("spoil", [lambda data: data[:-9], lambda data: b"", lambda data: data[:8] + b"{" * 40])
def test_a_spoilt_reading_is_not_used(shelf, tmp_path, spoil):
    shelf.put(7, kept())
    (path,) = (tmp_path / "shelf").iterdir()
    path.write_bytes(spoil(path.read_bytes()))
    assert shelf.take(7) is None


def test_a_short_reading_is_not_worth_a_file(shelf, tmp_path):
    shelf.put(7, kept(9))
    assert not (tmp_path / "shelf").exists()


def test_the_oldest_leave_when_it_is_full(tmp_path):
    shelf = Shelf(tmp_path, "base", room=12_000)
    for number in range(4):
        shelf.put(number, kept())
    assert [number for number in range(4) if shelf.take(number) is not None] == [2, 3]


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path):
    (tmp_path / "shelf").write_text("a file, not a folder")
    Shelf(tmp_path / "shelf", "base").put(7, kept())


# -- with a chat ------------------------------------------------------------------------------------------------------


def ask(chat, turns=PAST, *, cancelled=lambda: False):
    reply = chat.reply(
        5,
        turns,
        system="",
        adapter=None,
        sampling=Sampling(max_tokens=12),
        on_text=lambda text: None,
        cancelled=cancelled,
    )
    return asyncio.run(reply)


@pytest.fixture
def open_chat(tiny_base, tmp_path):
    return lambda base=tiny_base: Chat(base, LocalProvider(base), 2, tmp_path / "shelf")


def test_a_chat_that_was_closed_goes_on_without_reading_its_past(open_chat):
    first = open_chat()
    said = ask(first)
    whole = first.computed
    asyncio.run(first.close())
    again = open_chat()
    turns = [*PAST, Turn(Role.ASSISTANT, said.text), Turn(Role.USER, "More")]
    reply = ask(again, turns)
    assert again.computed < whole / 3
    fresh = ask(first, turns)  # everything was put away, so this chat begins anew from the shelf as well
    assert reply == fresh


def test_it_says_what_a_chat_says_that_reads_all_of_it(open_chat, tiny_base):
    first = open_chat()
    said = ask(first)
    asyncio.run(first.close())
    turns = [*PAST, Turn(Role.ASSISTANT, said.text), Turn(Role.USER, "More")]
    assert ask(open_chat(), turns) == ask(Chat(tiny_base, LocalProvider(tiny_base), 2), turns)


def test_other_numbers_read_it_again(open_chat, tiny_base):
    first = open_chat()
    ask(first)
    asyncio.run(first.close())
    other = open_chat(dataclasses.replace(tiny_base, numbers=Numbers.BF16, kept={}))
    ask(other)
    assert other.computed >= first.computed


def test_a_reply_that_was_stopped_before_it_read_anything_is_not_put_away(open_chat):
    chat = open_chat()
    assert ask(chat, cancelled=lambda: True).finish is Finish.CANCELLED
    asyncio.run(chat.close())


def test_a_forgotten_conversation_leaves_nothing(open_chat, tmp_path):
    chat = open_chat()
    ask(chat)
    asyncio.run(chat.close())
    assert list((tmp_path / "shelf").iterdir())
    asyncio.run(open_chat().forget(5))
    assert not list((tmp_path / "shelf").iterdir())
