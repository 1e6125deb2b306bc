"""``nightschool conversations import`` and ``export`` over the scripted engine and over a real one."""

from __future__ import annotations

import json

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas import records as rec
from nightschool.schemas.errors import NotReadable
from nightschool.schemas.exchange import ExportForm, Found, ImportPreview, ImportReading, ImportResult
from nightschool.tui.cli import run
from nightschool.tui.scripted import ScriptedEngine
from nightschool.tui.scripted_exchange import PREVIEW


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def call(engine, monkeypatch, tmp_path, capsys):
    """Run ``nightschool conversations ...``; gives exit code, stdout and stderr."""
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path / "home"))

    def run_it(*arguments, connect=lambda home, model: engine):
        engine._listeners.clear()
        code = run(["conversations", *map(str, arguments)], connect)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_it


@pytest.fixture
def terminal(monkeypatch):
    """Sit at a terminal that answers with the given lines."""

    def answer(*lines):
        for name in ("stdin", "stderr"):
            monkeypatch.setattr(f"sys.{name}.isatty", lambda: True, raising=False)
        answers = iter(lines)
        monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: next(answers))

    return answer


def asked(engine, cls):
    return [request for request in engine.asked if isinstance(request, cls)]


def test_a_dry_run_says_what_would_come_and_imports_nothing(call, engine, tmp_path):
    code, out, err = call("import", "chats.zip", "--dry-run")
    assert code == 0
    assert out.splitlines() == [
        "chats.zip: ChatGPT (conversations.json, or its zip)",
        "3 new conversations with 14 turns, 2024-04-05 to 2024-06-10",
        "2 here already",
        "Left out 1: nothing was said in it",
        "The first: Rye bread · A swing in the oak · Knots",
    ]
    assert err.splitlines()[0] == "  0%  Reading" and err.splitlines()[-1] == "100%  Reading"
    assert asked(engine, ask.RunImport) == [] and engine.state.state == "asleep", "a base was loaded for a file"


def test_an_import_goes_where_it_was_told(call, engine):
    code, out, err = call("import", "chats.zip", "--slot", "Creative", "--yes")
    assert (code, out) == (0, "Imported 3 conversations.\nLeft out 1: nothing was said in it\n") and "Importing" in err
    (request,) = asked(engine, ask.RunImport)
    assert request.slot == "creative" and request.file.startswith("/") and request.file.endswith("/chats.zip")
    call("import", "chats.zip", "--yes")
    assert asked(engine, ask.RunImport)[-1].slot is None


def test_an_import_gives_its_records(call):
    code, out, _ = call("import", "chats.zip", "--yes", "--json")
    found = json.loads(out)
    assert code == 0 and ImportPreview.model_validate(found["preview"]).found == PREVIEW.found
    assert len(ImportResult.model_validate(found["result"]).conversations) == 3


def test_nobody_is_asked_who_is_not_there(call, engine):
    code, out, err = call("import", "chats.zip")
    assert (code, out) == (2, "") and "--yes" in err and "--dry-run" in err and asked(engine, ask.PreviewImport) == []


def test_at_a_terminal_the_preview_is_shown_and_the_slot_asked_for(call, engine, terminal):
    terminal("gaming", "y")
    code, out, err = call("import", "chats.zip")
    assert code == 0 and out.startswith("Imported 3") and "Rye bread" in err and "Into which slot" not in out
    assert asked(engine, ask.RunImport)[0].slot == "gaming"


@pytest.fixture
def taught(engine):
    """An import that teaches: one rule for good, one that waits to be confirmed, one that is refused."""
    states = rec.LessonState.APPROVED, rec.LessonState.PROPOSED, rec.LessonState.REJECTED
    engine.reading = ImportReading(
        conversations=3,
        lessons=[
            rec.Lesson(
                id=number, slot="science", state=state, rule=f"Rule {number}.", steps=[rec.Step(rewriter="case")]
            )
            for number, state in enumerate(states, start=5)
        ],
    )


def test_what_an_import_teaches_is_said_and_waits_to_be_confirmed(call, engine, taught):
    code, out, _ = call("import", "chats.zip", "--yes")
    assert code == 0 and "They teach 3 lessons: 1 said to be for good" in out and "1 to be confirmed" in out
    assert "Rule 6." in out and "lessons approve" in out
    assert asked(engine, ask.UpdateLesson) == []
    found = json.loads(call("import", "chats.zip", "--yes", "--json")[1])["lessons"]
    assert [lesson["id"] for lesson in found["lessons"]] == [5, 6, 7]


def test_at_a_terminal_it_is_asked_which_to_learn(call, engine, taught, terminal):
    terminal("gaming", "y", "9", "6")
    code, out, err = call("import", "chats.zip")
    assert code == 0 and "Say some of 6, or all, or none." in err
    (request,) = asked(engine, ask.UpdateLesson)
    assert (request.lesson, request.state) == (6, rec.LessonState.APPROVED)
    assert out.endswith("3 lessons: 2 said to be for good, which the next study takes; 1 not taught.\n")


def test_an_import_need_not_be_looked_at_for_lessons(call, engine, taught):
    assert "teach" not in call("import", "chats.zip", "--yes", "--no-lessons")[1]
    assert asked(engine, ask.ReadImported) == []


def test_who_says_no_imports_nothing(call, engine, terminal):
    terminal("gaming", "n")
    assert call("import", "chats.zip")[0] == 130
    assert asked(engine, ask.RunImport) == []


def test_a_file_that_names_its_slots_asks_for_none(call, engine, terminal):
    engine.preview = PREVIEW.model_copy(update={"slots": {"cooking": 3}, "new_slots": ["cooking"]})
    terminal("y")
    code, _, err = call("import", "all.jsonl")
    assert code == 0 and "Slots to be made: cooking" in err and asked(engine, ask.RunImport)[0].slot is None


def test_what_brings_nothing_is_not_asked_about(call, engine, terminal):
    engine.preview = ImportPreview(file="", importers=["X"], found=Found(known=5))
    terminal()
    code, out, _ = call("import", "chats.zip")
    assert code == 0 and out.endswith("5 here already\nIt brings nothing that is not here.\n")
    assert asked(engine, ask.RunImport) == []


def test_titles_and_reasons_of_a_file_are_only_text(call, engine):
    spoilt = "\x1b[31m\x9bx\u202e\nnext"
    engine.preview = PREVIEW.model_copy(update={"titles": [spoilt], "found": Found(new=1, skipped={spoilt: 1})})
    for arguments in (["--dry-run"], ["--dry-run", "--json"], ["--yes"]):
        _, out, err = call("import", "chats\x1b.zip", *arguments)
        assert not set(out + err) & set("\x1b\x9b\u202e")


def test_an_error_is_its_exit_code(call, engine):
    engine.fail["imports.preview"] = NotReadable("Not this.")
    assert call("import", "x", "--yes") == (71, "", "Error: Not this.\n")
    assert call("import", "none", "--yes")[0] == 3


# -- over a real engine ------------------------------------------------------------------------------------------------


def test_the_way_out_and_back_in_through_the_real_engine(call, tmp_path, monkeypatch):
    from nightschool.tui.cli.profile import connect_engine

    def real(*arguments):
        code, out, err = call(*arguments, "--json", connect=connect_engine)
        assert code == 0, err
        return json.loads(out)

    file = tmp_path / "chats.jsonl"
    turns = [{"role": "user", "content": "Who are you?\x1b[2J"}, {"role": "assistant", "content": "Nobody."}]
    file.write_text(json.dumps({"messages": turns}) + "\n" + "{broken}\n")
    found = real("import", file, "--slot", "creative", "--yes")
    assert found["result"]["found"]["new"] == 1
    assert found["preview"]["found"]["skipped"] == {"damaged: not valid JSON": 1}
    (number,) = found["result"]["conversations"]
    code, out, _ = call("export", number, "--format", "sharegpt", connect=connect_engine)
    assert code == 0 and json.loads(out)["conversations"][1] == {"from": "gpt", "value": "Nobody."}
    own = tmp_path / "own.jsonl"
    assert real("export", "--format", "nightschool", "--lessons", "--output", own)["conversations"] == 1
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path / "other"))
    again = real("import", own, "--yes")
    assert again["preview"]["slots"] == {"creative": 1} and again["result"]["found"]["new"] == 1
    code, out, _ = call("export", connect=connect_engine)
    assert "creative · " in out and "## openai\n\nNobody." in out


def test_a_reply_of_another_chat_is_shown_under_its_name(call, engine):
    row = engine.add_conversation("gaming", "Chess")
    engine.conversations[row.id] = row.model_copy(update={"origin": "claude"})
    engine.add_message(row.id, rec.Role.ASSISTANT, "E4.")
    engine.add_message(row.id, rec.Role.ASSISTANT, "E5.", version=2)
    out = call("show", row.id)[1]
    assert "claude:\nE4." in out and "Night School, generation 2:\nE5." in out


def test_export_asks_for_what_was_chosen(call, engine, tmp_path):
    row = engine.add_conversation("gaming", "Chess")
    call("export", row.id, "--slot", "gaming", "--format", "nightschool", "--lessons", "--output", tmp_path / "x")
    (request,) = asked(engine, ask.ExportConversations)
    assert (request.form, request.conversations, request.slot) == (ExportForm.NIGHTSCHOOL, [row.id], "gaming")
    assert request.lessons and request.file == str(tmp_path / "x")
