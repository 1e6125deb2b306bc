"""Trainers and gates that die, hang, hog or raise: the study goes on without them, and the slot is served."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nightschool.engine.host.plugins import PluginHost, PluginProblem
from nightschool.engine.host.sparing import run_spared
from nightschool.engine.plug import items
from nightschool.engine.plug.calling import MEMORY
from nightschool.engine.plug.manage import show_plugin
from nightschool.engine.study.child import told_of
from nightschool.engine.study.job import StudyJob, StudyResult
from nightschool.engine.study.recipe import changed_numbers
from nightschool.schemas.plugins import PluginState
from nightschool.schemas.records import StudyState
from nightschool.tests.engine.plug.animals import HEAD
from nightschool.tests.engine.study.small import BEFORE, LENIENT, lesson

TRAINER = (
    HEAD + "\nItem.train = lambda self, task, tell: do()\n@hookimpl\ndef nightschool_trainers():\n    return [Item()]\n"
)
GATE = HEAD + "\nItem.judge = lambda self, candidate: do()\n@hookimpl\ndef nightschool_gates():\n    return [Item()]\n"
QUICK = {**changed_numbers(LENIENT), "least_gain": 0.0}
SHORT = """
import sys
if sys.argv[0].endswith("child.py"):
    import nightschool.engine.plug.items as items
    from dataclasses import replace
    for kind, method in (("nightschool_trainers", "train"), ("nightschool_gates", "judge")):
        items.KINDS[kind].methods[method] = replace(items.KINDS[kind].methods[method], seconds=1.0)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What the base says is read once for all of these."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def study(shelf, tiny_study_base, tmp_path, cache):
    """Study one lesson on a tiny base, in a process of its own, with a plugin about."""

    async def run(code, trainer="tail_lora"):
        name = shelf.add("animal", SHORT + code)
        host = PluginHost.load(home=shelf.home)
        taught = lesson(PluginHost.load(False), "Captain, i" + BEFORE[1:])
        job = StudyJob(
            study=1, slot="science", folder=tmp_path / "study", base=tiny_study_base, cut=2, lessons=[taught],
            trainer=trainer, numbers_of_own=QUICK, profile=shelf.home.root, cache=cache,
        )  # fmt: skip
        rooms = SimpleNamespace(plugins=host, pace=None)
        result = await run_spared(job, lambda progress: None, rooms)
        return result, show_plugin(shelf.home, name), host

    return run


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("time.sleep(600)", "said nothing for 1 s"),
        ("[bytearray(50_000_000) for _ in range(10 ** 6) if not time.sleep(0.02)]", "of memory"),
    ],
    ids=["hangs", "hogs"],
)
async def test_a_trainer_that_ends_the_process_is_replaced(study, monkeypatch, work, said):
    monkeypatch.setenv(MEMORY, "300000000")
    result, row, host = await study(f"{TRAINER}\ndef do():\n    {work}\n", "animal")
    assert result.state in (StudyState.ACCEPTED, StudyState.REJECTED), result.reason
    assert result.report.trainer == "tail_lora"
    assert "tail_lora taught in place of its trainer animal" in result.reason
    assert row.state is PluginState.BLOCKED
    assert "nightschool_trainers animal.train" in row.reason
    assert said in row.reason
    assert [trainer.name for trainer in host.collect("nightschool_trainers")][-1] != "animal"


async def test_a_trainer_that_raises_is_replaced_for_this_study(study):
    result, row, _ = await study(f"{TRAINER}\ndef do():\n    1 / 0\n", "animal")
    assert result.report.trainer == "tail_lora"
    assert "ZeroDivisionError" in result.reason
    assert (row.state, row.strikes) == (PluginState.LOADED, 1)


@pytest.mark.parametrize(
    ("work", "said"),
    [("1 / 0", "ZeroDivisionError"), ("os.kill(os.getpid(), signal.SIGKILL)", "signal 9")],
    ids=["raises", "dies"],
)
async def test_a_gate_that_fails_is_left_out_and_the_report_says_so(study, work, said):
    result, row, _ = await study(f"{GATE}\ndef do():\n    {work}\n")
    assert result.state in (StudyState.ACCEPTED, StudyState.REJECTED), result.reason
    assert {"refusal_odds", "overrefusal"} <= {gate.name for gate in result.report.gates}
    assert "animal" in result.reason
    assert "animal" in result.report.reason
    assert said in result.reason + row.reason
    assert row.faults


def test_the_budgets_are_those_of_the_table():
    assert items.KINDS["nightschool_trainers"].methods["train"].seconds >= 60


def test_a_rewriter_that_fails_rejects_no_lesson():
    rejected = StudyResult(state=StudyState.REJECTED, reason="It does not stick.")
    blind = told_of(rejected, [PluginProblem("moo", "nightschool_rewriters", "holds() failed.")])
    assert (blind.state, blind.reason) == (StudyState.FAILED, "It does not stick. The plugin moo: holds() failed.")
    assert told_of(rejected, [PluginProblem("moo", "nightschool_gates", "x")]).state is StudyState.REJECTED
    assert told_of(rejected, []) == rejected
