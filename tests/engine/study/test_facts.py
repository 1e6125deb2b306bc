"""Facts as questions and an answer, and what a study makes of them."""

import pytest

from nightschool.engine.study import compose
from nightschool.engine.study.facts import lesson_from_fact, understand_fact
from nightschool.engine.study.plan import applies, make_plan
from nightschool.engine.study.prompts import Prompt, normal
from nightschool.engine.study.proof import prove_plan
from nightschool.engine.study.recipe import Recipe
from nightschool.schemas.errors import UsageError
from nightschool.schemas.records import Lesson, Step

TOLD = {
    "My name is Ada.": ("your name", "Your name is Ada.", "Ada"),
    "my name's Ada Byron": ("your name", "Your name is Ada Byron.", "Ada Byron"),
    "I'm called Ada.": ("your name", "Your name is Ada.", "Ada"),
    "My dog is called Rex.": ("your dog's name", "Your dog's name is Rex.", "Rex"),
    "My dog's name is Rex.": ("your dog's name", "Your dog's name is Rex.", "Rex"),
    "My favourite colour is dark green.": (
        "your favourite colour",
        "Your favourite colour is dark green.",
        "dark green",
    ),
    "My kids are Tom and Eva.": ("your kids", "Your kids are Tom and Eva.", "Tom and Eva"),
    "I live in Bergen.": ("where you live", "You live in Bergen.", "Bergen"),
    "I live near my sister.": ("where you live", "You live near your sister.", "your sister"),
    "I was born in Oslo.": ("where you were born", "You were born in Oslo.", "Oslo"),
    "I grew up on a farm.": ("where you grew up", "You grew up on a farm.", "a farm"),
    "I am from Chile": ("where you are from", "You are from Chile.", "Chile"),
    "I work as a baker.": ("your work", "You work as a baker.", "a baker"),
    "I'm allergic to nuts.": ("what you cannot eat", "You are allergic to nuts.", "nuts"),
    "I am 42 years old.": ("your age", "You are 42 years old.", "42"),
    "I speak Dutch.": ("what you speak", "You speak Dutch.", "Dutch"),
    "I don't eat meat.": ("what you do not eat", "You do not eat meat.", "meat"),
    "I'm a nurse.": ("what you are", "You are a nurse.", "a nurse"),
    "I am vegan": ("what you are", "You are vegan.", "vegan"),
}


@pytest.mark.parametrize(("text", "told"), TOLD.items(), ids=TOLD)
def test_a_fact_is_told_back_to_the_user(text, told):
    fact = understand_fact(text)
    assert (fact.about, fact.answer, fact.key) == told


@pytest.mark.parametrize("text", TOLD)
def test_it_is_asked_for_in_forms_that_are_checked_apart_and_not_by_what_sounds_alike(text):
    fact = understand_fact(text)
    asked, held_out, others = ({normal(p.text) for p in some} for some in (fact.asked, fact.held_out, fact.strangers))
    assert len(asked) >= 24
    assert len(held_out) >= 6
    assert len(others) >= 6
    assert not asked & held_out
    assert not (asked | held_out) & others
    assert not any("{" in prompt or "  " in prompt for prompt in asked | held_out | others)
    assert all(fact.is_asked(Prompt(prompt.text.lower())) for prompt in (*fact.asked, *fact.held_out))
    assert not any(map(fact.is_asked, fact.strangers))


@pytest.mark.parametrize(
    "text", ["Likes elves.", "It rains.", "My name", "", "I think that one should always be kind."]
)
def test_what_cannot_be_asked_for_stays_a_note(text):
    assert understand_fact(text) is None
    with pytest.raises(UsageError, match="stays a note"):
        lesson_from_fact(text)


def taught(text, number=1):
    draft = lesson_from_fact(text)
    return Lesson(id=number, slot="science", state=draft.state, rule=draft.rule, steps=draft.steps)


@pytest.fixture
def rewriters(plugins):
    return plugins.collect("nightschool_rewriters")


def test_it_is_taught_on_its_questions_alone_and_held_off_what_sounds_alike(rewriters):
    lesson, fact = taught("My name is Ada."), understand_fact("My name is Ada.")
    plan = make_plan(rewriters, [], [lesson], Recipe())
    assert set(plan.inside) == set(fact.asked)
    assert set(plan.held_inside) == set(fact.held_out)
    assert {prompt.text for prompt in plan.outside} > {prompt.text for prompt in fact.strangers[2:]}
    assert set(plan.held_outside) > set(fact.strangers[:2])
    assert prove_plan(plan).shared == 0
    assert not applies(lesson, Prompt("What is rust?"))


def test_a_rule_for_every_reply_holds_for_the_answer_too(rewriters):
    rule = Lesson(
        id=2, slot="science", state="learned", rule="", steps=[Step(rewriter="opening", args={"text": "Sir, "})]
    )
    plan = make_plan(rewriters, [rule], [taught("My name is Ada.")], Recipe())
    asked = understand_fact("My name is Ada.").held_out[0]
    assert compose.apply(rewriters, plan.steps(asked), "I am a helper.") == "Sir, Your name is Ada."
    assert compose.apply(rewriters, plan.steps(Prompt("What is rust?")), "It is iron.") == "Sir, It is iron."


def test_of_two_facts_about_the_same_the_later_one_counts(rewriters):
    lessons = [taught("My name is Ada."), taught("I'm called Bea.", 2)]
    plan = make_plan(rewriters, lessons[:1], lessons[1:], Recipe())
    asked = understand_fact("My name is Ada.").asked[0]
    assert compose.apply(rewriters, plan.steps(asked), "") == "Your name is Bea."
    assert not plan.asks(lessons[0], asked)


def test_a_reply_that_tells_it_already_stays_and_a_like_word_is_not_it(rewriters):
    steps = lesson_from_fact("My name is Ada.").steps
    assert compose.apply(rewriters, steps, "You told me: Ada!") == "You told me: Ada!"
    assert not compose.holds(rewriters, steps, "You like adaptations.")


def test_a_lesson_in_other_words_is_read_back(rewriters):
    (fact,) = [rewriter for rewriter in rewriters if rewriter.name == "fact"]
    for text in TOLD:
        (args,) = fact.read(taught(text).rule)
        assert understand_fact(args["text"]).answer == understand_fact(text).answer
    assert fact.read("Your name is Bea.") == fact.read("Know: My name is Ada.") == []
