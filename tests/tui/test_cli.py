"""Every command over the scripted engine: what goes to stdout, what to stderr, and the exit code."""

import io
import json
import shlex

import click
import pytest

from nightschool import __version__
from nightschool.engine.paths import Home
from nightschool.schemas import messages as ask
from nightschool.schemas import records as rec
from nightschool.schemas.errors import BaseMismatch, EngineLost, Locked, ModelNotFound
from nightschool.schemas.events import DeltaEvent
from nightschool.tests.engine.test_backup import fill
from nightschool.tui.cli import run
from nightschool.tui.cli.root import COMMANDS, root
from nightschool.tui.scripted import CARD, ScriptedEngine


class Engine(ScriptedEngine):
    """The scripted engine with a doctor, which one life after the other may ask."""

    checks = (ask.Check(name="model", ok=True, text="SmolLM2 computes what its card says."),)

    async def _wake_up(self):
        if self.wake:
            await super()._wake_up()
        else:
            self.state = ask.EngineStatus(state="ready", base=CARD)

    async def _engine_doctor(self, request, tell):
        return list(self.checks)


@pytest.fixture
def engine():
    return Engine()


def asked(engine, cls):
    return [request for request in engine.asked if isinstance(request, cls)]


# -- the whole ---------------------------------------------------------------------------------------------------------


def test_version(call):
    assert call("--version") == (0, f"{__version__}\n", "")


def every_command(group, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


def test_what_help_says_of_a_command_is_what_the_command_says_of_itself():
    for name, (_, words) in COMMANDS.items():
        assert root.get_command(click.Context(root), name).get_short_help_str(200) == words


@pytest.mark.parametrize("path", [path for path, _ in every_command(root)], ids=" ".join)
def test_every_command_has_help_with_examples_that_name_it(call, path):
    code, out, err = call(*path, "--help")
    assert (code, err) == (0, "")
    examples = out.split("Examples:\n")[1]
    assert f"nightschool {path[0]}" in examples


def test_every_example_of_the_help_is_read_as_a_command():
    """An example with an option that does not exist is a mistake of ours, not of the user."""
    for _, command in [((), root), *every_command(root)]:
        for line in command.epilog.replace("\b\n", "").splitlines()[1:]:
            if not line.startswith("  "):
                break
            words = shlex.split(line.split("| ")[-1].split(" > ")[0])
            assert words[0] == "nightschool"
            arguments, context = words[1:], None
            at = root
            while isinstance(at, click.Group):
                context = click.Context(at, context, info_name=at.name)
                at.parse_args(context, list(arguments))
                rest = [*context._protected_args, *context.args]
                if not rest:
                    break
                _, at, arguments = at.resolve_command(context, rest)
            else:
                at.parse_args(click.Context(at, context, info_name=at.name), list(arguments))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nosuch"], "No such command"),
        (["ask"], "Missing argument"),
        (["ask", "--top-p", "3", "x"], "0.0<x<=1.0"),
        (["ask", "--temperature", "-1", "x"], "0.0<=x<=5.0"),
        (["ask", "  "], "no text"),
        (["ask", "x\udcff"], "not valid text"),
        (["ask", "--slot", "science", "--conversation", "1", "x"], "not both"),
        (["edit", "1", "-", "--text", "x"], "not both"),
        (["edit", "1"], "needs a terminal"),
        (["slots", "set", "science"], "Nothing is to be changed"),
        (["lessons", "reword", "1", " "], "needs words"),
        (["conversations", "export", "--output", "no/such/folder/x.md"], "no folder"),
        (["tail"], "A command is missing: pull; see `nightschool tail --help`."),
        (["bundle"], "A command is missing: "),
        (["--home", "~nosuchuser/x", "slots"], "no user whose home"),
        (["slots", "export", "science", "--to", "~nosuchuser/x"], "no user whose home"),
        ([], "needs a terminal"),
    ],
)
def test_wrong_use_is_one_sentence_and_code_2(call, arguments, sentence):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ") and sentence in err and err.count("\n") == 1


@pytest.mark.parametrize("error", [Locked("Held."), EngineLost("Gone."), ModelNotFound("None."), BaseMismatch("No.")])
def test_an_error_of_the_engine_is_its_exit_code(call, engine, error):
    engine.fail["slots.list"] = error
    assert call("slots") == (error.exit_code, "", f"Error: {error}\n")
    engine.fail["slots.list"] = error
    code, out, err = call("slots", "--json")
    assert (code, out) == (error.exit_code, "")
    assert json.loads(err) == {
        "error": {"code": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
    }


def test_home_and_model_reach_the_engine(engine, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NIGHTSCHOOL_HOME", "/nowhere")
    seen = []

    def connect(home, model):
        seen.append((home.root, model))
        return engine

    assert run(["--home", str(tmp_path), "--model", "owner/name@1", "slots"], connect) == 0
    assert seen == [(tmp_path, "owner/name@1")]


def test_the_engine_is_closed_after_success_and_failure(call, engine):
    closed = []

    async def close():
        closed.append(True)

    engine.close = close
    call("slots")
    call("versions", "nosuch")
    assert closed == [True, True]


def test_without_a_command_the_app_opens_over_the_same_engine(engine, monkeypatch, tmp_path):
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    opened = []
    monkeypatch.setattr("nightschool.tui.app.run", lambda link, slot: opened.append((link, slot)) or 7)
    assert run(["--slot", "gaming"], lambda home, model: engine) == 7
    assert opened == [(engine, "gaming")]


class Terminal(io.StringIO):
    def isatty(self):
        return True


# -- ask ---------------------------------------------------------------------------------------------------------------


def test_ask_writes_the_reply_and_nothing_else_to_stdout(call, engine):
    assert call("ask", "What is the capital of France?") == (0, engine.reply + "\n", "")
    assert asked(engine, ask.CreateConversation)[0].slot == "science"


def test_ask_gives_the_document(document, engine):
    found = document("ask", "--slot", "Creative", "Always rhyme.")
    assert found["reply"] == engine.reply and found["finish"] == "stop" and found["version"] == 0
    assert engine.messages[found["message"]].conversation == found["conversation"]
    assert [lesson["rule"] for lesson in found["lessons"]] == ["Rhyme."]
    assert found["signals"][0]["lesson"] == found["lessons"][0]["id"]
    assert found["lessons"][0]["slot"] == "creative"


def test_ask_says_what_was_noted_and_how_to_take_it_back(call, engine):
    code, out, err = call("ask", "Always rhyme.")
    signal = next(iter(engine.signals))
    assert (code, out) == (0, engine.reply + "\n")
    assert "Rhyme." in err and f"nightschool undo {signal}" in err
    assert call("undo", str(signal))[0] == 0
    assert not engine.lessons


def test_ask_goes_on_with_a_conversation(call, engine):
    first = engine.add_conversation("gaming", "Chess")
    call("ask", "--conversation", str(first.id), "And then?")
    assert asked(engine, ask.CreateConversation) == []
    assert asked(engine, ask.SendMessage)[0].conversation == first.id


def test_ask_passes_only_the_sampling_that_was_given(call, engine):
    call("ask", "Hello")
    options = "--temperature 0.5 --top-k 5 --top-p 0.9 --min-p 0.1 --repetition-penalty 1.2 --seed 7 --max-tokens 9"
    call("ask", *options.split(), "Hello")
    plain, chosen = (request.sampling for request in asked(engine, ask.SendMessage))
    assert plain == ask.Sampling()
    assert chosen == ask.Sampling(
        temperature=0.5, top_k=5, top_p=0.9, min_p=0.1, repetition_penalty=1.2, seed=7, max_tokens=9
    )


def test_every_field_of_sampling_has_an_option(call):
    help_text = call("ask", "--help")[1]
    assert all(f"--{name.replace('_', '-')} " in help_text for name in ask.Sampling.model_fields)


@pytest.mark.parametrize(("given", "text"), [(b"From a pipe\n", "From a pipe\n"), ("Ünï".encode("utf-8-sig"), "Ünï")])
def test_ask_reads_stdin(call, engine, monkeypatch, given, text):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert call("ask", "-")[0] == 0
    assert asked(engine, ask.SendMessage)[0].text == text


def test_stdin_that_is_no_text_is_refused(call, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe\x00")))
    code, _, err = call("ask", "-")
    assert code == 2 and "UTF-8" in err


def test_ask_that_was_never_said_leaves_no_empty_conversation(call, engine):
    engine.fail["chat.send"] = ModelNotFound("There is no model.")
    assert call("ask", "Hello")[0] == ModelNotFound.exit_code
    assert engine.conversations == {}


def test_what_a_model_says_is_raw_in_a_pipe_and_escaped_in_a_document(call, document, engine):
    engine.reply = "a\x1b[31m\x9b0m\u202e\u2028b"
    assert call("ask", "Hello")[1] == engine.reply + "\n"
    out = call("ask", "Hello", "--json")[1]
    assert json.loads(out)["reply"] == engine.reply
    assert not set("\x1b\x9b\u202e\u2028") & set(out)


def test_a_reply_that_broke_off_is_an_error_after_what_was_said(call, engine, monkeypatch):
    async def breaks(request, tell):
        tell(DeltaEvent(conversation=request.conversation, text="Half a"))
        return engine.add_message(request.conversation, rec.Role.ASSISTANT, "Half a", finish=rec.Finish.FAILED)

    monkeypatch.setattr(engine, "_chat_send", breaks)
    code, out, err = call("ask", "Hello")
    assert (code, out) == (30, "Half a\n") and "broke off" in err


def test_an_engine_that_dies_in_a_reply_leaves_what_was_said(call, engine, monkeypatch):
    async def dies(request, tell):
        tell(DeltaEvent(conversation=request.conversation, text="Half a"))
        raise EngineLost("The engine ended before it answered: It was killed (SIGKILL).")

    monkeypatch.setattr(engine, "_chat_send", dies)
    code, out, err = call("ask", "Hello")
    assert (code, out) == (51, "Half a\n") and "SIGKILL" in err


# -- edit --------------------------------------------------------------------------------------------------------------


def test_edit_takes_the_text_and_shows_the_lesson(document, engine):
    message = document("ask", "Hello")["message"]
    found = document("edit", str(message), "--text", "Captain, " + engine.reply)
    assert found["message"]["text"].startswith("Captain, ")
    assert "Captain," in found["lessons"][0]["rule"]


def test_edit_reads_stdin(call, document, engine, monkeypatch):
    message = document("ask", "Hello")["message"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"My own words")))
    assert call("edit", str(message), "-")[0] == 0
    assert engine.messages[message].text == "My own words"


def test_edit_of_no_message_is_not_found(call):
    assert call("edit", "99", "--text", "x")[0] == 3


# -- study and lessons -------------------------------------------------------------------------------------------------


def test_study_reports_on_stdout_and_progresses_on_stderr(call, engine):
    call("ask", "Always rhyme.")
    code, out, err = call("study")
    assert code == 0 and out.startswith("Accepted: generation 1 of science") and "Rhyme." in out and "sticks" in out
    lines = err.splitlines()
    assert 5 < len(lines) < 15 and all("\x1b" not in line for line in lines) and lines[-1].startswith("100%")


def test_study_gives_the_record(call, document, engine):
    call("ask", "Always rhyme.")
    found = rec.Study.model_validate(document("study", "--slot", "science"))
    assert found == engine.studies[found.id]


def test_a_rejected_study_is_code_40_and_says_why(call, engine):
    call("ask", "Always rhyme.")
    engine.accept = False
    code, out, _ = call("study")
    assert code == 40 and out.startswith("Rejected") and "drift" in out


def test_nothing_to_learn_is_code_41(call):
    assert call("study")[0] == 41


def test_the_report_of_a_study_is_read_again(call, document, engine):
    assert call("report")[0] == 3
    call("ask", "Always begin your reply with Captain.")
    call("study")
    call("ask", "Always begin your reply with Admiral.")
    code, out, _ = call("nightly", "run")
    assert code == 0
    latest, first = sorted(engine.studies, reverse=True)
    assert [study["id"] for study in document("report")] == [latest]
    assert [study["id"] for study in document("report", str(first))] == [first]
    assert "What it learned" in call("report")[1]
    code, out, _ = call("report", str(first), "--markdown")
    assert code == 0 and out.startswith("# Morning report\n") and "| lesson | followed before | and now |" in out
    assert f"Study {latest}" in call("report", "--night", "--markdown")[1]
    assert call("report", "99")[0] == 3
    assert call("report", "--markdown", "--json")[0] == 2


def test_a_learned_lesson_is_forgotten_with_its_proof(call, document, engine):
    call("ask", "Always begin your reply with Captain.")
    call("study")
    number = next(iter(engine.lessons))
    code, out, _ = call("lessons", "forget", str(number))
    assert code == 0 and "What it forgot" in out and "100% -> 0%" in out
    assert engine.lessons[number].state is rec.LessonState.DISMISSED


def test_lessons_are_merged_ended_and_shown_where_they_contradict_each_other(call, document, engine):
    for number, rule in enumerate(("Say ahoy.", "say Ahoy", "Never say ahoy."), start=1):
        fields = {"slot": "science", "state": rec.LessonState.APPROVED, "rule": rule, "created": 1.7e9}
        engine.lessons[number] = rec.Lesson(id=number, **fields)
    kinds = (rec.RelationKind.SAME, 1, 2), (rec.RelationKind.CONTRADICTS, 1, 3)
    engine.relations = [
        rec.LessonRelation(
            kind=kind, slot="science", earlier=one, later=other, earlier_says="Ahoy!", later_says="Not ahoy."
        )
        for kind, one, other in kinds
    ]
    out = call("lessons")[1]
    assert "say the same" in out and "the later one wins" in out and "Ahoy!" in out and "Not ahoy." in out
    assert [row["kind"] for row in document("lessons", "compare")] == ["same", "contradicts"]
    assert document("lessons", "merge", "1", "2")["id"] == 1 and engine.lessons[2].merged == 1
    assert "say the same" not in call("lessons")[1]
    assert document("lessons", "expire", "3", "--until", "2031-12-24")["expires"]
    assert "2031-12-24" in call("lessons")[1]
    assert document("lessons", "expire", "3", "--never")["expires"] is None
    assert call("lessons", "expire", "3")[0] == call("lessons", "merge", "1")[0] == 2


def test_the_memory_is_listed_added_to_reworded_and_forgotten(call, document, engine):
    assert "Nothing is noted." in call("memory")[1]
    number = document("memory", "add", "My name is Ada.")["id"]
    assert document("memory", "edit", str(number), "My name is Bob.")["text"] == "My name is Bob."
    assert "My name is Bob." in call("memory", "list")[1]
    assert document("memory", "forget", str(number)) == {"forgotten": [number]} and not engine.notes
    assert call("memory", "forget", "77")[0] == 3
    assert engine.state.state == "asleep", "a base was loaded for notes"


def test_a_note_is_taught_to_a_slot(call, document, engine):
    number = document("memory", "add", "My name is Ada.")["id"]
    lesson = document("memory", "teach", str(number), "--slot", "gaming")
    assert (lesson["slot"], lesson["rule"]) == ("gaming", "Know this of me: My name is Ada.")
    assert "My name is Ada." in call("lessons")[1]
    assert "approved" in call("memory", "teach", str(number))[1]
    elves = document("memory", "add", "Likes elves.")["id"]
    code, _, err = call("memory", "teach", str(elves))
    assert code == 2 and "stays a note" in err


def test_a_study_may_train_the_slot_anew(call, engine):
    call("study", "--rebuild")
    assert next(request for request in engine.asked if isinstance(request, ask.StartStudy)).rebuild


def test_lessons_are_listed_approved_dismissed_and_reworded(call, document, engine):
    document("ask", "Always rhyme.")
    number = next(iter(engine.lessons))
    assert [row["id"] for row in document("lessons")] == [number]
    assert document("lessons", "list", "--state", "proposed") == []
    assert document("lessons", "list", "--slot", "gaming") == []
    assert document("lessons", "dismiss", str(number))[0]["state"] == "dismissed"
    assert document("lessons", "approve", str(number))[0]["state"] == "approved"
    assert document("lessons", "reword", str(number), "Always sing.")["rule"] == "Always sing."
    assert "Always sing." in call("lessons")[1]


# -- conversations -----------------------------------------------------------------------------------------------------


@pytest.fixture
def chats(call, engine):
    call("ask", "What is the capital of France?")
    call("ask", "--slot", "gaming", "Who moves first?")
    return sorted(engine.conversations)


def test_conversations_are_listed_shown_and_found(chats, call, document):
    assert [row["id"] for row in document("conversations")] == chats[::-1]
    assert [row["id"] for row in document("conversations", "--slot", "gaming")] == chats[1:]
    assert len(document("conversations", "list", "--limit", "1")) == 1
    assert [row["role"] for row in document("conversations", "show", str(chats[0]))["messages"]] == [
        "user",
        "assistant",
    ]
    assert "Who moves first?" in call("conversations", "show", str(chats[1]))[1]
    assert "[capital]" in call("conversations", "search", "capital")[1]
    assert call("conversations", "show", "999")[0] == 3


def test_lists_longer_than_a_page_come_whole(engine, document, monkeypatch):
    monkeypatch.setattr("nightschool.tui.cli.pages.PAGE", 3)
    row = engine.add_conversation("science", "Long")
    for number in range(8):
        engine.add_message(row.id, rec.Role.USER, str(number))
    for number in range(7):
        engine.add_conversation("science", str(number))
    assert len(document("conversations")) == 8
    texts = [message["text"] for message in document("conversations", "show", str(row.id))["messages"]]
    assert texts == list("01234567")


def test_conversations_are_renamed_deleted_and_restored(chats, document, call, engine):
    one = str(chats[0])
    assert document("conversations", "rename", one, "Paris")["title"] == "Paris"
    assert document("conversations", "delete", one) == {"deleted": [chats[0]]}
    assert chats[0] not in engine.conversations
    assert document("conversations", "restore", one)[0]["title"] == "Paris"


def test_export_to_stdout_and_to_a_file(chats, call, document, engine, tmp_path):
    code, out, err = call("conversations", "export", str(chats[0]))
    assert (code, err) == (0, "") and out.startswith("# What is the capital") and engine.reply in out
    file = tmp_path / "chats.jsonl"
    found = document("conversations", "export", "--format", "jsonl", "--output", str(file))
    assert found == {"conversations": 2, "lessons": 0, "file": str(file)}
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["messages"][0]["content"] for line in lines] == ["Who moves first?", "What is the capital of France?"]


def test_export_and_a_document_do_not_share_stdout(call):
    code, out, err = call("conversations", "export", "--json")
    assert (code, out) == (2, "") and "--output" in json.loads(err)["error"]["message"]


# -- doctor ------------------------------------------------------------------------------------------------------------


def test_doctor_is_well(call, document):
    assert call("doctor")[:2] == (0, "ok  model  SmolLM2 computes what its card says.\n")
    assert document("doctor")[0]["ok"] is True


def test_doctor_fails_where_something_is_not_well(call, engine):
    engine.checks = (*engine.checks, ask.Check(name="disk", ok=False, text="Full; free some."))
    code, out, _ = call("doctor")
    assert code == 1 and "NOT OK  disk   Full; free some." in out


def test_doctor_waits_until_the_engine_is_awake(call, engine):
    engine.wake = 0.02
    call("doctor")
    assert engine.state.state == "ready"


def test_doctor_says_so_where_the_engine_does_not_answer(call, engine):
    engine.fail["engine.doctor"] = Locked("Another Night School uses the profile.")
    code, out, _ = call("doctor")
    assert code == 22 and out.startswith("NOT OK  engine  Another")


# -- the whole profile -------------------------------------------------------------------------------------------------


def test_a_profile_is_saved_and_brought_back(document, call, engine, tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path / "home"))
    assert call("backup", str(tmp_path / "b.zip"))[0] == 3  # there is none yet
    (tmp_path / "home").mkdir()
    fill(Home(tmp_path / "home"))
    engine.start = None  # a profile that no engine can open is saved all the same
    made = document("backup", str(tmp_path / "b.zip"))
    assert (made["slots"], made["generations"], made["file"]) == (4, 3, str(tmp_path / "b.zip"))
    code, _, err = call("restore", str(tmp_path / "b.zip"))
    assert code == 2 and "--replace" in err
    assert document("restore", str(tmp_path / "b.zip"), "--replace") == made
    assert "4 slots with 3 generations" in call("restore", str(tmp_path / "b.zip"), "--replace")[1]
