import asyncio
import dataclasses
import os
import subprocess
import sys

import pytest

from nightschool.engine.child import Pace, run_child
from nightschool.engine.study import checkpoint, training
from nightschool.engine.study.study import study
from nightschool.schemas.records import StudyState
from nightschool.tests.engine.study.small import LENIENT

LONG = dataclasses.replace(LENIENT, steps=20, again_steps=10)

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.job import StudyJob
from nightschool.engine.study.study import study
from nightschool.tests.engine.study.test_checkpoint import LONG

def tell(progress):
    if progress.step == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

job = StudyJob.model_validate_json(Path(sys.argv[1]).read_bytes())
asyncio.run(study(job, PluginHost.load(third_party=False), tell, LONG))
"""


@pytest.fixture
def kept_job(job, tmp_path):
    return job.model_copy(update={"cache": tmp_path / "cache"})


@pytest.fixture
def steps_made(monkeypatch):
    """The number of optimizer steps that were really computed."""
    made = []
    original = training.descended
    monkeypatch.setattr(training, "descended", lambda losses: (made.append(1), original(losses))[1])
    return made


def run(job, plugins, recipe=LONG):
    told = []
    result = asyncio.run(study(job, plugins, told.append, recipe))
    assert result.state is StudyState.ACCEPTED, result.reason
    return (result.candidate / "adapter_model.safetensors").read_bytes(), result.report.curve, told


def kill_at(job, step, tmp_path):
    """Have a process of its own begin the study and be killed -9 when it has made some steps."""
    file = tmp_path / "job.json"
    file.write_text(job.model_dump_json())
    ended = subprocess.run([sys.executable, "-c", KILLED, str(file), str(step)], check=False)
    assert ended.returncode == -9


@pytest.mark.parametrize(("killed_at", "left"), [(13, 30 - 8), (22, 30 - 20), (29, 30 - 28)])
def test_a_study_that_was_killed_goes_on_and_learns_the_same_to_the_bit(
    kept_job, plugins, tmp_path, steps_made, killed_at, left
):
    whole, curve, _ = run(kept_job.model_copy(update={"cache": tmp_path / "other"}), plugins)
    kill_at(kept_job, killed_at, tmp_path)
    steps_made.clear()
    resumed, same_curve, told = run(kept_job.model_copy(update={"study": 2, "folder": tmp_path / "second"}), plugins)
    assert resumed == whole
    assert same_curve == curve
    assert len(steps_made) == left
    assert [p.step for p in told if p.step] == list(range(1, 31))


def test_an_ended_study_leaves_no_checkpoint_behind(kept_job, plugins, tmp_path):
    kill_at(kept_job, 9, tmp_path)
    assert list((tmp_path / "cache" / "trainings").iterdir())
    run(kept_job, plugins)
    assert not list((tmp_path / "cache" / "trainings").iterdir())


def test_another_recipe_or_lesson_begins_anew(kept_job, plugins, tmp_path, steps_made):
    kill_at(kept_job, 13, tmp_path)
    steps_made.clear()
    run(kept_job, plugins, dataclasses.replace(LONG, learning_rate=1e-3))
    assert len(steps_made) == 30
    loud = kept_job.lessons[0].model_copy(update={"steps": [kept_job.lessons[0].steps[0].model_copy()]})
    loud.steps[0].args["text"] = "Admiral, "
    steps_made.clear()
    run(kept_job.model_copy(update={"lessons": [loud]}), plugins)
    assert len(steps_made) == 30


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"", lambda data: b"\xff" * len(data)])
def test_a_damaged_checkpoint_costs_its_steps_and_nothing_else(kept_job, plugins, tmp_path, steps_made, damage):
    kill_at(kept_job, 13, tmp_path)
    (file,) = (tmp_path / "cache" / "trainings").glob("*.safetensors")
    file.write_bytes(damage(file.read_bytes()))
    steps_made.clear()
    run(kept_job, plugins)
    assert len(steps_made) == 30


def test_only_the_latest_checkpoints_of_studies_never_ended_are_kept(kept_job, plugins, tmp_path):
    for number in range(checkpoint.MOST + 2):
        kill_at(kept_job.model_copy(update={"system": f"You are number {number}."}), 9, tmp_path)
    assert len(list((tmp_path / "cache" / "trainings").iterdir())) <= checkpoint.MOST + 1


def test_half_a_checkpoint_of_a_study_that_was_killed_goes_with_the_next(kept_job, plugins, tmp_path):
    left = tmp_path / "cache" / "trainings" / ".x.safetensors.y.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    os.utime(left, (1e9, 1e9))
    kill_at(kept_job, 9, tmp_path)
    assert not left.exists()


WORKER = """
import sys
from nightschool.engine.child import be_child

def work(tell):
    for number in range(400):
        tell({"number": number})
        import time; time.sleep(0.01)
    return "done"

sys.exit(be_child(work))
"""


def test_a_child_rests_and_goes_on_as_told(tmp_path, monkeypatch):
    (tmp_path / "resting_worker.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    async def play():
        pace, heard = Pace(), []
        pace.rest()  # before there is a child
        running = asyncio.create_task(run_child("resting_worker", (), tmp_path / "log", heard.append, pace))
        while not heard:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        assert len(heard) <= 2  # it says how far it is, and rests
        pace.go_on()
        while len(heard) < 20:
            await asyncio.sleep(0.01)
        pace.rest()
        await asyncio.sleep(0.3)
        still = len(heard)
        await asyncio.sleep(0.3)
        assert len(heard) == still < 400
        pace.go_on()
        return await running

    assert asyncio.run(play()).last == {"result": "done"}
