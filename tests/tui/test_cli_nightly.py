"""``nightschool nightly run`` and ``status`` over the scripted engine."""

import json
import time

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import Locked
from nightschool.schemas.records import Night
from nightschool.tui.cli import run
from nightschool.tui.scripted import ScriptedEngine


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def call(engine, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    def run_it(*arguments):
        engine._listeners.clear()
        engine._lost.clear()
        code = run([*arguments], lambda home, model: engine)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_it


def teach(call):
    assert call("ask", "Always begin your reply with Captain.")[0] == 0


def test_a_night_is_spent_and_read_about(call, engine):
    teach(call)
    code, out, _ = call("nightly", "run")
    assert code == 0
    assert "Slot " in out and ": accepted" in out
    code, out, _ = call("nightly", "status")
    assert code == 0
    assert "No night is installed" in out and "Lessons that wait: none." in out
    assert out.splitlines()[-1].split()[-1] == "1"


def test_json_holds_the_night_and_its_studies(call, engine):
    teach(call)
    code, out, _ = call("nightly", "run", "--json", "--least", "1", "--on-battery")
    found = json.loads(out)
    assert code == 0
    assert [study["id"] for study in found["studies"]] == found["night"]["studies"]
    assert ask.RunNight(least=1, on_battery=True) in engine.asked


def test_a_night_that_was_not_missed_is_not_spent_again(call, engine):
    assert call("nightly", "run")[0] == 0
    code, out, _ = call("nightly", "run", "--if-missed")
    assert code == 0 and "nothing to catch up" in out
    assert sum(isinstance(request, ask.RunNight) for request in engine.asked) == 1


@pytest.mark.parametrize(
    ("hours", "spent"), [(5, False), (13, True), (23.75, True), (50, True), (-2, True)], ids=lambda value: str(value)
)
def test_a_night_was_missed_where_the_last_one_began_half_a_day_ago_or_is_yet_to_begin(call, engine, hours, spent):
    """The one before may have begun late, so that a day is not yet over; a clock may have been ahead."""
    began = time.time() - hours * 3600
    engine.nights.append(Night(id=1, started=began, finished=began, studies=[], notes=[]))
    assert call("nightly", "run", "--if-missed")[0] == 0
    assert any(isinstance(request, ask.RunNight) for request in engine.asked) is spent


def test_a_night_that_was_cut_off_goes_on_however_short_ago_it_began(call, engine, tmp_path):
    assert call("nightly", "run")[0] == 0
    (tmp_path / "night.due").touch()
    assert call("nightly", "run", "--if-missed")[0] == 0
    assert sum(isinstance(request, ask.RunNight) for request in engine.asked) == 2


def test_where_the_app_is_open_the_night_is_left_to_it(call, engine, tmp_path, monkeypatch):
    async def locked(request, tell=None):
        raise Locked("Another Night School uses the profile.")

    monkeypatch.setattr(engine, "call", locked)
    code, out, err = call("nightly", "run", "--scheduled")
    assert (code, out) == (0, "") and "ten minutes" in err
    assert (tmp_path / "night.due").exists()
    code, _, err = call("nightly", "run")
    assert code == 22 and "Another Night School" in err
