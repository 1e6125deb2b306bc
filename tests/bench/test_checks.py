import json
from pathlib import Path

import pytest

from nightschool.bench.checks import Case, holds, load_cases, rewrite, sentence_spans
from nightschool.schemas.errors import UsageError

CASES = Path(__file__).parents[2] / "bench" / "cases"
REPLY = "Rain is water. It falls!\n\nWhy? Clouds cool down."
MINIMAL = {
    "id": "a",
    "slot": "science",
    "rule": "Be brief.",
    "mode": "edit",
    "teach": ["What is rain?"],
    "rewrite": [{"op": "sentences", "n": 1}],
    "check": {"max_sentences": 1},
    "probes": ["What is snow?"],
    "outside": [],
    "opposites": [],
    "max_tokens": 64,
}


def edited(operation, reply=REPLY):
    case = Case.model_validate({**MINIMAL, "rewrite": [operation]})
    return rewrite(case.rewrite, reply)


def followed(check, reply):
    return holds(Case.model_validate({**MINIMAL, "check": check}).check, reply)


# -- operations


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (
            {"op": "prefix", "text": "Sir, ", "lower_first": True},
            "Sir, rain is water. It falls!\n\nWhy? Clouds cool down.",
        ),
        ({"op": "prefix", "text": "Sir: "}, "Sir: " + REPLY),
        ({"op": "suffix", "text": "\n-- owl"}, REPLY + "\n-- owl"),
        ({"op": "sentences", "n": 1}, "Rain is water."),
        ({"op": "sentences", "n": 3}, "Rain is water. It falls!\n\nWhy?"),
        ({"op": "sentences", "n": 9}, REPLY),
        ({"op": "words", "n": 4}, "Rain is water. It"),
        ({"op": "words", "n": 6}, "Rain is water. It falls!\n\nWhy?"),
        ({"op": "words", "n": 99}, REPLY),
        ({"op": "replace", "pattern": r"(\w+) is", "with": r"\1 was"}, REPLY.replace("Rain is", "Rain was")),
        ({"op": "lowercase"}, REPLY.lower()),
        ({"op": "uppercase"}, REPLY.upper()),
        ({"op": "bullets"}, "- Rain is water.\n- It falls!\n- Why?\n- Clouds cool down."),
        ({"op": "strip", "pattern": "[!?]"}, "Rain is water. It falls\n\nWhy Clouds cool down."),
    ],
)
def test_operation_edits_the_reply(operation, expected):
    assert edited(operation, f"\n {REPLY} ") == expected


def test_operations_apply_in_order():
    steps = [{"op": "sentences", "n": 1}, {"op": "prefix", "text": "Well, ", "lower_first": True}, {"op": "uppercase"}]
    case = Case.model_validate({**MINIMAL, "rewrite": steps})
    assert rewrite(case.rewrite, REPLY) == "WELL, RAIN IS WATER."


def test_bullets_take_off_the_marks_that_are_there():
    listed = "Some fruits:\n1. Apples.\n2. Pears.\n* Plums"
    once = edited({"op": "bullets"}, listed)
    assert once == "- Some fruits:\n- Apples.\n- Pears.\n- Plums"
    assert edited({"op": "bullets"}, once) == once


@pytest.mark.parametrize("name", ["lowercase", "uppercase", "bullets"])
def test_operation_leaves_an_empty_reply_empty(name):
    assert edited({"op": name}, "  ") == ""


def test_prefix_meets_an_empty_reply():
    assert edited({"op": "prefix", "text": "Sir, ", "lower_first": True}, "") == "Sir,"


# -- predicates


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        ({"regex": "^Sir,"}, "  Sir, yes.", "Yes.\nSir, no."),
        ({"ends": "-- owl"}, "Hoot.\n-- owl \n", "-- owl said so"),
        ({"max_sentences": 2}, "One. Two!", "One. Two! Three"),
        ({"max_words": 3}, "one  two\nthree", "one two three four"),
        ({"lowercase": True}, "all small, 3 words & straße.", "all small, but One."),
        ({"bullets": True}, "- one\n\n- two", "Here:\n- one"),
        ({"bullets": True}, "- one", "-one"),
        ({"all": [{"regex": "a"}, {"regex": "b"}]}, "ab", "a"),
        ({"any": [{"regex": "a"}, {"regex": "b"}]}, "b", "c"),
        ({"not": {"regex": "a"}}, "b", "a"),
        ({"not": {"any": [{"max_words": 1}, {"all": [{"regex": "x"}, {"regex": "y"}]}]}}, "two words", "x and y"),
    ],
)
def test_predicate_tells_a_following_reply_from_another(check, good, bad):
    assert followed(check, good)
    assert not followed(check, bad)


@pytest.mark.parametrize("check", [{"max_words": 5}, {"lowercase": True}, {"bullets": True}, {"not": {"regex": "a"}}])
def test_empty_reply_follows_nothing(check):
    assert not followed(check, " \n")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("no mark at all", ["no mark at all"]),
        ("Pi is 3.14 or so. Fine.", ["Pi is 3.14 or so.", "Fine."]),
        ("Dr. Who met Mr. X. They left.", ["Dr. Who met Mr. X.", "They left."]),
        ("The U.S. economy grew. Yes.", ["The U.S. economy grew.", "Yes."]),
        ("1. Wash.\n2. Dry. Fold.", ["1. Wash.", "2. Dry.", "Fold."]),
        ('He said "no." Then he went...', ['He said "no."', "Then he went..."]),
        ("A title\n\nA line", ["A title", "A line"]),
        ("What?! Really!", ["What?!", "Really!"]),
        ("No. Not now.", ["No.", "Not now."]),
        ("  a.  \r\n\n  b  ", ["a.", "b"]),
    ],
)
def test_sentences_are_found(text, sentences):
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


# -- files


def write(folder, *rows):
    path = folder / "cases.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_cases_are_read_in_order_and_blank_lines_passed(tmp_path):
    path = write(tmp_path, MINIMAL, "", {**MINIMAL, "id": "b", "note": "a key we do not know"})
    assert [case.id for case in load_cases(path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"rewrite": [{"op": "shout"}]}, "rewrite"),
        ({"rewrite": [{"op": "sentences", "n": 0}]}, "n:"),
        ({"rewrite": [{"op": "lowercase", "twice": True}]}, "twice"),
        ({"check": {"shouts": True}}, "one key out of"),
        ({"check": {"regex": "a", "ends": "b"}}, "one key out of"),
        ({"check": {"not": {"all": []}}}, "check.not"),
        ({"check": {"regex": "("}}, "not a regular expression"),
        ({"check": {"lowercase": False}}, "lowercase"),
        ({"mode": "say"}, "'say'"),
        ({"mode": "whisper"}, "mode"),
        ({"rewrite": []}, "'rewrite'"),
        ({"probes": []}, "probes"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_faulty_line_is_named_with_its_number_and_fault(tmp_path, wrong, part):
    path = write(tmp_path, MINIMAL, {**MINIMAL, "id": "b", **wrong})
    with pytest.raises(UsageError, match="line 2") as caught:
        load_cases(path)
    assert part in str(caught.value)


@pytest.mark.parametrize("rows", [("{not json",), ("[1]",), (MINIMAL, MINIMAL), ()])
def test_what_is_no_file_of_cases_is_refused(tmp_path, rows):
    with pytest.raises(UsageError):
        load_cases(write(tmp_path, *rows))


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_cases(tmp_path / "nowhere.jsonl")


# -- our own cases


def own():
    return [case for path in sorted(CASES.glob("*.jsonl")) for case in load_cases(path)]


def test_our_cases_cover_every_mode_and_every_operation():
    cases = own()
    assert {case.mode for case in cases} == {"edit", "say", "both"}
    assert {step.op for case in cases for step in case.rewrite} == {
        *("prefix", "suffix", "sentences", "words", "replace", "lowercase", "uppercase", "bullets", "strip")
    }
    assert sum(bool(case.outside) for case in cases) >= 3


@pytest.mark.parametrize("case", own(), ids=lambda case: case.id)
def test_the_persons_edit_satisfies_the_check_that_the_plain_reply_fails(case):
    plain = (
        "The tall ship Anna left at dawn. It was essential to go.\n\n1. Load food.\n"
        "2. Sail, and sail on with the wind until the coast is far behind and all of us sleep at last. End."
    )
    assert not holds(case.check, plain)
    assert holds(case.check, rewrite(case.rewrite, plain))


@pytest.mark.parametrize("case", own(), ids=lambda case: case.id)
def test_case_asks_no_prompt_twice(case):
    assert len({text.lower() for text in case.prompts()}) == len(case.prompts())
