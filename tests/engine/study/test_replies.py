"""The base's own replies: those that ship are what the model says, and nothing that is known is asked again."""

from __future__ import annotations

import pytest

from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.study.cut_base import CutBase
from nightschool.engine.study.generate import NearWriter
from nightschool.engine.study.prompts import bank
from nightschool.engine.study.replies import SHIPPED_LIMIT, Replies

BANK = [prompt.text for prompt in bank()]


def replies_of(base, folder, limit, system="", writer=None):
    tail = open_tail(base, 1)
    writer = writer or NearWriter(open_trunk(base, 1), tail, base.card.end_of_turn)
    return Replies(CutBase(base, None, writer, tail, 1, system), folder, limit)


class Silent:
    """Must not be asked."""


def ask(replies, prompts):
    replies.compute(prompts, lambda share: None)
    return [replies.reply(prompt) for prompt in prompts]


@pytest.mark.parametrize("limit", [72, SHIPPED_LIMIT])
def test_the_default_models_replies_to_the_whole_bank_ship(default_base, limit):
    replies = replies_of(default_base, None, limit, writer=Silent())
    assert all(replies.ships(prompt) for prompt in BANK)
    lengths = [len(default_base.tokenizer(reply.text)["input_ids"]) for reply in ask(replies, BANK)]
    assert max(lengths) == limit
    finished = [replies.reply(prompt).finished for prompt in BANK]
    assert sum(finished) > len(BANK) / 8
    assert all(length < limit for length, ended in zip(lengths, finished, strict=True) if ended)


def test_what_ships_is_what_the_default_model_says(default_base):
    """Short replies, where another order of adding up has little room to choose another word."""
    shipped, own = (replies_of(default_base, None, 32) for _ in range(2))
    short = [prompt for prompt in BANK if shipped.reply(prompt).finished][:6]
    own._shipped = {}
    assert ask(own, short) == [shipped.reply(prompt) for prompt in short]


def test_under_a_system_prompt_of_its_own_a_base_says_something_else(default_base):
    replies = replies_of(default_base, None, 72, system="Be brief.")
    assert not any(replies.ships(prompt) for prompt in BANK)


def test_another_base_is_asked_once_and_its_replies_are_kept(tiny_base, tmp_path):
    first = replies_of(tiny_base, tmp_path, 4)
    assert not any(first.ships(prompt) for prompt in BANK)
    said = ask(first, ["Why?", "How?"])
    assert ask(replies_of(tiny_base, tmp_path, 4, writer=Silent()), ["Why?", "How?"]) == said


def test_a_cache_that_does_not_read_back_is_written_anew(tiny_base, tmp_path):
    said = ask(replies_of(tiny_base, tmp_path, 4), ["Why?"])
    for file in tmp_path.iterdir():
        file.write_text("{", encoding="utf-8")
    assert ask(replies_of(tiny_base, tmp_path, 4), ["Why?"]) == said
