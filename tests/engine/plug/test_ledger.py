"""What is kept of plugins: whole after a kill at any moment, also where several processes write at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from nightschool.engine.paths import Home
from nightschool.engine.plug.ledger import Ledger
from nightschool.schemas.errors import Damaged, NotFound
from nightschool.schemas.plugins import Decision, PluginFault, PluginState, Sighting

WRITER = """
import sys
from pathlib import Path
from nightschool.engine.paths import Home
from nightschool.engine.plug.ledger import Ledger
from nightschool.schemas.plugins import Decision, PluginFault, PluginState, Sighting
ledger, name = Ledger(Home(Path(sys.argv[1]))), sys.argv[2]
ledger.saw({name: Sighting(sha256="a", state=PluginState.LOADED)})
print("go", flush=True)
for number in range(int(sys.argv[3])):
    ledger.decide(name, Decision(version=str(number), sha256="a" * 64))
    ledger.strike(name, PluginFault(text="x" * 500))
"""


def start(home, name, rounds):
    command = [sys.executable, "-c", WRITER, str(home.root), name, str(rounds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"go\n"
    return process


def test_a_kill_at_any_moment_leaves_both_files_whole(tmp_path):
    home = Home(tmp_path / "home")
    Ledger(home).decide("kept", Decision(version="1", sha256="b"))
    for pause in (0.0, 0.005, 0.02, 0.05):
        process = start(home, "written", 100_000)
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert Ledger(home).decisions()["kept"].version == "1"
        assert Ledger(home).sightings()["written"].state is PluginState.LOADED


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    home = Home(tmp_path / "home")
    writers = [start(home, name, 20) for name in ("one", "two")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert {name: row.version for name, row in Ledger(home).decisions().items()} == {"one": "19", "two": "19"}
    assert {name: row.strikes for name, row in Ledger(home).sightings().items()} == {"one": 20, "two": 20}


def test_a_file_that_does_not_read_back_trusts_nothing(tmp_path):
    ledger = Ledger(Home(tmp_path))
    ledger.decide("one", Decision(version="1", sha256="a"))
    ledger.lock_file.write_text("{")
    ledger.seen_file.write_text("{")
    with pytest.raises(Damaged, match="no plugin is trusted; delete it"):
        ledger.decisions()
    assert ledger.sightings() == {}


def test_only_what_was_decided_about_is_turned(tmp_path):
    with pytest.raises(NotFound):
        Ledger(Home(tmp_path)).turn("one", on=True)


def test_faults_stay_while_the_plugin_is_the_same(tmp_path):
    ledger = Ledger(Home(tmp_path))
    seen = Sighting(sha256="a", state=PluginState.LOADED)
    ledger.saw({"one": seen})
    for number in range(8):
        ledger.strike("one", PluginFault(text=str(number)))
    ledger.saw({"one": seen})
    assert [fault.text for fault in ledger.sightings()["one"].faults] == ["3", "4", "5", "6", "7"]
    ledger.saw({"one": seen.model_copy(update={"sha256": "b"})})
    assert ledger.sightings()["one"].strikes == 0
