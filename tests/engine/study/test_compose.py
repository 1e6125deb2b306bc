import json
import random
import re
from pathlib import Path

import pytest

from nightschool.engine.study import compose
from nightschool.plugins.rewriters import case, closing, ending, layout, length, marks, opening, terms
from nightschool.schemas.records import Step

# Thirty replies as a small chat model gives them: prose, lists, markdown, code, a poem, and ends cut in mid-sentence.
REPLIES = json.loads(Path(__file__).with_name("replies.json").read_text(encoding="utf-8"))

REWRITERS = [
    rewriter
    for module in (opening, closing, ending, length, case, terms, layout, marks)
    for rewriter in module.nightschool_rewriters()
]
INFLATION = REPLIES[0]


def step(rewriter, **args):
    return Step(rewriter=rewriter, args=args)


def simple(text):
    return re.split(r"(?<=[.!?])\s+", text.strip())


def lowered(text):
    return text[0].lower() + text[1:]


CAPTAIN = step("opening", text="Captain, ", lower_first=True)
ONE = step("length", unit="sentences", n=1)
OWL = step("closing", text="\n-- the night owl")
LOWER = step("case", to="lower")
BULLETS = step("layout", **{"as": "bullets", "mark": "- "})


EDITS = {
    "opening": ("Captain, " + lowered(INFLATION), [CAPTAIN]),
    "opening that keeps the capital": (
        "For example, think of a case from daily life. " + INFLATION,
        [step("opening", text="For example, think of a case from daily life. ", lower_first=False)],
    ),
    "opening that ends in a dash": (
        "Right then - " + lowered(INFLATION),
        [step("opening", text="Right then - ", lower_first=True)],
    ),
    "opening before a list": (
        "Ahoy! " + "\n".join(f"- {part}" for part in simple(INFLATION)),
        [BULLETS, step("opening", text="Ahoy! ", lower_first=False)],
    ),
    "two sentences and a signature": (
        " ".join(simple(INFLATION)[:2]) + "\n-- the night owl",
        [step("length", unit="sentences", n=2), OWL],
    ),
    "small letters and a question": (
        INFLATION.lower() + " Would you like to know more?",
        [LOWER, step("closing", text=" Would you like to know more?")],
    ),
    "thirty words": (" ".join(INFLATION.split()[:30]), [step("length", unit="words", n=30, whole=False)]),
    "bullets": ("\n".join(f"- {part}" for part in simple(INFLATION)), [BULLETS]),
    "capitals": (INFLATION.upper(), [step("case", to="upper")]),
    "a term": (INFLATION.replace("goods", "wares"), [step("terms", **{"from": "goods", "to": "wares"})]),
    "brackets": (INFLATION.replace(" (CPI)", ""), [step("marks", without="brackets")]),
    "three at once": (
        "Captain, " + lowered(simple(INFLATION)[0]) + "\n-- the night owl",
        [ONE, OWL, CAPTAIN],
    ),
    "nothing": (INFLATION + "\n", []),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_explained_by_the_shortest_composition(name):
    after, steps = EDITS[name]
    assert compose.infer(REWRITERS, INFLATION, after) == steps


def test_a_suffix_after_a_reply_cut_in_mid_sentence_is_a_closing():
    before = REPLIES[1]
    assert compose.infer(REWRITERS, before, before + "\n-- the night owl") == [OWL]


def test_set_phrases_emoji_and_bold_are_taken_out():
    before = REPLIES[22]
    assert compose.infer(REWRITERS, before, before.replace(" 😊", "")) == [step("marks", without="emoji")]
    certainly = REPLIES[5]
    assert compose.infer(REWRITERS, certainly, certainly.removeprefix("Certainly! ")) == [
        step("terms", **{"from": "Certainly!", "to": ""})
    ]
    bold = REPLIES[9]
    assert compose.infer(REWRITERS, bold, bold.replace("**", "")) == [step("marks", without="bold")]


def test_a_reply_written_anew_is_not_explained():
    after = "Money buys less each year when prices climb everywhere, and economists have a name for that."
    assert compose.infer(REWRITERS, INFLATION, after) is None


def test_some_free_words_leave_the_systematic_part_with_less_confidence():
    after = "Captain, " + lowered(INFLATION).replace("over a period of time", "as the years go by")
    found = compose.explain(REWRITERS, INFLATION, after)
    assert CAPTAIN in found.steps
    assert 0.5 <= found.confidence < 1


def _scripted(rng, text):
    """Edit a reply as a script would, with the plainest of tools; some results are nonsense, as scripts' are."""
    if rng.random() < 0.4:
        text = " ".join(simple(text)[: rng.choice([1, 2, 3])])
    elif rng.random() < 0.25:
        text = " ".join(text.split()[: rng.choice([10, 20, 30])])
    text = rng.choice([str, str, str, str, str.lower, str.upper])(text)
    if rng.random() < 0.15:
        text = "\n".join("- " + " ".join(part.split()) for part in simple(text))
    if rng.random() < 0.4:
        text += rng.choice(["\n-- the night owl", " Would you like to know more?", "\n\nStay curious!", " 🙂"])
    if rng.random() < 0.4:
        first, low = rng.choice([("Captain, ", True), ("TL;DR: ", False), ("Ahoy! ", False), ("Fun fact: ", True)])
        text = first + (lowered(text) if low else text)
    return text


def test_random_compositions_on_thirty_replies_are_explained():
    rng = random.Random(7)
    edits = [(before, _scripted(rng, before)) for before in rng.choices(REPLIES, k=300)]
    edits = [(before, after) for before, after in edits if after.strip() != before.strip()]
    found = [compose.explain(REWRITERS, before, after) for before, after in edits]
    exact = sum(e is not None and e.confidence >= 0.95 for e in found) / len(edits)
    usable = sum(e is not None and e.confidence >= 0.5 for e in found) / len(edits)
    assert exact >= 0.8  # 0.86 to 0.89 over several seeds; the rest are such as "Ahoy! - first point"
    assert usable >= 0.97


@pytest.mark.parametrize("reply", REPLIES)
def test_applying_twice_changes_nothing_more_and_what_is_applied_holds(reply):
    for steps in ([CAPTAIN], [OWL], [ONE], [LOWER], [CAPTAIN, ONE, OWL], [LOWER, OWL], [CAPTAIN, LOWER, ONE, OWL]):
        once = compose.apply(REWRITERS, steps, reply)
        assert compose.apply(REWRITERS, steps, once) == once or len(steps) > 1
        assert compose.holds(REWRITERS, steps, once), (steps, once)


def test_a_closing_question_is_no_second_sentence():
    steps = [ONE, step("closing", text=" Would you like to know more?")]
    assert compose.holds(REWRITERS, steps, "It is a rise in prices. Would you like to know more?")
    assert not compose.holds(REWRITERS, steps, "It is a rise in prices. It hurts. Would you like to know more?")
    assert not compose.holds(REWRITERS, [ONE], "It is a rise in prices. It hurts.")


def test_the_opening_may_have_a_capital_in_a_text_of_small_letters():
    assert compose.holds(REWRITERS, [CAPTAIN, LOWER], "Captain, inflation is a rise.")
    assert not compose.holds(REWRITERS, [CAPTAIN, LOWER], "Captain, Inflation is a rise.")


def test_an_opening_goes_into_the_first_bullet():
    text = compose.apply(REWRITERS, [BULLETS, CAPTAIN], "It rises. It falls.")
    assert text == "- Captain, it rises.\n- It falls."
    assert compose.holds(REWRITERS, [BULLETS, CAPTAIN], text)


def test_the_newer_of_two_lessons_counts_where_they_conflict():
    two = step("length", unit="sentences", n=2)
    colour = step("terms", **{"from": "color", "to": "colour"})
    grey = step("terms", **{"from": "gray", "to": "grey"})
    merged = compose.merge(REWRITERS, [CAPTAIN, ONE, colour], [two, grey])
    assert merged == [CAPTAIN, two, colour, grey]


def test_several_edits_of_one_rule_share_what_differs_between_them():
    pairs = [
        (REPLIES[0], "For example, think of bread. " + REPLIES[0]),
        (REPLIES[3], "For example, imagine a star. " + REPLIES[3]),
    ]
    (only,) = compose.infer_all(REWRITERS, pairs)
    assert only == step("opening", text="For example, ", lower_first=False)


def test_the_longest_of_several_lengths_is_the_limit():
    pairs = [(REPLIES[0], simple(REPLIES[0])[0]), (REPLIES[24], " ".join(simple(REPLIES[24])[:2]))]
    assert compose.infer_all(REWRITERS, pairs) == [step("length", unit="sentences", n=2)]


def test_contrary_requests_contain_the_prompt_and_vary():
    for steps in ([CAPTAIN], [OWL], [ONE], [LOWER], [BULLETS], [step("ending", text="!")], [CAPTAIN, ONE]):
        asked = compose.contrary(REWRITERS, steps)
        assert {one.rewriter for _, one in asked} == {one.rewriter for one in steps}
        templates = [template for template, _ in asked]
        assert len(set(templates)) >= 6
        assert all(template.count("{prompt}") == 1 for template in templates)
        assert any(template.startswith("{prompt}") for template in templates)
        assert any(template.endswith("{prompt}") for template in templates)


def test_a_long_reply_is_asked_for_in_the_middle_of_a_sentence_too():
    templates = [template for template, _ in compose.contrary(REWRITERS, [ONE])]
    assert {"In detail, {prompt}", "{prompt}, in detail."} & set(templates)
    assert any(re.fullmatch(r"\{prompt\}, in .*sentences\.", template) for template in templates)


def test_what_is_said_of_steps_is_read_back_as_the_same():
    for steps in ([CAPTAIN], [OWL], [ONE], [LOWER], [BULLETS], [step("marks", without="emoji")]):
        said = compose.say(REWRITERS, steps)
        read = [Step(rewriter=r.name, args=args) for r in REWRITERS for args in r.read(said)]
        assert read == steps


def test_long_replies_are_explained():
    long = " ".join(f"Sentence {n} says that prices rise with the number {n * 7}." for n in range(2000))
    for after in (simple(long)[0], "Captain, " + lowered(long), long.lower(), long + "\n-- the night owl"):
        found = compose.explain(REWRITERS, long, after)
        assert found is not None
        assert found.confidence >= 0.95
