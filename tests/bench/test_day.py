"""The night after a day of chats, over an engine that follows a script."""

from __future__ import annotations

import json
import sys

import pytest

from nightschool.bench import day
from nightschool.schemas import messages as ask
from nightschool.schemas.exchange import ImportReading
from nightschool.schemas.records import Lesson, LessonState, Scope, Step
from nightschool.tui.scripted import ScriptedEngine


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """An engine whose import teaches one rule for good, one edit to be confirmed, and one wish for once."""
    engine = ScriptedEngine()
    kinds = (LessonState.APPROVED, Scope.SLOT), (LessonState.PROPOSED, Scope.SLOT), (LessonState.PROPOSED, Scope.REPLY)
    engine.reading = ImportReading(
        conversations=10,
        lessons=[
            Lesson(
                id=900 + n, slot="science", state=state, scope=scope, rule=f"Rule {n}.", steps=[Step(rewriter="case")]
            )
            for n, (state, scope) in enumerate(kinds)
        ],
    )
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path))
    monkeypatch.setattr(day, "EngineClient", lambda home, model: engine)
    return engine


async def play(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["day.py", "--json", *arguments])
    assert await day.main() == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_a_day_is_imported_confirmed_studied_and_reported(engine, monkeypatch, capsys, tmp_path):
    report = tmp_path / "morning.md"
    lessons, study, night = await play(monkeypatch, capsys, "--report", str(report))
    assert (lessons["confirmed"], lessons["to_study"]) == (1, 2)
    assert study["accepted"] and study["lessons"]["Rule 1."]["after"] == 0.92
    assert night["name"] == "day_night" and night["minutes_per_night"] >= 0 and night["lessons"] == 2
    assert report.read_text().startswith("# Morning report")
    assert engine.lessons[902].state is LessonState.PROPOSED, "what was meant for once was confirmed"


async def test_who_confirms_nothing_learns_what_was_said_to_be_for_good(engine, monkeypatch, capsys):
    lessons, *_ = await play(monkeypatch, capsys, "--confirm", "none")
    assert (lessons["confirmed"], lessons["to_study"]) == (0, 1)


async def test_one_slot_may_be_studied_alone(engine, monkeypatch, capsys):
    _, night = await play(monkeypatch, capsys, "--only", "gaming")
    assert night["studies"] == 0
    assert not [request for request in engine.asked if isinstance(request, ask.StartStudy)]
