"""Guesses come from what was said before, and change nothing of what is said."""

from __future__ import annotations

import asyncio

import pytest

from nightschool.engine.chat import next_rows
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.chat.drafts import Drafts
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role


def test_what_followed_the_last_time_is_guessed():
    drafts = Drafts([1, 2, 3, 4, 5, 6, 7])
    assert drafts.guess(4) == []
    drafts.add(1)
    assert drafts.guess(4) == [2]  # one token alike is little
    drafts.add(2)
    drafts.add(3)
    assert drafts.guess(4) == [4, 5]
    assert drafts.guess(1) == [4]
    assert drafts.guess(0) == []


def test_the_latest_of_several_places_counts():
    assert Drafts([1, 2, 3, 4, 9, 1, 2, 3, 5, 9, 1, 2, 3]).guess(1) == [5]


def test_guesses_grow_while_they_come_true_and_shrink_when_they_do_not():
    drafts = Drafts([*range(20), *range(3)])
    assert drafts.guess(9) == [3, 4]
    drafts.judge(2, 2)
    drafts.judge(3, 3)
    assert drafts.guess(9) == [3, 4, 5, 6]
    drafts.judge(0, 4)
    assert drafts.guess(9) == [3]


def test_a_wrong_guess_after_few_tokens_shortens_nothing():
    drafts = Drafts([*range(20), 40, 1])
    assert drafts.guess(9) == [2]
    drafts.judge(0, 1)
    drafts.add(2)
    drafts.add(3)
    assert drafts.guess(9) == [4, 5]


def test_nothing_guessed_teaches_nothing():
    drafts = Drafts([*range(20), *range(3)])
    drafts.judge(0, 0)
    assert drafts.guess(9) == [3, 4]


class Silent(Drafts):
    """Guesses nothing."""

    def guess(self, room):
        return []


class Parrot(Drafts):
    """Guesses at every token: now right, now wrong."""

    truth: tuple[int, ...] = ()

    def guess(self, room):
        said = len(self._tokens)
        right = list(self.truth[said : said + 3])
        return [*right[: said % 4], 65, 66, 67][:room]


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "seed": 7}, {"repetition_penalty": 1.3}])
def test_a_reply_is_the_same_with_right_and_wrong_guesses(tiny_base, monkeypatch, sampling):
    def ask():
        chat = Chat(tiny_base, LocalProvider(tiny_base), 2)
        monkeypatch.setattr(chat, "_drafting", True)  # in fp32, where the sums of several rows are those of one
        turns = [Turn(Role.USER, "Hello")]
        options = Sampling(max_tokens=40, **sampling)
        heard = []
        for _ in range(2):  # the second turn goes on from what the first one left in the caches
            reply = asyncio.run(
                chat.reply(
                    1, turns, system="", adapter=None, sampling=options, on_text=heard.append, cancelled=lambda: False
                )
            )
            turns += [Turn(Role.ASSISTANT, reply.text), Turn(Role.USER, "More")]
        return heard, list(chat._readings[1].tokens), chat.computed

    monkeypatch.setattr(next_rows, "Drafts", Silent)
    heard, tokens, computed = ask()
    monkeypatch.setattr(Parrot, "truth", tuple(tokens))
    monkeypatch.setattr(next_rows, "Drafts", Parrot)
    again, same, more = ask()
    assert again == heard
    assert same == tokens
    assert more > computed  # wrong guesses were read, and forgotten
