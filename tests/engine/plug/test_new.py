"""New plugins: each kind is a package that loads, passes the suite of its kind, and is well formed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nightschool.engine.plug.items import KINDS
from nightschool.engine.plug.new import kinds, write_plugin
from nightschool.schemas.errors import UsageError
from nightschool.tui.cli import run


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A plugin of each kind."""
    folder = tmp_path_factory.mktemp("new")
    for kind in kinds():
        write_plugin(folder, f"my-{kind}", kind)
    return folder


def test_there_is_one_for_every_hook():
    assert sorted(f"nightschool_{kind}s" for kind in kinds()) == sorted(KINDS)


def test_each_passes_its_own_tests_at_once(written):
    roots = sorted(path for path in written.iterdir() if path.is_dir())
    paths = os.pathsep.join([*map(str, roots), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    command = [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(str(root / "tests") for root in roots)],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=written,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]


def test_each_is_well_formed(written):
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    for root in written.iterdir():
        facts = tomllib.loads((root / "pyproject.toml").read_text())
        assert facts["project"]["name"] == root.name
        (module,) = facts["project"]["entry-points"]["nightschool"].values()
        assert (root / module / "__init__.py").exists()
        leftover = [
            path for path in root.rglob("*.py") if "{module}" in path.read_text() or "{name}" in path.read_text()
        ]
        assert not leftover
    if ruff:
        for command in (["check"], ["format", "--check"]):
            done = subprocess.run([ruff, *command, str(written)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("name", "kind"), [("Upper", "gate"), ("../up", "gate"), ("ok", "magic"), ("x-", "gate")])
def test_what_cannot_be_is_refused(tmp_path, name, kind):
    with pytest.raises(UsageError):
        write_plugin(tmp_path, name, kind)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path, capsys):
    assert run(["plugins", "new", "one", "--kind", "gate", "--into", str(tmp_path)]) == 0
    assert "nightschool plugins install" in capsys.readouterr().out
    assert run(["plugins", "new", "one", "--kind", "gate", "--into", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
