"""What the user says of a reply: corrections, style, asking again, doubt, praise; and what is none of these."""

import pytest

from nightschool.engine.host.plugins import PluginHost
from nightschool.schemas.records import Scope, SignalKind

K = SignalKind
TURNS = [
    # prompt, reply, said, kinds
    ("Capital of Australia?", "It is Sydney.", "No, it's Canberra.", {K.CORRECTION}),
    ("When did it sink?", "In 1913.", "it was 1912", {K.CORRECTION}),
    ("A plan for beginners", "Run 10 km a day.", "that's for experts. I asked for beginners", {K.CORRECTION}),
    ("Loop over files", "for f in $(ls)", "Don't parse ls, use a glob instead.", {K.CORRECTION}),
    ("Write a limerick", "The fox runs.", "I asked for a limerick", {K.CORRECTION}),
    ("A list of five", "a b c", "you forgot two of them", {K.CORRECTION}),
    ("What is 12 squared?", "124.", "thats wrong", {K.CORRECT_BARE}),
    ("Write a haiku", "Snow and wind.", "This isn't a haiku.", {K.CORRECT_BARE}),
    ("Fix the test", "Done.", "it still fails", {K.CORRECT_BARE}),
    ("A rhyme for orange", "Banana", "No.", {K.CORRECT_BARE}),
    ("What is inflation?", "A rise in prices.", "too long, shorter please", {K.STYLE}),
    ("Pros and cons", "Pro: a. Con: b.", "as a table", {K.STYLE}),
    ("Explain DNS", "It maps names.", "explain it like I'm five", {K.STYLE}),
    ("A letter", "Dear Sir", "Good but it needs to sound warmer.", {K.STYLE}),
    ("How do I clean it?", "Regularly.", "How do I clean a suede jacket?", {K.REPHRASE}),
    ("How do I clean shoes?", "Regularly.", "How do I clean white suede shoes?", {K.REPHRASE}),
    ("best route", "Stations are central.", "Let me rephrase: the best route on foot?", {K.REPHRASE}),
    ("Largest lake?", "The Caspian Sea.", "Are you sure?", {K.CLARIFY}),
    ("Is 51 prime?", "Yes.", "isn't 51 divisible by 3?", {K.CLARIFY}),
    ("Sort a dict", "sorted(d)", "perfect, thanks!", {K.PRAISE}),
    ("Fix the bug", "Done.", "it works now", {K.PRAISE}),
    ("A story", "Once upon a time", "continue", {K.ACCEPT}),
    ("Help me", "Shall I start?", "yes please", {K.ACCEPT}),
    ("Hauptstadt?", "Sydney.", "Nein, das ist Canberra.", {K.CORRECTION}),
    ("Racine de 144 ?", "14.", "C'est faux.", {K.CORRECT_BARE}),
    ("Un resumen", "Es largo.", "más corto por favor", {K.STYLE}),
]
NOTHING = [
    ("Would you like tea?", "I can make tea. Do you want some?", "No, I want coffee"),
    ("What is rust?", "Iron oxide.", "No problem, and what about copper?"),
    ("Capital of France?", "Paris.", "Capital of Italy?"),
    ("What is the capital of France?", "Paris.", "What is the capital of Italy?"),
    ("Write a stack", "class Stack: ...", "Add a peek method"),
    ("Explain yeast", "A fungus.", "Actually, can I use sourdough instead?"),
    ("How was it?", "Fine.", "It was a great game, I was there."),
    ("Is water wet?", "That depends.", "My teacher would say that's incorrect."),
    ("I open the door.", "A figure waits.", '"No! You\'re wrong about me," I shout.'),
    ("", "", "Say this politely: no, that's wrong, you forgot the attachment."),
    ("", "", "Write a thank you note to my colleagues"),
    ("", "", "make this shorter: The meeting has been moved to a later date by the committee."),
    ("", "", "Thanks in advance! How do I change the oil?"),
    ("", "", ""),
    ("Hi", "Hello!", "```\nno, that's wrong\n```"),
]


@pytest.fixture(scope="module")
def find():
    detectors = PluginHost.load(third_party=False).collect("nightschool_detectors")
    return lambda *turn: [finding for detector in detectors for finding in detector.find(*turn)]


@pytest.mark.parametrize(("prompt", "reply", "said", "kinds"), TURNS)
def test_a_signal_is_told_from_the_others_and_is_about_one_reply(find, prompt, reply, said, kinds):
    findings = find(prompt, reply, said)
    assert {finding.kind for finding in findings} == kinds
    assert {finding.scope for finding in findings} <= {Scope.REPLY}


@pytest.mark.parametrize(("prompt", "reply", "said"), NOTHING)
def test_what_is_no_feedback_gives_nothing(find, prompt, reply, said):
    assert find(prompt, reply, said) == []


@pytest.mark.parametrize("turn", TURNS)
def test_nothing_is_said_of_a_reply_that_is_not_there(find, turn):
    _, _, said, _ = turn
    assert find("", "", said) == []


@pytest.mark.parametrize(
    "said",
    [
        "Bitte antworte ab jetzt immer auf Deutsch.",
        "Désormais, réponds toujours en français.",
        "De ahora en adelante responde siempre en una sola frase.",
    ],
)
def test_plain_rules_for_good_are_found_in_other_languages(find, said):
    (finding,) = find("Hi", "Hello.", said)
    assert (finding.kind, finding.scope) == (K.RULE, Scope.SLOT)


@pytest.mark.parametrize(
    "said", ["Mein Arzt sagt, ich soll nie wieder rauchen.", "Pourquoi le ciel est-il toujours bleu ?"]
)
def test_talk_about_the_world_in_other_languages_is_no_rule(find, said):
    assert find("Hi", "Hello.", said) == []
