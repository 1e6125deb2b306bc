"""The three examples: each is built, installed in a fresh environment, and passes its suites there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("nightschool-german", "nightschool-knots", "nightschool-simpo")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The interpreter of a fresh environment in which the examples are installed, and the packages of this one seen."""
    folder = tmp_path_factory.mktemp("examples")
    venv.create(folder / "venv", symlinks=True)
    paths = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    site = Path(sysconfig.get_path("purelib", vars=paths))
    outer = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (site / "others.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in outer))
    python = Path(sysconfig.get_path("scripts", vars=paths)) / "python"
    sources = [shutil.copytree(EXAMPLES / name, folder / name) for name in NAMES]
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-build-isolation", *sources], check=True)
    return python


def run(python, folder, *arguments):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTSCHOOL_")}
    said = {**kept, "NIGHTSCHOOL_HOME": str(folder / "home")}
    return subprocess.run(
        [python, *arguments], capture_output=True, text=True, env=said, cwd=folder, timeout=280, check=False
    )


def test_there_are_the_examples_that_there_are():
    assert sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()) == sorted(NAMES)


def test_each_passes_its_suites(environment, tmp_path):
    tests = [str(EXAMPLES / name / "tests") for name in NAMES]
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", "-c", os.devnull]
    done = run(environment, tmp_path, "-m", "pytest", *options, *tests)
    assert done.returncode == 0, done.stdout[-6000:]


def test_each_is_loaded_once_it_is_trusted_and_its_command_runs(environment, tmp_path):
    for name in NAMES:
        done = run(environment, tmp_path, "-m", "nightschool", "plugins", "trust", name, "--yes", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["state"] == "loaded"
    done = run(environment, tmp_path, "-m", "nightschool", "woche")
    assert (done.returncode, done.stdout) == (0, "In den letzten sieben Tagen gab es nichts zu lernen.\n"), done.stderr
    assert "woche" in run(environment, tmp_path, "-m", "nightschool", "--help").stdout
