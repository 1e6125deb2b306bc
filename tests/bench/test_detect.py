"""The scores of the detectors' benchmark, and the data it scores on."""

import json

import pytest

from nightschool.bench import detect
from nightschool.engine.study.contracts import Finding
from nightschool.schemas.records import Scope, SignalKind


class Scripted:
    """Finds what the message says that it finds."""

    name = "scripted"

    def find(self, prompt, reply, said):
        return [Finding(SignalKind(kind), said, 0.9, Scope.SLOT) for kind in said.split()]


def turn(said, *labels, scope=""):
    return detect.Labelled("t", "p", "r", said, frozenset(labels), scope)


def test_precision_and_recall_are_counted_by_class():
    turns = [
        turn("style", "STYLE"),
        turn("style"),
        turn("clarify", "STYLE"),
        turn("", "CORRECT_WITH"),
        turn("rule", "RULE", scope="slot"),
        turn("rule", "RULE", scope="conversation"),
    ]
    counts = detect.score([Scripted()], turns)
    assert counts["STYLE"].figures() == {"precision": 0.5, "recall": 0.5, "wanted": 2, "found": 2}
    assert counts["negative"].figures() == {"precision": 0.667, "recall": 0.667, "wanted": 3, "found": 3}
    assert counts["durable"].figures() == {"precision": 0.5, "recall": 1.0, "wanted": 1, "found": 2}
    assert counts["PRAISE"].figures()["precision"] is None
    assert [missed.labels for missed in counts["CORRECT_WITH"].missed] == [{"CORRECT_WITH"}]


@pytest.mark.parametrize("part", detect.PARTS)
def test_the_labelled_turns_are_whole(part):
    turns = detect.own_turns(detect.PARTS[part])
    assert len({turn.id for turn in turns}) == len(turns) >= 150
    assert sum(not turn.labels for turn in turns) / len(turns) >= 0.55
    for one in turns:
        assert one.said.strip()
        assert one.labels <= set(detect.LABELS.values())
        assert bool(one.labels) == bool(one.scope)
        assert ("RULE" in one.labels) or one.scope in ("", "reply")
        assert bool(one.prompt) == bool(one.reply)


def test_no_turn_is_in_both_halves():
    said = [{turn.said for turn in detect.own_turns(path)} for path in detect.PARTS.values()]
    assert said[0].isdisjoint(said[1])


def test_sharegpt_is_read_also_where_it_is_cut_off(tmp_path, capsys):
    talk = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}, {"from": "human", "value": "No."}]
    whole = json.dumps([{"id": "a", "conversations": talk}, {"id": "b", "conversations": talk}])
    path = tmp_path / "talks.json"
    path.write_text(whole[: len(whole) - 20], encoding="utf-8")
    turns = list(detect.sharegpt_turns(path))
    assert [(turn.prompt, turn.reply, turn.said) for turn in turns] == [("", "", "Hi"), ("Hi", "Hello.", "No.")]
    assert "cut off" in capsys.readouterr().err


def test_labelled_conversations_of_others_become_turns(tmp_path):
    talk = [
        {"role": "user", "content": "Hi", "label": "NEU"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "That's wrong.", "label": "NEG_3"},
        {"role": "assistant", "content": "Sorry."},
        {"role": "user", "content": "And now?", "label": "NEU"},
    ]
    (tmp_path / "dense.json").write_text(json.dumps([{"conversation": talk}]), encoding="utf-8")
    first, second = detect.feedback_turns(tmp_path)
    assert (first.prompt, first.reply, first.labels) == ("Hi", "Hello.", {"CORRECT_BARE"})
    assert second.labels == set()
