"""``nightschool models`` over the scripted engine: words, documents, progress, questions and exit codes."""

import json

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import ModelDamaged, ModelInUse, UnsupportedFamily
from nightschool.schemas.models import KnownBase, KnownBases
from nightschool.tui.cli import run
from nightschool.tui.scripted import ScriptedEngine


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def call(engine, monkeypatch, tmp_path, capsys):
    """Run ``nightschool models ...``; gives exit code, stdout and stderr."""
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path))

    def run_it(*arguments):
        code = run(["models", *arguments], lambda home, model: engine)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_it


def asked(engine, cls):
    return [request for request in engine.asked if isinstance(request, cls)]


def test_the_list_says_what_fits_what_is_here_and_what_would_be_more(call, engine):
    code, out, err = call()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    default = next(line for line in lines if line.startswith("default"))
    assert "fits well" in default and "comes along" in default and default.endswith("in use")
    mistral = next(line for line in lines if line.startswith("mistral-7b"))
    assert "7.2B" in mistral and "4.5 GB" in mistral and "too large" in mistral and "14.5 GB" in mistral
    assert "    Fluent, direct writing in English. Languages: English first." in lines
    here = lines[lines.index(next(line for line in lines if line.startswith("ON THIS MACHINE"))) + 1]
    assert here.split() == ["SmolLM2-135M-Instruct", "0.5", "GB", "abababababab", "-", "default"]
    assert "holds Qwen2.5-1.5B-Instruct as well: a good first step up." in lines[-1]
    assert engine.state.state == "asleep", "a base was loaded for a list"


def test_the_list_gives_its_record(call, engine):
    code, out, _ = call("list", "--json")
    assert code == 0
    assert KnownBases.model_validate_json(out).rows == list(engine.bases.values())


def test_a_broken_pull_and_a_spoilt_base_stand_in_the_list(call, engine):
    engine.bases["a"] = KnownBase(spec="a", title="Half", source="", partial=5_000_000)
    engine.bases["b"] = KnownBase(spec="b", title="\x1b[31mSpoilt", source="b", installed=True, trouble="b is spoilt.")
    _, out, _ = call()
    assert "Half" in out and "5 MB" in out and "b is spoilt." in out and "\x1b" not in out


def test_pull_tells_how_far_it_is_and_gives_the_row(call, engine):
    code, out, err = call("pull", "qwen2.5-1.5b")
    assert code == 0 and "Qwen2.5-1.5B-Instruct" in out and "nightschool models use qwen2.5-1.5b" in out
    lines = err.splitlines()
    assert lines[0] == "  0%  Fetching weights" and lines[-1] == "100%  Fetching weights" and 5 < len(lines) < 13
    assert engine.bases["qwen2.5-1.5b"].installed
    code, out, _ = call("pull", "other/base", "--json")
    assert KnownBase.model_validate_json(out).spec == "other/base"


@pytest.mark.parametrize(
    ("error", "code"),
    [(UnsupportedFamily("Not this one."), 13), (ModelDamaged("Spoilt."), 12), (ModelInUse("Another is fetched."), 15)],
)
def test_pull_ends_with_the_code_of_its_error(call, engine, error, code):
    engine.fail["models.pull"] = error
    found, out, err = call("pull", "x", "--json")
    assert (found, out) == (code, "")
    assert json.loads(err)["error"] == {"code": type(error).__name__, "message": str(error), "exit_code": code}


def test_use_chooses_what_is_here_and_nothing_else(call, engine):
    assert call("use", "qwen2.5-1.5b")[0] == 11
    call("pull", "qwen2.5-1.5b")
    code, out, _ = call("use", "qwen2.5-1.5b")
    assert code == 0 and out == "Qwen2.5-1.5B-Instruct answers from the next start on.\n"
    assert engine.bases["qwen2.5-1.5b"].chosen and not engine.bases["default"].chosen


def test_remove_asks_nobody_who_is_not_there(call, engine):
    call("pull", "qwen2.5-1.5b")
    code, _, err = call("remove", "qwen2.5-1.5b")
    assert code == 2 and "--yes" in err and asked(engine, ask.RemoveModel) == []
    code, out, _ = call("remove", "qwen2.5-1.5b", "--yes")
    assert (code, out) == (0, "Removed; 9 MB came free.\n")
    assert call("remove", "qwen2.5-1.5b", "--yes", "--json")[0] == 11


def test_what_is_needed_is_removed_by_force_alone(call, engine):
    call("pull", "qwen2.5-1.5b")
    call("use", "qwen2.5-1.5b")
    assert call("remove", "qwen2.5-1.5b", "--yes")[0] == 15
    assert json.loads(call("remove", "qwen2.5-1.5b", "--yes", "--force", "--json")[1])["bytes"] == 9_000_000


def test_the_question_is_asked_in_a_terminal(call, engine, monkeypatch):
    answers = iter(["n\n", "y\n"])
    call("pull", "qwen2.5-1.5b")
    for name in ("stdin", "stderr"):
        monkeypatch.setattr(f"sys.{name}.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: next(answers))
    assert call("remove", "qwen2.5-1.5b")[0] == 130 and engine.bases["qwen2.5-1.5b"].installed
    assert call("remove", "qwen2.5-1.5b")[0] == 0 and not engine.bases["qwen2.5-1.5b"].installed
