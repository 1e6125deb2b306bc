"""What must work whatever plugins do imports none of them: help, management, the doctor, the way back."""

from __future__ import annotations

import pytest

from nightschool.engine.plug.standing import CHOOSE
from nightschool.tui.cli import run

TELLTALE = """
import os
from pathlib import Path
Path(os.environ["NIGHTSCHOOL_TELLTALE"]).touch()
from nightschool.engine.host.hooks import hookimpl
"""


@pytest.fixture
def imported(shelf, tmp_path, monkeypatch, capsys):
    """Run a command and say whether a trusted plugin was imported, by whichever process."""
    mark = tmp_path / "imported"
    monkeypatch.setenv("NIGHTSCHOOL_TELLTALE", str(mark))
    shelf.add("telltale", TELLTALE)

    def run_it(*arguments):
        mark.unlink(missing_ok=True)
        code = run(arguments)
        said = capsys.readouterr()
        return code, mark.exists(), said.out + said.err

    return run_it


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("plugins",),
        ("plugins", "show", "telltale"),
        ("plugins", "disable", "telltale"),
        ("plugins", "sync", "--dry-run"),
        ("plugins", "--help"),
    ],
    ids=" ".join,
)
def test_help_and_management_import_no_plugin(imported, arguments):
    code, ran, said = imported(*arguments)
    assert (code, ran) == (0, False), said


def test_the_doctor_and_the_way_back_load_no_plugin(imported):
    _, ran, said = imported("--model", "none", "doctor")
    assert not ran
    assert "telltale 1.2 (trusted)" in said
    _, ran, said = imported("--model", "none", "rollback", "science")
    assert not ran, said
    assert imported("--model", "none", "slots")[:2] == (0, True)  # as a command does that needs no such care


def test_a_start_can_leave_plugins_out(imported, monkeypatch):
    monkeypatch.setenv(CHOOSE, "another")
    assert imported("--model", "none", "slots")[:2] == (0, False)
    monkeypatch.setenv(CHOOSE, "telltale")
    assert imported("--model", "none", "slots")[:2] == (0, True)
    assert imported("--no-plugins", "--model", "none", "slots")[:2] == (0, False)
