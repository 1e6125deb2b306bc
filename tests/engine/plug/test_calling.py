"""Calls of strangers' code within a budget: left behind in the engine, ended with its process in a study."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from nightschool.engine.plug import marks
from nightschool.engine.plug.calling import MEMORY, WATCHED_EXIT, Overrun, Threads
from nightschool.engine.plug.marks import Mark, Marker


def test_a_call_gives_what_it_gives_and_raises_what_it_raises():
    threads = Threads()
    assert threads.call("one", "x", 5.0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        threads.call("one", "x", 5.0, lambda: 1 / 0)
    names = {threads.call("one", "x", 5.0, lambda: threading.current_thread().name) for _ in range(3)}
    assert names == {"plugin one"}


def test_a_call_that_takes_too_long_is_left_behind_and_the_next_is_made():
    threads, ended = Threads(), threading.Event()

    def spin():
        try:
            while True:
                time.sleep(0.001)
        finally:
            ended.set()

    began = time.monotonic()
    with pytest.raises(Overrun, match=r"longer than 0\.2 s"):
        threads.call("one", "x", 0.2, spin)
    assert time.monotonic() - began < 5
    assert threads.call("one", "x", 5.0, lambda: "next") == "next"
    assert ended.wait(5)  # Python is asked to stop; what computes in C goes on


def test_a_plugin_that_comes_to_itself_does_not_wait_for_itself():
    threads = Threads()
    assert threads.call("one", "x", 5.0, lambda: threads.call("one", "y", 5.0, lambda: "inner")) == "inner"


WATCHED = """
import ctypes, os, signal, sys, time
from pathlib import Path
from nightschool.engine.plug.calling import Watched
from nightschool.engine.plug.marks import Marker
watched = Watched(Marker.open(Path(sys.argv[1])))
held = []
def work():
    {work}
print(watched.call("greedy", "trainer greedy.train", 1.0, work), flush=True)
time.sleep(2)  # after the call nothing is measured any more
"""


def ended(tmp_path, work):
    """Return how a process ended that makes one watched call, and what it was doing then."""
    command = [sys.executable, "-c", WATCHED.format(work=work), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done, marks.left_behind(tmp_path)


def test_a_watched_call_that_ends_leaves_nothing(tmp_path):
    done, left = ended(tmp_path, "return 7")
    assert (done.returncode, done.stdout, left) == (0, "7\n", [])


@pytest.mark.parametrize(
    ("work", "code", "wrong"),
    [
        ("time.sleep(60)", WATCHED_EXIT, "said nothing for 1 s"),
        ("while True: held.append(bytearray(20_000_000)); time.sleep(0.01)", WATCHED_EXIT, "took more than "),
        ("ctypes.PyDLL(None).sleep(60)", 1, ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("os._exit(3)", 3, ""),
    ],
    ids=["hangs", "hogs", "never lets go", "kills", "leaves"],
)
def test_a_watched_process_that_ends_in_a_call_says_in_which(tmp_path, monkeypatch, work, code, wrong):
    monkeypatch.setenv(MEMORY, "100000000")
    done, left = ended(tmp_path, work)
    assert done.returncode == code, done.stderr
    (mark,) = left
    assert (mark.plugin, mark.at) == ("greedy", "trainer greedy.train")
    assert mark.wrong.startswith(wrong)
    assert bool(mark.wrong) == bool(wrong)


def test_calls_that_cross_leave_no_mark(tmp_path):
    """The first of two threads ends first: what it said of itself goes, and not that of the other."""
    marker = Marker.open(tmp_path)
    first, second = marker.doing(Mark("one", "x")), marker.doing(Mark("two", "x"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    (file,) = tmp_path.iterdir()
    assert b'"two"' in file.read_bytes()
    second.__exit__(None, None, None)
    assert not file.read_bytes().strip(b"\0")


def test_marks_of_the_living_are_left_alone(tmp_path):
    marker = Marker.open(tmp_path)
    with marker.doing(Mark("one", "loading")):
        assert marks.left_behind(tmp_path) == []
        (file,) = tmp_path.iterdir()
        assert b'"one"' in file.read_bytes()
        inner = marker.doing(Mark("two", "call"))
        with inner:
            assert b'"two"' in file.read_bytes()
        assert b'"one"' in file.read_bytes()
    assert not file.read_bytes().strip(b"\0")
    marker.close()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "doing-x-y").write_bytes(b"\xff\0half")
    assert marks.left_behind(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
