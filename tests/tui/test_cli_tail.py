"""``nightschool tail`` over the scripted engine."""

import json

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import BaseMismatch
from nightschool.schemas.models import PulledTail
from nightschool.tui.cli import run
from nightschool.tui.scripted import ScriptedEngine


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def call(engine, monkeypatch, tmp_path, capsys):
    """Run ``nightschool ...``; gives exit code, stdout and stderr."""
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path))

    def run_it(*arguments):
        code = run(list(arguments), lambda home, model: engine)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_it


def test_a_pull_says_how_far_it_is_what_came_and_what_share_that_is(call, engine):
    code, out, err = call("tail", "pull", "--from", "home", "--cut", "8", "--hub", "a/b@main")
    assert code == 0
    assert "Large-70B, last 8 blocks" in out
    assert "The tail is 18,000 MB, 13% of 141,000 MB in all." in out
    assert "nightschool models use Large-70B-tail8-0123abcd" in out and "nightschool providers use home" in out
    assert err.splitlines()[-1].startswith("100%")
    (asked,) = [request for request in engine.asked if isinstance(request, ask.PullTail)]
    assert (asked.server, asked.cut, asked.hub, asked.use) == ("home", 8, "a/b@main", False)
    assert engine.state.state == "asleep", "a base was loaded to fetch another"
    assert "Large-70B, last 8 blocks" in call("models")[1]


def test_it_can_be_used_at_once_and_given_as_its_record(call, engine):
    code, out, _ = call("tail", "pull", "--from", "home", "--use", "--json")
    found = PulledTail.model_validate_json(out)
    assert code == 0 and found.chosen and found.base.upper == 8
    assert "with home" in call("tail", "pull", "--from", "home", "--use")[1]


def test_what_is_refused_has_its_code(call, engine):
    engine.fail["tails.pull"] = BaseMismatch("Another base.")
    code, out, err = call("tail", "pull", "--from", "home", "--json")
    assert (code, out) == (14, "") and json.loads(err)["error"]["code"] == "BaseMismatch"
    assert call("tail", "pull", "--from", "home", "--fingerprint", "Qwen")[0] == 2
    assert call("tail", "pull")[0] == 2
