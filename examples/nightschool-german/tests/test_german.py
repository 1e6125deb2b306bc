"""The suites that every detector and command must pass, and what this plugin is for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.lessons import find_corrections
from nightschool.schemas.records import Lesson, LessonState, Scope
from nightschool.testing import Check, items_of, suite

import nightschool_german


@pytest.mark.parametrize("check", [*suite("detector"), *suite("command")], ids=str)
def test_it_does_what_its_kind_must(check: Check) -> None:
    check(nightschool_german)


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("Antworte ab jetzt immer in Kleinbuchstaben.", "Always answer in lowercase."),
        ("Bitte nie wieder Ausrufezeichen!", "Never use exclamation marks."),
        ("Verwende künftig keine Emojis mehr.", "Never use emojis."),
        ("Antworte in Zukunft in einem Satz.", "Answer in one sentence."),
        ("Ab sofort in höchstens 40 Wörtern antworten.", "Always answer in at most 40 words."),
        ("Beginne jede Antwort ab heute mit „Moin“.", "Start every reply with “Moin”."),
        ('Beende von nun an alles mit "Gruß".', "End every reply with “Gruß”."),
        ("Schreib immer in Stichpunkten.", "Use bullet points."),
    ],
)
def test_a_german_rule_for_good_can_be_taught(said: str, rule: str) -> None:
    (item,) = items_of(nightschool_german, "detector")
    (finding,) = item.find("Was ist Inflation?", "Inflation ist!", said)
    assert (finding.rule, finding.scope) == (rule, Scope.SLOT)
    host = PluginHost.load(third_party=False)
    host.add("german", nightschool_german)
    drafts = find_corrections(host, "Was ist Inflation?", "Inflation ist!", said)
    assert any(draft.steps and draft.state is LessonState.APPROVED for draft in drafts)


@pytest.mark.parametrize(
    "said",
    [
        "Was ist ein Ausrufezeichen?",
        "Soll man Emojis nie verwenden?",
        "Mein Chef schreibt alles klein.",
        "Danke, sehr schön!",
        "x" * 5000,
    ],
)
def test_what_asks_for_nothing_teaches_nothing(said: str) -> None:
    (item,) = items_of(nightschool_german, "detector")
    assert item.find("Hallo", "Hallo!", said) == []


def test_for_once_is_not_for_good() -> None:
    (item,) = items_of(nightschool_german, "detector")
    (finding,) = item.find("Hallo", "Hallo!", "Bitte ohne Emojis.")
    assert finding.scope is Scope.REPLY


def test_the_week_is_told_in_german() -> None:
    (item,) = items_of(nightschool_german, "command")
    lesson = Lesson(id=1, slot="science", state=LessonState.LEARNED, rule="x", created=4e9)
    context = SimpleNamespace(slot="", conversation=None, lessons=lambda slot: [lesson])
    assert "1 gelernt" in item.run(context, [])
    assert item.run(context, ["--json"]) == '{"lessons": 1, "states": {"learned": 1}}'
