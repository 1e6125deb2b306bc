"""The installed command line over the real engine process."""

import asyncio
import json
import subprocess
import sys

import pytest

from nightschool.engine.host.client import EngineClient
from nightschool.engine.paths import Home
from nightschool.schemas.messages import ListSlots


@pytest.fixture
def nightschool(tmp_path):
    def run(*arguments, model):
        argv = [sys.executable, "-m", "nightschool", "--home", tmp_path / "home", "--model", model, *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=600, cwd=tmp_path)

    return run


def test_a_question_is_answered_and_found_again(nightschool, tiny_base_folder):
    done = nightschool("ask", "--json", "--max-tokens", "4", "Always be brief.", model=tiny_base_folder)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert 0 < answer["tokens"] <= 4 and answer["lessons"]
    shown = nightschool("conversations", "show", str(answer["conversation"]), "--json", model=tiny_base_folder)
    assert [row["text"] for row in json.loads(shown.stdout)["messages"]] == ["Always be brief.", answer["reply"]]


def test_a_model_that_is_not_there_is_code_11_and_the_rest_still_works(nightschool, tmp_path):
    missing = tmp_path / "none"
    done = nightschool("ask", "Hello", model=missing)
    assert (done.returncode, done.stdout) == (11, "") and str(missing) in done.stderr
    assert json.loads(nightschool("conversations", "--json", model=missing).stdout) == []
    doctor = nightschool("doctor", "--json", model=missing)
    assert doctor.returncode == 1
    assert [check["name"] for check in json.loads(doctor.stdout) if not check["ok"]] == ["model"]


async def test_while_another_holds_the_profile_it_is_code_22(nightschool, tmp_path):
    other = EngineClient(Home(tmp_path / "home"), str(tmp_path / "none"))
    await other.start()
    try:
        await other.call(ListSlots())
        done = await asyncio.to_thread(nightschool, "slots", model=tmp_path / "none")
        assert (done.returncode, done.stdout) == (22, "") and "Another Night School" in done.stderr
    finally:
        await other.close()
    assert nightschool("slots", model=tmp_path / "none").returncode == 0


@pytest.mark.model
def test_the_default_model_knows_the_capital_of_france(nightschool, default_base_folder):
    done = nightschool("ask", "What is the capital of France?", model=default_base_folder)
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
