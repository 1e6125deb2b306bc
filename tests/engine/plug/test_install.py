"""Plugins brought and taken away with pip, in an environment of their own; what uv and pipx keep is left to them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import nightschool
from nightschool.engine.paths import Home
from nightschool.engine.plug import install
from nightschool.engine.plug.ledger import Ledger
from nightschool.schemas.errors import PluginError
from nightschool.schemas.plugins import Decision
from nightschool.tests.plugged import GOOD


def make_wheel(folder: Path, version: str, code: str, requires: str = "") -> Path:
    """Write a wheel of one module as a build tool would."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"night_moo-{version}.dist-info"
    wanted = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        "night_moo.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: night-moo\nVersion: {version}\nSummary: Moo.\n{wanted}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[nightschool]\nmoo = night_moo\n",
    }

    def digest(text: str) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()

    record = [f"{name},sha256={digest(text)},{len(text.encode())}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    path = folder / f"night_moo-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A fresh environment that sees the packages of this one, pip and Night School too."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", vars=paths))
    outer = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (site / "others.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in outer))
    return Path(sysconfig.get_path("scripts", vars=paths)) / "python"


@pytest.fixture
def ask(environment, tmp_path):
    """Run a command there and read its document."""

    def run(*arguments):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTSCHOOL_", "PIP_"))}
        said = {**kept, "NIGHTSCHOOL_HOME": str(tmp_path / "home"), "PIP_NO_INDEX": "1"}
        command = [environment, "-m", "nightschool", "plugins", *map(str, arguments), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=said, cwd=tmp_path, timeout=240, check=False)
        text = done.stdout or done.stderr.splitlines()[-1]
        return done.returncode, json.loads(text)

    return run


def test_a_plugin_is_brought_kept_changed_lost_brought_back_and_taken_away(ask, environment, tmp_path):
    one = make_wheel(tmp_path / "one", "1.0", GOOD.format(item="moo"))
    two = make_wheel(tmp_path / "two", "2.0", GOOD.format(item="moo2"))
    greedy = make_wheel(tmp_path / "greedy", "3.0", "", requires="click<1")
    before = (Path(nightschool.__file__).parent, sys.prefix)

    code, found = ask("install", one)
    assert (code, found["error"]["code"]) == (2, "UsageError")  # nobody can be asked here
    code, (row,) = ask("list")
    assert (row["name"], row["state"]) == ("night-moo", "untrusted")
    code, row = ask("trust", "night-moo", "--yes")
    assert (code, row["state"], row["hooks"]) == (0, "loaded", ["nightschool_gates"])

    code, found = ask("install", greedy, "--yes")
    assert code == 60
    assert "pip failed" in found["error"]["message"]
    assert ask("show", "night-moo")[1]["version"] == "1.0"

    code, (row,) = ask("install", two, "--yes")
    assert (code, row["version"], row["state"], row["requirement"]) == (0, "2.0", "loaded", str(two))

    pip = [environment, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "uninstall", "--yes", "night-moo"], check=True)
    assert ask("show", "night-moo")[1]["state"] == "missing"
    code, found = ask("sync", "--dry-run")
    assert (code, found["missing"]) == (0, [str(two)])
    code, found = ask("sync")
    assert (code, [row["state"] for row in found["plugins"]]) == (0, ["loaded"])  # as it was, so trusted as it was

    code, rows = ask("uninstall", "night-moo")
    assert (code, rows) == (0, [])
    assert Ledger(Home(tmp_path / "home")).decisions() == {}
    assert before == (Path(nightschool.__file__).parent, sys.prefix)


@pytest.mark.parametrize(
    ("mark", "verb", "command"),
    [
        ("uv-receipt.toml", "install", "uv tool install nightschool --with night-moo"),
        ("pipx_metadata.json", "install", "pipx inject nightschool night-moo"),
        ("pipx_metadata.json", "uninstall", "pipx uninject nightschool night-moo"),
    ],
)
def test_the_command_for_uv_and_pipx_is_told(monkeypatch, tmp_path, mark, verb, command):
    (tmp_path / mark).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(install, "find_packages", list)
    with pytest.raises(PluginError, match=f"run `{command}`"):
        if verb == "install":
            install.install(["night-moo"], tell=lambda words: None)
        else:
            install.uninstall("night-moo", tell=lambda words: None)


def test_what_the_lock_has_and_the_environment_lacks_is_named_as_pip_takes_it(tmp_path):
    ledger = Ledger(Home(tmp_path))
    ledger.decide("gone-one", Decision(version="1.2", sha256="a"))
    ledger.decide("gone-two", Decision(version="1", sha256="a", requirement="-e /somewhere"))
    assert install.missing(Home(tmp_path)) == ["gone-one==1.2", "-e /somewhere"]
