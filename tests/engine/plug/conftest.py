from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nightschool.engine.paths import Home
from nightschool.engine.plug.standing import CHOOSE
from nightschool.tests.plugged import Shelf


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where plugins are put, for this process and those that it starts, in a profile that is empty."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(CHOOSE, raising=False)
    yield Shelf(folder, Home(tmp_path / "home"))
    for module in folder.glob("*.py"):
        sys.modules.pop(module.stem, None)
