"""The fuzzer's targets are right about the bytes they begin with, and see a reader that is wrong."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from nightschool.schemas.errors import MarketError
from nightschool.tests.fuzz import targets
from nightschool.tests.fuzz.targets import TARGETS
from nightschool.tests.marketplace.bundle.hostile import raw_files, with_file


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_target_begins_with_is_refused_or_right(name):
    for data in TARGETS[name].seeds():
        TARGETS[name].check(data)


def test_a_bundle_that_is_taken_though_another_was_meant_is_seen():
    with pytest.raises(AssertionError):
        targets.read_bundle(with_file("card", raw=raw_files()["card"] + b"\n"))


def test_a_reader_that_fails_otherwise_than_in_words_is_seen(monkeypatch):
    def broken(data):
        raise KeyError("shape")

    monkeypatch.setattr(targets, "read_header", broken)
    with pytest.raises(KeyError):
        targets.read_weights(b"x")
    monkeypatch.setattr(targets, "read_header", lambda data: (_ for _ in ()).throw(MarketError("No.")))
    targets.read_weights(b"x")


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="it needs the extra fuzz")
@pytest.mark.parametrize("name", TARGETS)
def test_the_fuzzer_finds_nothing_in_a_moment(name):
    asked = [sys.executable, "-m", "nightschool.tests.fuzz", name, "-runs=500", "-timeout=20"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 500 runs" in done.stderr
