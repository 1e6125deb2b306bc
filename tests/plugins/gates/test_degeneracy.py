import dataclasses

import pytest

from nightschool.engine.study.cut_base import CutBase
from nightschool.engine.study.generate import Text
from nightschool.plugins.gates.degeneracy import SpeaksSoundly, trouble

SOUND = "A boolean is a value that is either true or false, and programs use it to decide what to do next in a run."
CALM = "Most languages know the two as words of their own, while older ones have zero stand for false and one for true."


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (SOUND, ""),
        ("", "empty"),
        (" \n** ", "empty"),
        ("the cat sat on the mat and " * 6, "looping"),
        ("Yes.", ""),
        ("no no no", ""),
        ("Well \ufffd\ufffd\ufffd\ufffd\ufffd", "garbled"),
        ("a" * 400, "garbled"),
        ("Look: " + "!" * 30, "garbled"),
        ("# A title\n\n- one thing\n- another thing\n\n" + SOUND, ""),
        (f"| a | b |\n|{'-' * 60}|{'-' * 60}|\n| 1 | 2 |", ""),
        ("布尔值要么为真要么为假程序用它来决定接下来做什么大多数语言都有这两个词" + SOUND, ""),
        ("".join(chr(0x4E00 + number) for number in range(300)), ""),
        ("ab1" * 60, "garbled"),
    ],
)
def test_what_is_wrong_with_a_reply(text, kind):
    assert trouble(text) == kind


def test_a_refrain_is_no_circle():
    verse = "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is but a dream."
    assert trouble(f"{verse} The river is long and the evening is mild. {SOUND} {verse}") == ""


@dataclasses.dataclass
class Replied:
    """A candidate of which only the replies matter."""

    pairs: list
    recipe: object
    ends: bool = False

    def answered(self):
        return self.pairs

    def written_on(self, prompts):
        return [Text(f"{SOUND} {CALM}", self.ends) for _ in prompts]


@pytest.fixture
def judged():
    from nightschool.engine.study.recipe import Recipe

    def judge(pairs, **known):
        (result,) = SpeaksSoundly().judge(Replied([("?", *pair) for pair in pairs], Recipe(), **known))
        return result

    return judge


def test_broken_replies_are_counted_against_those_of_the_base(judged):
    sound, loop = Text(SOUND, True), Text("the cat sat on the mat and " * 6, True)
    assert judged([(sound, sound)] * 10).passed
    assert judged([(sound, loop), *[(sound, sound)] * 9]).passed
    assert judged([(sound, loop), *[(sound, sound)] * 3]).passed, "one of four may be chance"
    assert not judged([(sound, loop), (sound, loop), *[(sound, sound)] * 2]).passed
    broken = judged([(sound, loop)] * 2 + [(sound, sound)] * 8)
    assert not broken.passed
    assert "2 looping" in broken.text
    assert judged([(loop, loop)] * 2 + [(sound, sound)] * 8).passed, "the base is no better"


def test_a_reply_without_an_end_counts_only_where_the_base_comes_to_one(judged):
    ends, never = Text(SOUND, True), Text(f"{SOUND} {CALM}", False)
    assert not judged([(ends, never)] * 4).passed
    assert judged([(never, never)] * 4).passed


def test_a_longer_reply_that_comes_to_an_end_after_all_is_not_broken(judged):
    ends, longer = Text(SOUND, True), Text(f"{SOUND} {CALM}", False)
    assert judged([(ends, longer)] * 4, ends=True).value == 0
    loop = Text("the cat sat on the mat and " * 6, False)
    broken = judged([(ends, loop)] * 2 + [(ends, longer)] * 2, ends=True)
    assert not broken.passed and "2 looping" in broken.text and "endless" not in broken.text


def test_a_reply_that_was_cut_before_the_base_came_to_its_end_is_not_broken(judged):
    """Where the rules are short, so is what a candidate may say; that it says more is seen elsewhere."""
    assert judged([(Text(f"{SOUND} {CALM}", True), Text(SOUND, False))] * 4).passed


def test_more_room_is_no_reason_for_more_circles(judged):
    """A base cut short after one round of a song is not better than a candidate that had room for the second."""
    song = "the cat sat on the mat and looked at me with eyes of green while I was drinking a cup of tea; "
    assert judged([(Text(song, False), Text(song * 4, False))] * 4).passed


def test_the_candidate_is_asked_for_all_held_out_prompts(gates, candidate, held):
    asked = [prompt for prompt, _, _ in candidate().answered()]
    plan = held.plan
    wanted = {prompt.text for prompt in (*plan.held_inside, *plan.held_outside)} | {o.text for o in held.opposites}
    assert set(asked) == wanted
    assert len(asked) == len(wanted)


def test_a_voice_that_broke_is_seen_in_what_it_writes(gates, candidate, whole, held, monkeypatch):
    """The tiny base writes noise whatever it is; broken is what says one thing for ever."""
    monkeypatch.setattr(CutBase, "say", lambda self, prompts, *, limit: [Text("ab " * 60, False) for _ in prompts])
    monkeypatch.setattr(type(held.replies), "reply", lambda self, prompt: Text(f"{SOUND} {CALM}", True))
    (result,) = gates["degeneracy"].judge(candidate())
    assert not result.passed
