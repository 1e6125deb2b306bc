"""The morning report as Markdown."""

from markdown_it import MarkdownIt

from nightschool.schemas.records import (
    Attempt,
    Blame,
    GateResult,
    LessonOutcome,
    Sample,
    Study,
    StudyReport,
    StudyState,
)
from nightschool.tui.report_markdown import report_markdown

HOSTILE = "# Big | <script>x</script>\n\n- `code` *bold* [link](http://x) \x1b[31mred"


def study(**changes):
    sample = Sample(prompt=HOSTILE, before=HOSTILE, after="Captain, it is.", followed=True)
    outcome = LessonOutcome(lesson=1, rule=HOSTILE, before=0.0, after=0.92, samples=[sample])
    gate = GateResult(name="kept_kl", passed=False, value=0.2, limit=0.1, text="The rest moved | too far.")
    report = StudyReport(accepted=False, reason=HOSTILE, outcomes=[outcome], gates=[gate], steps=80)
    values = {"id": 4, "slot": "science", "state": StudyState.REJECTED, "lessons": [1], "started": 0.0}
    return Study(**{**values, "report": report, **changes})


def tokens(text):
    return MarkdownIt("commonmark").enable("table").parse(text)


def test_everything_measured_stands_in_the_document():
    text = report_markdown([study()], ["gaming: it waits."])
    for words in ("## science: rejected", "0% | 92% |", "**failed** | kept\\_kl | 0.2 | 0.1", "- gaming: it waits."):
        assert words in text


def test_what_people_and_models_said_is_never_read_as_markdown():
    parsed = tokens(report_markdown([study()]))
    headings = [parsed[place + 1].content for place, token in enumerate(parsed) if token.type == "heading_open"]
    assert [heading.split(":")[0] for heading in headings] == [
        "Morning report", "science", "What it learned", "Gates", "The same questions, before and after",
    ]  # fmt: skip
    inside = [child for token in parsed for child in token.children or ()]
    assert not any(child.type in {"link_open", "code_inline", "html_inline", "em_open"} for child in inside)
    assert "\x1b" not in report_markdown([study()])
    rows = [token for token in parsed if token.type == "tr_open"]
    assert len(rows) == 2 + 2


def test_a_night_without_studies_says_why():
    text = report_markdown([], ["No lesson waited in any slot."])
    assert "Nothing was studied." in text and "No lesson waited" in text


def test_what_was_tried_before_is_told_in_order():
    gate = GateResult(name="kept_kl", passed=False, value=0.2, limit=0.1, text="The rest moved too far.")
    missed = gate.model_copy(update={"name": "sticks", "text": "Followed on 0%: End with “Over.”", "lesson": 2})
    report = StudyReport(
        accepted=False,
        reason="It moves too much.",
        blamed=[
            Blame(lessons=[2], rules=["End with “Over.”"], failed=[missed]),
            Blame(lessons=[], rules=[], failed=[gate]),
        ],
        tried=[Attempt(scale=0.9, failed=[gate])],
    )
    text = report_markdown([study(report=report)])
    said = ["Trained again without “End with “Over.””: Followed on 0%", "more softly", "Too strong at 90%: The rest"]
    places = [text.find(words) for words in said]
    assert -1 not in places and places == sorted(places)
