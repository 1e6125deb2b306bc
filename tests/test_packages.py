"""What is packaged: the list in pyproject.toml, the data files, and a wheel that is installed and run elsewhere."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
ROOMS = [path.name for path in sorted(ROOT.iterdir()) if (path / "__init__.py").is_file() and path.name != "tests"]


def packaged_files():
    """Return what belongs into the wheel, relative to the package: all files of the rooms, and the package's own."""
    inside = [path for room in ROOMS for path in (ROOT / room).rglob("*")]
    own = [*ROOT.glob("*.py"), *(ROOT / name for name in SETUP["package-data"]["nightschool"])]
    return {
        path.relative_to(ROOT).as_posix()
        for path in [*inside, *own]
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def test_the_list_of_packages_is_the_folders():
    folders = {path.parent.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("__init__.py")}
    names = {".".join(("nightschool", *folder.parts)) for folder in folders} | {"nightschool"}
    assert SETUP["packages"] == sorted(names)


def test_every_folder_with_a_module_is_a_package():
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built offline from a copy of the sources, so that nothing is written beside them."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    leave = shutil.ignore_patterns("__pycache__")
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=leave)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*command, "--wheel-dir", folder, source], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_and_no_other(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {f"nightschool/{name}" for name in packaged_files()}


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    """The programs of a fresh environment: our wheel, and other people's packages of the one the tests run in."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    programs, site = Path(sysconfig.get_path("scripts", vars=paths)), Path(sysconfig.get_path("purelib", vars=paths))
    pip = [sys.executable, "-m", "pip", "--python", programs / "python", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", wheel], check=True)
    # Only after the installation: pip must not see the copy of ours that the other environment holds.
    outer = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (site / "others.pth").write_text("".join(f"{path}\n" for path in outer))
    return programs


def run(arguments, folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["NIGHTSCHOOL_HOME"] = str(folder / "home")
    return subprocess.run(arguments, capture_output=True, text=True, cwd=folder, env=environment, timeout=60)


def test_the_installed_command_runs(fresh, tmp_path):
    done = run([fresh / "nightschool", "--help"], tmp_path)
    assert done.returncode == 0 and "Examples:" in done.stdout and done.stderr == ""
    again = run([fresh / "python", "-m", "nightschool", "--version"], tmp_path)
    assert again.returncode == 0 and again.stdout.strip() == wheel_version()


def wheel_version():
    from nightschool import __version__

    return __version__


INSIDE = """
import asyncio, json, nightschool
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.prompts import bank, neutral
from nightschool.tui.app import NightSchool
from nightschool.tui.scripted import ScriptedEngine

async def first_frame():
    async with NightSchool(ScriptedEngine()).run_test() as pilot:
        await pilot.press("f1")
        await pilot.pause()
        return str(pilot.app.screen)

print(json.dumps({
    "from": nightschool.__file__,
    "screen": asyncio.run(first_frame()),
    "prompts": len(bank()),
    "neutral": len(neutral()),
    "providers": len(PluginHost.load().collect("nightschool_providers")),
}))
"""


def test_the_installed_package_finds_its_styles_prompts_and_plugins(fresh, tmp_path):
    done = run([fresh / "python", "-c", INSIDE], tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["from"].startswith(str(fresh.parent)), "it ran the sources, not the wheel"
    assert "Help" in found["screen"]
    assert found["prompts"] and found["neutral"] and found["providers"]


def test_the_installed_engine_answers(fresh, tmp_path):
    done = run([fresh / "nightschool", "--model", str(tmp_path / "none"), "slots", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "science" in [slot["name"] for slot in json.loads(done.stdout)]
