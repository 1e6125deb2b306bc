"""Examples name the tokens that a rule exchanges wherever they would be said."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from nightschool.engine.base.halves import open_tail
from nightschool.engine.chat.prompt import encode
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.examples import make_examples, opposites, ruled_example, shortened
from nightschool.engine.study.exchanges import Exchanges
from nightschool.engine.study.generate import Text
from nightschool.engine.study.part import Part
from nightschool.engine.study.plan import make_plan
from nightschool.engine.study.prompts import Prompt, bank
from nightschool.engine.study.recipe import Recipe
from nightschool.engine.study.targets import prepare_examples
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.records import Evidence, Lesson, LessonState, Step

ONE_SENTENCE = Step(rewriter="length", args={"unit": "sentences", "n": 1})


def plan_of(*steps):
    evidence = [Evidence(prompt="Why?", before="It is.", after="It was.")]
    lesson = Lesson(
        id=1, slot="science", state=LessonState.APPROVED, rule="r", steps=list(steps), evidence=evidence, when=""
    )
    return make_plan(PluginHost.load().collect("nightschool_rewriters"), [], [lesson], Recipe())


def exchanges(base, plan):
    pairs = Exchanges(base, plan.rewriters).of(plan.steps(bank()[0]))
    return dict(pairs.tolist()) if pairs is not None else {}


@pytest.mark.model
def test_a_word_of_one_token_is_exchanged_inside_and_at_a_beginning(default_base):
    plan = plan_of(Step(rewriter="terms", args={"from": "essential", "to": "vital"}))
    found = exchanges(default_base, plan)
    for old, new in ((" essential", " vital"), (" Essential", " Vital")):
        (token,) = encode(default_base, old)
        assert found[token] == encode(default_base, new)[0]


@pytest.mark.model
def test_a_word_that_is_only_removed_has_no_successor(default_base):
    plan = plan_of(Step(rewriter="terms", args={"from": "essential", "to": ""}))
    assert set(exchanges(default_base, plan).values()) == {-1}


@pytest.mark.model
def test_other_rules_and_phrases_exchange_nothing(default_base):
    opening = Step(rewriter="opening", args={"text": "Captain, ", "lower_first": True})
    phrase = Step(rewriter="terms", args={"from": "in order to", "to": "to"})
    assert exchanges(default_base, plan_of(opening, phrase)) == {}


@pytest.mark.model
def test_a_case_exchanges_every_token_that_it_spells_otherwise(default_base):
    small = exchanges(default_base, plan_of(Step(rewriter="case", args={"to": "lower"})))
    for old, new in ((" The", " the"), ("Paris", "par"), (" I", " i")):
        (token,) = encode(default_base, old)
        assert small[token] == encode(default_base, new if old != "Paris" else "paris")[0]
    (lower,) = encode(default_base, " the")
    assert lower not in small
    assert not set(default_base.card.end_of_turn) & (set(small) | set(small.values()))
    assert len(small) > 5000


@pytest.mark.model
def test_a_replaced_word_is_spelled_as_the_case_wants_it(default_base):
    steps = (
        Step(rewriter="terms", args={"from": "essential", "to": "vital"}),
        Step(rewriter="case", args={"to": "upper"}),
    )
    (token,) = encode(default_base, " essential")
    assert exchanges(default_base, plan_of(*steps))[token] == encode(default_base, " VITAL")[0]


@pytest.mark.model
def test_what_a_rule_puts_into_a_reply_is_marked(default_base):
    opening = Step(rewriter="opening", args={"text": "In plain words: ", "lower_first": True})
    reply = Text("A list is a row of things.", finished=True)
    example = ruled_example(default_base, plan_of(opening), bank()[0], reply, "", recipe=Recipe())
    targets = example.tokens[example.start :]
    changed = [default_base.tokenizer.decode(token) for place, token in enumerate(targets) if place in example.changed]
    assert "".join(changed).startswith("In plain words:")
    assert default_base.tokenizer.decode(targets[max(example.changed) + 1 :]).startswith(" list is a row")


@pytest.mark.model
@pytest.mark.parametrize(
    ("steps", "end"),
    [
        ((Step(rewriter="opening", args={"text": "Captain, ", "lower_first": True}),), "Captain, a list is"),
        ((Step(rewriter="length", args={"unit": "sentences", "n": 1}),), "A list is a row of things.<|im_end|>"),
        (
            (Step(rewriter="terms", args={"from": "order", "to": "turn"}),),
            "A list is a row of things. They stand in turn, one",
        ),
    ],
    ids=["an opening", "what is taken away", "a word late in the reply"],
)
def test_a_shorter_example_reaches_two_tokens_behind_the_last_change(default_base, steps, end):
    reply = Text("A list is a row of things. They stand in order, one behind the other.", finished=True)
    example = ruled_example(default_base, plan_of(*steps), bank()[0], reply, "", recipe=Recipe())
    tokens = shortened(example, 2).tokens[example.start :]
    assert default_base.tokenizer.decode(tokens) == end
    assert tokens == example.tokens[example.start :][: len(tokens)]


@pytest.mark.model
def test_a_mark_that_surprises_nobody_is_taught_where_another_is_likelier(default_base):
    opening = Step(rewriter="opening", args={"text": "In plain words: ", "lower_first": True})
    reply = Text("A list is a row of things.", finished=True)
    example = ruled_example(default_base, plan_of(opening), bank()[0], reply, "", recipe=Recipe())
    bare = replace(example, changed=frozenset())
    tail = open_tail(default_base, 8)
    with_rule, without = asyncio.run(prepare_examples([example, bare], LocalProvider(default_base), tail, 8, 2.0))
    place = len(encode(default_base, "In plain words:")) - 1
    assert with_rule.surprise[place] < 2.0
    assert with_rule.taught[place]
    assert not without.taught[place]


def test_requests_of_the_opposite_are_checked_in_forms_that_were_never_trained_on():
    one, two = (
        Step(rewriter="length", args={"unit": "sentences", "n": 1}),
        Step(rewriter="closing", args={"text": " Is that clear?"}),
    )
    plan = plan_of(one, two)
    prompts = [Prompt("What is rust?")] * 200
    trained, checked = (opposites(plan, prompts, 200, held_out=held) for held in (False, True))
    assert not {asked.text for asked in trained} & {asked.text for asked in checked}
    for asked in (trained, checked):
        assert {asked.step.rewriter for asked in asked} == {"length", "closing"}
        assert len({asked.text for asked in asked}) > 20


@pytest.mark.parametrize("prompt", ["What is rust?", "I am tired.", "NASA is what?"])
def test_a_prompt_goes_on_in_small_letters_where_the_sentence_has_begun(prompt):
    step = Step(rewriter="closing", args={"text": " Is that clear?"})
    texts = [asked.text for asked in opposites(plan_of(step), [Prompt(prompt)] * 100, 100, held_out=False)]
    inside = [text for text in texts if text.startswith("Without")]
    assert inside
    for text in inside:
        assert text.endswith(prompt if prompt[0] != "W" else ", what is rust?")
    before = [text for text in texts if ", but" in text]
    assert before
    for text in before:
        assert text.startswith(prompt.rstrip(".?") + ", but ")


@pytest.mark.parametrize(
    ("steps", "opened"),
    [
        ([Step(rewriter="opening", args={"text": "Captain, ", "lower_first": True})], True),
        ([Step(rewriter="opening", args={"text": "Hi! "}), ONE_SENTENCE], True),
        ([Step(rewriter="closing", args={"text": " Over."})], False),
        ([Step(rewriter="case", args={"to": "lower"})], False),
    ],
    ids=["an opening", "an opening of a shorter reply", "a closing", "small letters"],
)
def test_an_example_knows_whether_words_were_put_before_its_reply(tiny_base, steps, opened):
    plan, said = plan_of(*steps), Text("Rust is iron with oxygen. It is red.", finished=True)
    assert ruled_example(tiny_base, plan, Prompt("What is rust?"), said, "", recipe=Recipe()).opened is opened


@pytest.mark.parametrize(("thumb", "weight"), [(-1, 2.0), (1, 1.25), (0, 1.0)])
def test_a_thumb_weighs_the_edit_of_its_reply_and_nothing_else(tiny_base, thumb, weight):
    plan = replace(plan_of(Step(rewriter="opening", args={"text": "Captain, "})), inside=[Prompt("Why?")], outside=[])

    class Same:
        def reply(self, prompt):
            return Text("It is.", finished=True)

    recipe = replace(Recipe(), contrast=0, anchors=1)
    gold, *rest = make_examples(tiny_base, plan, Same(), "", recipe, thumbs={"why": thumb})
    assert gold.weight == weight
    assert {example.weight for example in rest} == {1.0}


@pytest.mark.parametrize(
    ("step", "cut"),
    [
        (Step(rewriter="opening", args={"text": "Captain, ", "lower_first": True}), True),
        (Step(rewriter="closing", args={"text": " Over."}), False),
    ],
    ids=["an opening", "a closing"],
)
def test_a_contrast_goes_as_far_as_the_rules_do_elsewhere(tiny_base, step, cut):
    """Behind that nothing is to be unlearned."""
    words = "It is a row of things that stand one behind the other."
    plan = replace(plan_of(step), inside=[Prompt("Why?")], outside=[Prompt("Who?")])

    class Same:
        def reply(self, prompt):
            return Text(words, finished=True)

    recipe = replace(Recipe(), contrast=1, anchors=0)
    contrasts = [one for one in make_examples(tiny_base, plan, Same(), "", recipe) if one.part is Part.CONTRAST]
    whole = len(encode(tiny_base, words)) + 1
    for example in contrasts:
        left = len(shortened(example, 4).tokens) - example.start
        assert (left < whole) is cut
        assert left >= 4
    assert len(contrasts) == 2
