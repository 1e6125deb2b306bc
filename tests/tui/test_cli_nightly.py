"""``nightschool nightly run`` and ``status`` over the scripted engine."""

import json

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import Locked
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


def test_where_the_app_is_open_the_night_is_left_to_it(call, engine, tmp_path, monkeypatch):
    async def locked(request, tell=None):
        raise Locked("Another Night School uses the profile.")

    monkeypatch.setattr(engine, "call", locked)
    code, out, err = call("nightly", "run", "--scheduled")
    assert (code, out) == (0, "") and "ten minutes" in err
    assert (tmp_path / "night.due").exists()
    code, _, err = call("nightly", "run")
    assert code == 22 and "Another Night School" in err
