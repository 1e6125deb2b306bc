"""Rules in ordinary English, and what each asks of which rewriter."""

import pytest

from nightschool.engine.study.lessons import split_condition
from nightschool.plugins.rewriters import case, closing, ending, layout, length, marks, opening, terms

REWRITERS = [
    rewriter
    for module in (opening, closing, ending, length, case, terms, layout, marks)
    for rewriter in module.nightschool_rewriters()
]


def read(rule):
    _, rest = split_condition(rule)
    return {(rewriter.name, _brief(args)) for rewriter in REWRITERS for args in rewriter.read(rest)}


def _brief(args):
    kept = {name: value for name, value in args.items() if name not in ("lower_first", "guess", "mark", "whole")}
    return "/".join(str(value) for value in kept.values())


RULES = {
    "Start every reply with 'Captain, '.": {("opening", "Captain, ")},
    "Start every reply with “Captain,”": {("opening", "Captain, ")},
    "Begin with the words “For example,”": {("opening", "For example, ")},
    "Begin all answers with Ahoy!": {("opening", "Ahoy! ")},
    "Please open each message with the line 'Dear reader'.": {("opening", "Dear reader\n")},
    'Every answer must begin with "TL;DR:".': {("opening", "TL;DR: ")},
    "Call me Captain.": {("opening", "Captain, ")},
    "From now on, address me as Doctor Lee.": {("opening", "Doctor Lee, ")},
    "Say 'Aye aye' before you answer.": {("opening", "Aye aye, ")},
    "Always address me as Dr. Lee at the start.": {("opening", "Dr. Lee, ")},
    "From now on every answer has to start with the word Indeed and a comma.": {("opening", "Indeed, ")},
    "start every message with yo from now on": {("opening", "yo, ")},
    "Begin each reply with a rocket emoji.": {("opening", "🚀 ")},
    "Each time, close with the line '-- The Lab'.": {("closing", "\n-- The Lab")},
    "End your replies with a thumbs up emoji from now on.": {("closing", " 👍")},
    "Please add a smiley at the end of every message.": {("closing", " 🙂")},
    "always sign with ~J": {("closing", "\n~J")},
    "Always end by asking what I think.": {("closing", " What do you think?")},
    "Don't write more than 50 words ever again.": {("length", "words/50")},
    "Always reply with a single word.": {("length", "words/1")},
    "Please begin with a one-word summary.": set(),
    "Please write shorter sentences from now on.": set(),
    "Never give me more than five bullet points.": set(),
    "Always say 'kilometres', never 'kilometers'.": {("terms", "kilometers/kilometres")},
    "No more 'Certainly!' please.": {("terms", "Certainly!/")},
    "I hate it when you start with 'Great question!'.": {("terms", "Great question!/")},
    "Enough with the exclamation marks!": {("marks", "exclamation")},
    "Don't forget to end each answer with 'Namaste'.": {("closing", " Namaste")},
    "Append '#ai' to every answer.": {("closing", " #ai")},
    "Your replies should never be longer than three sentences.": {("length", "sentences/3")},
    "I never want to see the word 'delve' again.": {("terms", "delve/look")},
    "The word 'literally' is banned from now on.": {("terms", "literally/")},
    "Exclamation marks are forbidden from now on.": {("marks", "exclamation")},
    "uppercase from now on!!!": {("case", "upper")},
    "Put 'Answer:' at the start of each reply.": {("opening", "Answer: ")},
    "Start your replies with a 🎉.": {("opening", "🎉 ")},
    "End every reply with the line '-- the night owl'": {("closing", "\n-- the night owl")},
    "Always sign off as Bob.": {("closing", "\n-- Bob")},
    "Sign your replies with 'Max'": {("closing", "\n-- Max")},
    'Close each answer with "Stay curious!"': {("closing", " Stay curious!")},
    "Add 'Over and out.' at the end of every message": {("closing", " Over and out.")},
    "The last line of every reply should be 'Cheers'.": {("closing", "\nCheers")},
    "Each time you answer, finish with the phrase Over and out.": {("closing", " Over and out.")},
    "End each reply with the words See you soon!": {("closing", " See you soon!")},
    "End with a question.": {("closing", " Would you like to know more?")},
    "Always ask a follow-up question at the end.": {("closing", " Would you like to know more?")},
    "Finish every answer with a short question for me.": {("closing", " Would you like to know more?")},
    "Answer in exactly one sentence.": {("length", "sentences/1")},
    "no more than 30 words": {("length", "words/30")},
    "Keep it under two sentences": {("length", "sentences/1")},
    "Use at most twenty words per answer.": {("length", "words/20")},
    "Answer with fewer than 50 words.": {("length", "words/49")},
    "Keep replies to three sentences or less.": {("length", "sentences/3")},
    "Reply with 2-3 sentences.": {("length", "sentences/3")},
    "Give one-sentence answers.": {("length", "sentences/1")},
    "Answer in a single paragraph.": {("length", "paragraphs/1"), ("layout", "paragraph")},
    "Be brief.": {("length", "sentences/2")},
    "Write in all lowercase.": {("case", "lower")},
    "No capital letters.": {("case", "lower")},
    "Don't use capitals.": {("case", "lower")},
    "Answer in ALL CAPS.": {("case", "upper")},
    "Write everything in uppercase.": {("case", "upper")},
    "Use bullet points.": {("layout", "bullets")},
    "Answer as a bulleted list.": {("layout", "bullets")},
    "Format every reply as a numbered list.": {("layout", "numbers")},
    "No lists, please.": {("layout", "prose")},
    "Stop using bullet points.": {("layout", "prose")},
    "Never use the word 'delve'.": {("terms", "delve/look")},
    "Say 'colour' instead of 'color'.": {("terms", "color/colour")},
    "Use 'folks' rather than 'people'.": {("terms", "people/folks")},
    "Replace 'utilize' with 'use'.": {("terms", "utilize/use")},
    "Instead of 'purchase', write 'buy'.": {("terms", "purchase/buy")},
    "Stop saying 'Certainly!'": {("terms", "Certainly!/")},
    'Never say "As an AI language model".': {("terms", "As an AI language model/")},
    "Avoid the words 'very' and 'really'.": {("terms", "very/"), ("terms", "really/")},
    "No emojis.": {("marks", "emoji")},
    "Never use exclamation marks.": {("marks", "exclamation")},
    "Do not use contractions.": {("marks", "contraction")},
    "No bold text and no headings": {("marks", "bold"), ("marks", "heading")},
    "End every sentence with an exclamation mark.": {("ending", "!")},
    "Write in lowercase and end every reply with 'meow'.": {("case", "lower"), ("closing", " meow")},
    "Start with 'Captain,' and answer in two sentences.": {("opening", "Captain, "), ("length", "sentences/2")},
    "When you explain a concept, start with 'For example,'.": {("opening", "For example, ")},
    "End every reply with 'in one sentence, no lists'": {("closing", " in one sentence, no lists")},
}

NOTHING = """
Explain more about physics.
Answer like a pirate.
Write at least five sentences.
Tell me about capital cities.
Use the metric system.
Don't call me Captain.
Do not sign your replies.
Never ask a question at the end.
Answer in French.
Give the sources.
""".strip().splitlines()


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_read(rule):
    assert read(rule) == RULES[rule]


@pytest.mark.parametrize("rule", NOTHING)
def test_what_no_rewriter_can_do_is_not_read(rule):
    assert read(rule) == set()


@pytest.mark.parametrize("rule", RULES)
def test_what_is_read_can_be_applied_said_and_contradicted(rule):
    text = "Certainly! People utilize colors, e.g. to delve into purchases. It's **very** really good 😊."
    _, rest = split_condition(rule)
    for rewriter in REWRITERS:
        for args in rewriter.read(rest):
            done = rewriter.apply(args, text)
            assert rewriter.holds(args, done)
            assert rewriter.apply(args, done) == done
            assert rewriter.say(args).endswith((".", "!", "?"))
            templates = rewriter.contrary(args)
            assert len(set(templates)) >= 6
            assert all("{prompt}" in template for template in templates)


def test_a_name_keeps_its_capital_after_an_opening():
    apply = REWRITERS[0].apply
    args = {"text": "Captain, ", "lower_first": True}
    assert apply(args, "I think so.") == "Captain, I think so."
    assert apply(args, "NASA is old.") == "Captain, NASA is old."
    assert apply(args, "The sky is blue.") == "Captain, the sky is blue."
    assert apply(args, "Paris is big, and Paris is old.") == "Captain, Paris is big, and Paris is old."


def test_a_replaced_term_keeps_its_capitals_and_its_neighbours():
    (rewriter,) = terms.nightschool_rewriters()
    args = {"from": "utilize", "to": "use"}
    assert rewriter.apply(args, "Utilize it. UTILIZE! We utilize. Utilizes.") == "Use it. USE! We use. Utilizes."
    gone = {"from": "basically", "to": ""}
    assert rewriter.apply(gone, "Basically, it is blue. It is, basically, red.") == "It is blue. It is, red."


def test_marks_leave_clean_text():
    (rewriter,) = marks.nightschool_rewriters()
    assert rewriter.apply({"without": "emoji"}, "Hello 😊 there! 🎉") == "Hello there!"
    assert rewriter.apply({"without": "exclamation"}, "Stop! Now!!") == "Stop. Now."
    assert rewriter.apply({"without": "contraction"}, "It's late. We can't go, and I don't care.") == (
        "It is late. We cannot go, and I do not care."
    )
    assert rewriter.apply({"without": "heading"}, "# Title\nText") == "Title\nText"
