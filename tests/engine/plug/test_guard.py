"""Items of strangers in use: each method is called alone, and what fails is blamed and does no harm."""

from __future__ import annotations

import io
import time

import pytest

from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.host.plugins import STRICT, STRIKES, PluginHost
from nightschool.engine.plug.ledger import Ledger
from nightschool.engine.plug.manage import enable_plugin, show_plugin
from nightschool.engine.study.lessons import find_corrections, lesson_from_rule
from nightschool.schemas.errors import PluginError, UsageError
from nightschool.schemas.exchange import Skipped, Transcript
from nightschool.schemas.plugins import PluginState
from nightschool.tests.engine.plug.animals import DETECTOR, HEAD

SAID = "From now on, start every reply with “Captain,”."


def rules(host):
    return [draft.rule for draft in find_corrections(host, "Hi", "Hello.", SAID)]


@pytest.mark.parametrize(
    ("find", "fault"),
    [
        ("return 1 / 0", "animal.find() failed with ZeroDivisionError"),
        ("raise SystemExit(1)", "failed with SystemExit"),
        ("return None", "returned NoneType where a list of Finding is wanted"),
        ("return ['a rule']", "returned list where a list of Finding is wanted"),
        ("time.sleep(30)", "It took longer than 2 s"),
    ],
)
def test_a_detector_that_fails_three_times_is_off_and_every_message_is_read(shelf, find, fault):
    name = shelf.add("animal", DETECTOR.replace("return []", find, 1))
    host, told = PluginHost.load(home=shelf.home), []
    host.tell = told.append
    for strike in range(1, STRIKES + 1):
        assert len(rules(host)) == 1
        assert show_plugin(shelf.home, name).strikes == strike
    row = show_plugin(shelf.home, name)
    assert row.state is PluginState.BLOCKED
    assert f"failed {STRIKES} times" in row.reason
    assert fault in row.faults[-1].text
    assert [fault in problem.text for problem in told] == [True, True]  # the fault, and that it is off
    assert name not in [info.name for info in host.plugins()]
    began = time.monotonic()
    assert len(rules(host)) == 1
    assert time.monotonic() - began < 2
    assert name not in [info.name for info in PluginHost.load(home=shelf.home).plugins()]
    assert enable_plugin(shelf.home, name).strikes == 0
    host.refresh()
    assert name in [info.name for info in host.plugins()]


def test_a_fault_is_kept_with_its_traceback(shelf):
    name = shelf.add("animal", DETECTOR.replace("return []", "return deep()") + "\ndef deep():\n    1 / 0\n")
    rules(PluginHost.load(home=shelf.home))
    (fault,) = show_plugin(shelf.home, name).faults
    assert fault.hook == "nightschool_detectors"
    assert "in deep" in fault.traceback


def test_strict_mode_raises_for_authors(shelf, monkeypatch):
    shelf.add("animal", DETECTOR.replace("return []", "return 1 / 0"))
    monkeypatch.setenv(STRICT, "1")
    host = PluginHost.load(home=shelf.home)
    with pytest.raises(PluginError, match="animal failed at nightschool_detectors") as raised:
        rules(host)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


class Rewriter:
    name, order = "shout", 5

    def infer(self, text, target):
        return 1 / 0

    def read(self, rule):
        return [{}] if "shout" in rule else []

    def apply(self, args, text):
        return text.upper()

    def holds(self, args, text):
        return text.isupper()

    def say(self, args):
        return "Shout."

    def contrary(self, args):
        return ["{prompt} Whisper."]


class Supplier:
    def __init__(self, hook, *items):
        setattr(self, hook, hookimpl(lambda: list(items)))


def host_with(hook, *items):
    host = PluginHost()
    host.add("stranger", Supplier(hook, *items))
    return host


def test_a_rewriter_may_lack_what_does_not_matter_to_it():
    host = host_with("nightschool_rewriters", Rewriter())
    (rewriter,) = host.collect("nightschool_rewriters")
    assert rewriter.peel({}, "HELLO") == "HELLO"
    assert rewriter.common([{}, {}]) is None
    assert rewriter.infer("a", "b") == []
    assert lesson_from_rule(host, "Please shout.").steps[0].rewriter == "shout"
    assert not hasattr(rewriter, "exchanges")
    assert len(host.problems) == 1


def test_an_importer_that_breaks_keeps_what_came_before():
    class Lines:
        name, title = "lines", "Lines"

        def recognises(self, head):
            return True

        def read(self, stream):
            yield Transcript(title="one")
            raise KeyError("two")

    (importer,) = host_with("nightschool_importers", Lines()).collect("nightschool_importers")
    first, second = importer.read(io.BytesIO(b""))
    assert first.title == "one"
    assert isinstance(second, Skipped)


def test_an_error_of_ours_from_the_file_that_it_reads_is_no_fault():
    class Stream(io.BytesIO):
        def read(self, size=-1):
            raise UsageError("Stopped.")

    class Lines:
        name, title = "lines", "Lines"

        def recognises(self, head):
            return True

        def read(self, stream):
            yield Transcript(title=stream.read().decode())

    host = host_with("nightschool_importers", Lines())
    (importer,) = host.collect("nightschool_importers")
    with pytest.raises(UsageError, match="Stopped"):
        list(importer.read(Stream()))
    assert host.problems == []


def test_what_nothing_can_stand_in_for_fails_with_the_name_of_the_plugin():
    class Command:
        name, about, title = "count", "Counts.", "Count"

        def run(self, context, arguments):
            if arguments:
                raise UsageError("It takes no arguments.")
            return 7

    (command,) = host_with("nightschool_commands", Command()).collect("nightschool_commands")
    with pytest.raises(UsageError, match="takes no arguments"):
        command.run(None, ["x"])
    with pytest.raises(
        PluginError, match=r"The plugin stranger failed at nightschool_commands count\.run: .*returned int"
    ):
        command.run(None, [])


def test_what_never_came_to_be_is_no_trust(shelf):
    name = shelf.add("animal", HEAD)
    Ledger(shelf.home).lock_file.write_text('{"format": 1, "plu')
    host = PluginHost.load(home=shelf.home)
    assert name not in [info.name for info in host.plugins()]
    assert "no plugin is trusted" in host.problems[0].text
