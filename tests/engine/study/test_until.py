"""Ends that rules name, and what is left of the rule."""

from __future__ import annotations

from datetime import datetime

import pytest

from nightschool.engine.study.lessons import lesson_from_rule
from nightschool.engine.study.until import read_end, read_until

NOW = datetime(2026, 11, 25, 9, 30).timestamp()  # a Wednesday


def day_after(text):
    found = read_until(text, NOW)
    return None if found is None else (found.rest, f"{datetime.fromtimestamp(found.end):%Y-%m-%d %H:%M}")


@pytest.mark.parametrize(
    ("text", "rest", "end"),
    [
        ("Until 24 December, answer in one sentence.", "answer in one sentence.", "2026-12-25 00:00"),
        ("Answer briefly until December 24th, 2027.", "Answer briefly .", "2027-12-25 00:00"),
        ("until the 3rd of January use bullets", "use bullets", "2027-01-04 00:00"),
        ("Until Friday, use bullets.", "use bullets.", "2026-11-28 00:00"),
        ("Use bullets until Wednesday", "Use bullets", "2026-12-03 00:00"),
        ("Use bullets till 2026-12-01 please", "Use bullets please", "2026-12-02 00:00"),
        ("For the next two weeks, use bullets", "use bullets", "2026-12-10 00:00"),
        ("for 10 days use bullets", "use bullets", "2026-12-06 00:00"),
        ("for the rest of the month use bullets", "use bullets", "2026-12-01 00:00"),
        ("until the end of the year use bullets", "use bullets", "2027-01-01 00:00"),
        ("until Christmas use bullets", "use bullets", "2026-12-26 00:00"),
        ("until March use bullets", "use bullets", "2027-03-01 00:00"),
        ("until tomorrow use bullets", "use bullets", "2026-11-26 00:00"),
        ("For a week, use bullets", "use bullets", "2026-12-03 00:00"),
        ("Use bullets for the rest of the year, please.", "Use bullets please.", "2027-01-01 00:00"),
        ("Use bullets for two weeks.", "Use bullets .", "2026-12-10 00:00"),
        ("Please, for this week, use bullets", "Please use bullets", "2026-11-30 00:00"),
        ("From now on for ten days use bullets", "From now on use bullets", "2026-12-06 00:00"),
        ("When I ask for code, use bullets until Friday", "When I ask for code, use bullets", "2026-11-28 00:00"),
        (
            "Until Friday, when I ask for a week plan, use a table.",
            "when I ask for a week plan, use a table.",
            "2026-11-28 00:00",
        ),
        ("Begin with “For a week” until Friday", "Begin with “For a week”", "2026-11-28 00:00"),
    ],
)
def test_the_end_is_read_and_the_rest_is_left(text, rest, end):
    assert day_after(text) == (rest, end)


@pytest.mark.parametrize(
    "text",
    [
        "Until further notice, use bullets.",
        "Until I say so, use bullets.",
        "Answer in three sentences.",
        "Use bullets for recipes.",
        "Until 31 February, use bullets.",
        "When I ask for the year something happened, answer in one sentence.",
        "When I ask for a month plan, use a table.",
        "Use a table when I ask for a month plan.",
        "Answer in one sentence when I ask for the year.",
        "For a month plan, use a table.",
        "For this year's taxes, use a table.",
        "When I ask what is open until Friday, use bullets.",
        "End every reply with 'See you until Friday!'",
        "End every reply with “This is for the next two weeks.”",
    ],
)
def test_where_no_day_is_named_there_is_no_end(text):
    assert day_after(text) is None


@pytest.mark.parametrize(
    ("text", "end"),
    [("30d", 30 * 86400.0), ("2 weeks", 14 * 86400.0), ("1m", 30 * 86400.0)],
)
def test_what_is_entered_may_be_a_length(text, end):
    assert read_end(text, NOW) == NOW + end


def test_what_is_entered_may_be_a_day_with_or_without_until():
    assert read_end("2026-12-24", NOW) == read_end("until 24 December", NOW) == read_end("December 24", NOW)
    assert read_end("friday", NOW) == datetime(2026, 11, 28).timestamp()
    assert read_end("soon", NOW) is None


@pytest.mark.parametrize("text", ["9999y", "9999 years", "999 years", "for 999 years"])
def test_an_end_that_no_calendar_shows_is_none(text):
    assert read_end(text, NOW) is None


def test_a_rule_with_an_end_asks_for_the_same_as_one_without(plugins):
    ends = lesson_from_rule(plugins, "Until 24 December, please always answer in at most fifty words.", NOW)
    assert ends.expires == datetime(2026, 12, 25).timestamp()
    assert ends.steps == lesson_from_rule(plugins, "Please always answer in at most fifty words.").steps
    assert not ends.when
