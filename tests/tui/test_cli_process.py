"""The command line as a process: signals, closed pipes, terminals, and what it loads."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

SCRIPTED = """
import json
import signal
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in the background ignores it
from nightschool.schemas.messages import EngineStatus
from nightschool.schemas.records import Lesson, Step
from nightschool.tui.cli import main
from nightschool.tui.scripted import CARD, ScriptedEngine

class Engine(ScriptedEngine):
    async def _wake_up(self):
        self.state = EngineStatus(state="ready", base=CARD)

    async def call(self, request, on_event=None):
        Path(request.method).touch()
        return await super().call(request, on_event)

    async def close(self):
        replies = [[row.text, row.finish] for row in self.messages.values() if row.role == "assistant"]
        asked = [request.method for request in self.asked]
        left = {{"asked": asked, "replies": replies, "conversations": list(self.conversations)}}
        Path("left.json").write_text(json.dumps(left))
        await super().close()

def connect(home, model):
    engine = Engine(pause={pause})
    engine.reply = {reply!r}
    engine.steps = 100000
    {setup}
    return engine

main(connect)
"""
ONE_REPLY = """
    row = engine.add_conversation("science", "Greeting")
    engine.add_message(row.id, "user", "Hi")
    engine.add_message(row.id, "assistant", "Hello.")
"""
ONE_LESSON = """
    engine.lessons[1] = Lesson(id=1, slot="science", state="approved", rule="Rhyme.", steps=[Step(rewriter="x")])
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Give the argv of the command line over a scripted engine; for each method asked it leaves a file of its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path / "home"))

    def argv(*arguments, reply="word " * 400, pause=0.01, setup=""):
        return [sys.executable, "-c", SCRIPTED.format(reply=reply, pause=pause, setup=setup), *arguments]

    return argv


@pytest.fixture
def left(tmp_path):
    """Give what the engine held when it was closed."""
    return lambda: json.loads((tmp_path / "left.json").read_text())


@pytest.fixture
def start():
    """Start processes that end with the test."""
    started = []

    def run(argv):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_reply_is_kept_and_the_engine_closed(command, start, left, number, code):
    process = start(command("ask", "Tell me"))
    first = os.read(process.stdout.fileno(), 5).decode()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Stopped; what was said is kept." in err and "Traceback" not in err
    assert "chat.cancel" in left()["asked"]
    assert left()["replies"] == [[(first + out).rstrip("\n"), "cancelled"]]


def test_a_stopped_reply_still_gives_its_document(command, start, tmp_path):
    process = start(command("ask", "--json", "Always tell me"))
    assert wait_for((tmp_path / "chat.send").exists)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert json.loads(out)["finish"] == "cancelled"


def test_stopped_before_the_question_is_stored_nothing_is_left(command, start, left, tmp_path):
    process = start(command("ask", "Tell me", setup="engine.stalled.add('chat.send')"))
    assert wait_for((tmp_path / "chat.send").exists)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert left()["conversations"] == []


def test_a_stopped_study_is_cancelled(command, start, left):
    process = start(command("study", setup=ONE_LESSON))
    assert process.stderr.readline().endswith("training\n")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out.startswith("Cancelled: science stays as it was.") and "Traceback" not in err
    assert "study.cancel" in left()["asked"]


@pytest.mark.parametrize(("number", "code", "ended"), [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, False)])
def test_a_night_is_ended_by_its_user_and_not_by_a_reboot(command, start, left, number, code, ended):
    process = start(command("nightly", "run", setup=ONE_LESSON))
    assert process.stderr.readline().endswith("training\n")
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code and "Traceback" not in err
    assert ("study.cancel" in left()["asked"]) is ended


def test_a_stopped_pull_says_how_it_goes_on(command, start, left):
    process = start(command("models", "pull", "some/model"))
    assert "Fetching weights" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert "the next pull goes on from there" in err and "Traceback" not in err


def test_a_reader_that_leaves_ends_the_reply_quietly(command, start, left):
    process = start(command("ask", "Tell me"))
    os.read(process.stdout.fileno(), 5)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=20) == 141
    assert "chat.cancel" in left()["asked"] and left()["replies"][0][1] == "cancelled"


@pytest.mark.parametrize("arguments", [["slots"], ["slots", "--json"], ["--help"]], ids=" ".join)
def test_a_reader_that_left_before_is_no_traceback(command, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command(*arguments), stdout=writing, stderr=subprocess.PIPE, text=True, timeout=20)
    os.close(writing)
    assert done.returncode == 141 and done.stderr == ""


def test_a_narrow_encoding_loses_characters_and_not_the_reply(command):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command("ask", "x", reply="Größe ✓"), capture_output=True, env=environment, timeout=20)
    assert (done.returncode, done.stdout) == (0, b"Gr??e ?\n")


# -- in a terminal -----------------------------------------------------------------------------------------------------


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def in_terminal(argv, environment=None):
    """Run a command in a pseudo-terminal of its own; gives its exit code and all it drew."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, {**os.environ, **(environment or {})})
    drawn, end = b"", time.monotonic() + 20
    while time.monotonic() < end and select.select([descriptor], [], [], 20)[0]:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:
            break
        if not piece:
            break
        drawn += piece
    os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), drawn.decode()


def test_a_terminal_obeys_nothing_a_model_says(command):
    reply = "safe\x1b]0;title\x07\x1b[31m\x9b2J\u202eend"
    code, drawn = in_terminal(command("ask", "x", reply=reply, pause=0))
    assert code == 0
    # The only sequence is our own, which clears the line that says how the engine wakes.
    assert set(re.findall("\x1b[^ ]{0,2}", drawn)) <= {"\x1b[K"}
    assert "\x9b" not in drawn and "\u202e" not in drawn and "\x07" not in drawn
    assert "safe␛]0;title␇␛[31m" in drawn


def test_documents_in_a_terminal_are_indented_and_lossless(command):
    code, drawn = in_terminal(command("ask", "--json", "x", reply="a\x1b[31m\x9b", pause=0))
    assert code == 0
    text = drawn[drawn.index("{") :].split("\r\n}")[0] + "}"
    assert '\n  "reply"' in drawn and "\x9b" not in drawn
    assert json.loads(text)["reply"] == "a\x1b[31m\x9b"


def test_edit_opens_the_editor_with_the_reply(command, left, tmp_path):
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import os, pathlib, sys\npath = pathlib.Path(sys.argv[1])\n"
        "path.write_text('Captain, ' + path.read_text())\nos.utime(path, (1, 2_000_000_000))\n"
    )
    argv = command("edit", "3", setup=ONE_REPLY)
    code, drawn = in_terminal(argv, {"VISUAL": f"{sys.executable} {editor}"})
    assert code == 0, drawn
    assert "Message 3 is now in your words." in drawn and "Captain," in drawn
    assert left()["replies"] == [["Captain, Hello.", None]]


def test_an_editor_that_changed_nothing_teaches_nothing(command, left):
    code, drawn = in_terminal(command("edit", "3", setup=ONE_REPLY), {"VISUAL": "true"})
    assert code == 2 and "left as it was" in drawn
    assert "chat.edit" not in left()["asked"]


# -- what is loaded ----------------------------------------------------------------------------------------------------


def test_help_loads_neither_torch_nor_textual_nor_any_record():
    code = (
        "import sys\n"
        "from nightschool.tui.cli import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = ['torch', 'transformers', 'peft', 'textual', 'rich', 'sqlite3', 'numpy', 'huggingface_hub']\n"
        "heavy += ['pydantic', 'nightschool.schemas.records']\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
