"""The wheel holds the whole package, code and data, and works where the repository is not."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP = ("schemas", "engine", "plugins", "marketplace", "tui")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def package_files():
    """Return every file that belongs to the package, relative to the root."""
    for folder in TOP:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
                yield path.relative_to(ROOT)


def test_the_list_of_packages_equals_the_folders():
    folders = {path.parent for path in package_files() if path.suffix == ".py"}
    found = {"nightschool", *(".".join(["nightschool", *folder.parts]) for folder in folders)}
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(found)


def test_every_folder_with_code_is_a_package():
    folders = {path.parent for path in package_files() if path.suffix == ".py"}
    assert [str(folder) for folder in folders if not (ROOT / folder / "__init__.py").is_file()] == []


def run(*argv, cwd=None, **environment):
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    done = subprocess.run(
        [str(word) for word in argv], cwd=cwd, env={**keep, **environment}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, so that nothing is left in the repository. Asks nothing of the network."""
    copy = tmp_path_factory.mktemp("source") / "repository"
    copy.mkdir()
    for folder in TOP:
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy2(file, copy)
    made = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", made, copy)
    (built,) = made.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def place(wheel, tmp_path_factory):
    """A fresh environment with the wheel; libraries are borrowed from ours, but not our editable install."""
    folder = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    libraries = Path(run(python, "-c", code).strip())
    # A line of a .pth file is put on the path as it is: the .pth files there, such as the editable one, stay unread.
    (libraries / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet", wheel)
    assert run(python, "-c", "import nightschool; print(nightschool.__file__)", cwd=folder).startswith(str(folder))
    return folder


def test_the_wheel_holds_every_file_and_nothing_else(wheel):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {f"nightschool/{path.as_posix()}" for path in package_files()}
    wanted |= {f"nightschool/{path.name}" for path in ROOT.glob("*.py")} | {"nightschool/constraints.txt"}
    assert sorted(wanted - inside) == []
    assert sorted(inside - wanted) == []


def test_the_command_answers_from_the_wheel(place):
    assert "ask" in run(place / "bin" / "nightschool", "--help", cwd=place)
    version = {}
    exec((ROOT / "__init__.py").read_text("utf-8"), version)
    assert version["__version__"] in run(place / "bin" / "nightschool", "--version", cwd=place)


def test_the_app_paints_from_the_wheel(place):
    code = """
import asyncio
from nightschool.tui.app import NightSchool
from nightschool.tui.scripted import ScriptedEngine

async def paint():
    app = NightSchool(ScriptedEngine())
    async with app.run_test() as pilot:
        for key in ("f1", "escape", "f2", "escape", "f3", "escape"):
            await pilot.press(key)
        print(len(app.screen._compositor.render_strips()), "lines")

asyncio.run(paint())
"""
    assert "lines" in run(place / "bin" / "python", "-c", code, cwd=place)


def test_plugins_and_data_are_found_from_the_wheel(place):
    code = """
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.prompts import bank, neutral

print(len(PluginHost.load(third_party=False).plugins()), len(bank()), len(neutral()))
"""
    plugins, prompts, prose = map(int, run(place / "bin" / "python", "-c", code, cwd=place).split())
    assert min(plugins, prompts, prose) > 5
