"""Schedulers, over programs that stand in for those of the system and note what they are asked."""

import json
import plistlib
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from nightschool.engine.nightly.choose import SCHEDULERS, scheduler_named, usable_scheduler
from nightschool.engine.nightly.cron import Cron
from nightschool.engine.nightly.launchd import Launchd
from nightschool.engine.nightly.systemd import Systemd
from nightschool.engine.nightly.task import night_task, task_name
from nightschool.engine.nightly.windows import Windows
from nightschool.engine.paths import Home
from nightschool.schemas.errors import ScheduleError, UsageError

SYSTEMCTL = """#!/bin/sh
echo "$@" >> {log}
if [ -e {refuses} ]; then echo "Failed to connect to bus" >&2; exit 1; fi
"""
CRONTAB = """#!/bin/sh
if [ "$1" = "-l" ]; then
    [ -e {table} ] || {{ echo "no crontab for you" >&2; exit 1; }}
    cat {table}
else
    cat > {table}
fi
"""


@pytest.fixture
def task(tmp_path):
    return night_task(Home(tmp_path / "a 50% $HOME's"), "2:05")


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A machine of our own: an empty home and only the programs that a test puts on its path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/bin:/usr/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    def put(name, text):
        words = {word: shlex.quote(str(tmp_path / word)) for word in ("log", "refuses", "table")}
        (programs / name).write_text(text.format(**words))
        (programs / name).chmod(0o755)

    put("systemctl", SYSTEMCTL)
    put("crontab", CRONTAB)
    return tmp_path


@pytest.mark.parametrize("at", ["25:00", "3", "03:60", "", "03:00:00", "three"])
def test_a_time_that_is_none_is_refused(tmp_path, at):
    with pytest.raises(UsageError, match="no time of day"):
        night_task(Home(tmp_path), at)


def test_each_profile_has_a_task_of_its_own(tmp_path):
    assert task_name(Home(tmp_path / "a")) != task_name(Home(tmp_path / "b"))
    assert task_name(Home(tmp_path / "a")) == night_task(Home(tmp_path / "a"), "04:00").name


def test_systemd_gets_two_units_and_is_told(system, task):
    scheduler = Systemd()
    assert scheduler.usable()
    assert scheduler.installed(task.name) == ""
    scheduler.install(task)
    assert scheduler.installed(task.name) == "02:05"
    units = system / "home" / ".config" / "systemd" / "user"
    (line,) = [row for row in (units / f"{task.name}.service").read_text().splitlines() if row.startswith("ExecStart=")]
    read = shlex.split(line.removeprefix("ExecStart=").replace("%%", "%").replace("$$", "$"))
    assert read == list(task.command)
    assert "Persistent=true" in (units / f"{task.name}.timer").read_text()
    assert f"--user enable --now {task.name}.timer" in (system / "log").read_text()
    assert scheduler.remove(task.name)
    assert f"--user disable --now {task.name}.timer" in (system / "log").read_text()
    assert not list(units.iterdir())
    assert not scheduler.remove(task.name)


def test_a_systemd_without_a_user_manager_is_not_used_and_says_why(system, task):
    (system / "refuses").touch()
    assert not Systemd().usable()
    assert usable_scheduler().name == "cron"
    with pytest.raises(ScheduleError, match="Failed to connect to bus"):
        Systemd().install(task)


def test_cron_keeps_what_else_is_in_the_table(system, task):
    scheduler = Cron()
    others = "MAILTO=me\n5 4 * * * backup # nightly"
    (system / "table").write_text(others)
    scheduler.install(task)
    scheduler.install(night_task(Home(Path(task.command[5])), "23:59"))
    assert scheduler.installed(task.name) == "23:59"
    table = (system / "table").read_text()
    assert table.startswith(others + "\n") and table.count(task.name) == 2
    assert scheduler.remove(task.name)
    assert (system / "table").read_text() == others + "\n"
    assert not scheduler.remove(task.name)
    assert scheduler.installed(task.name) == ""


def test_cron_keeps_every_byte_of_other_lines(system, task):
    others = "1 2 * * * say Gr\xfc\xdfe # latin\n3 4 * * * say Grüße\n".encode("latin-1") + "# ✓\n".encode()
    (system / "table").write_bytes(others)
    Cron().install(task)
    assert (system / "table").read_bytes().startswith(others)
    assert Cron().remove(task.name)
    assert (system / "table").read_bytes() == others


def test_a_table_that_cannot_be_read_is_not_taken_for_none(system, task):
    (system / "bin" / "crontab").write_text(
        f'#!/bin/sh\nif [ "$1" = -l ]; then printf "you may not \\377" >&2; exit 1; fi\ntouch {system}/written\n'
    )
    for ask in (lambda: Cron().install(task), lambda: Cron().installed(task.name), lambda: Cron().remove(task.name)):
        with pytest.raises(ScheduleError, match="you may not") as caught:
            ask()
        str(caught.value).encode()
    assert not (system / "written").exists()


@pytest.mark.parametrize("said", ["no crontab for you", "crontab: can't open 'you': No such file or directory"])
def test_a_table_that_is_not_there_yet_is_empty(system, task, said):
    (system / "bin" / "crontab").write_text(f'#!/bin/sh\necho "{said}" >&2; exit 1\n')
    assert Cron().installed(task.name) == ""


def test_cron_runs_the_very_command(system, task):
    """Cron hands what follows the five fields to a shell, after turning an escaped percent sign into a plain one."""
    nightly, reboot = Cron().text(task).splitlines()
    command = nightly.split(" ", 5)[5].replace("\\%", "%")
    assert shlex.split(command.partition(" >/dev/null")[0]) == list(task.command)
    assert reboot.startswith("@reboot ") and " --if-missed " in reboot


def test_cron_without_a_table_begins_one(system, task):
    Cron().install(task)
    assert Cron().installed(task.name) == "02:05"


def test_launchd_reads_a_property_list(task):
    facts = plistlib.loads(Launchd().text(task).encode())
    assert facts["ProgramArguments"] == list(task.command)
    assert facts["StartCalendarInterval"] == {"Hour": 2, "Minute": 5}


def test_launchd_says_what_is_installed(system, task, monkeypatch):
    agents = system / "home" / "Library" / "LaunchAgents"
    agents.mkdir(parents=True)
    asked = []
    monkeypatch.setattr("nightschool.engine.nightly.launchd.run", lambda command, **rest: asked.append(command[1]))
    Launchd().install(task)
    assert Launchd().installed(task.name) == "02:05"
    assert Launchd().remove(task.name)
    assert asked == ["bootout", "bootstrap", "bootout"]
    assert not list(agents.iterdir())


def test_windows_gives_xml_and_installs_nothing(task):
    text = Windows().text(task)
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    (command,) = ElementTree.fromstring(text).iter(f"{space}Command")
    assert command.text == task.command[0]
    with pytest.raises(ScheduleError, match="schtasks"):
        Windows().install(task)


def test_schedulers_are_found_by_name():
    assert [scheduler_named(one.name) for one in SCHEDULERS] == list(SCHEDULERS)
    with pytest.raises(UsageError, match="systemd"):
        scheduler_named("anacron")


def test_the_command_is_understood(task, capsys):
    from nightschool.tui.cli import run

    words = list(task.command)
    assert words[:4][1:] == ["-P", "-m", "nightschool"]
    assert run([*words[4:], "--help"]) == 0
    assert "Spend a night now" in capsys.readouterr().out


def test_no_scheduler_at_all_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ScheduleError, match="by other means"):
        usable_scheduler()


def test_json_names_what_was_installed(system, capsys):
    from nightschool.tui.cli import run

    assert run(["--home", str(system / "p"), "nightly", "install", "--at", "4:30", "--with", "cron", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["scheduler"], result["at"]) == ("cron", "04:30")
    assert run(["--home", str(system / "p"), "nightly", "install", "--with", "systemd"]) == 0
    assert Cron().installed(result["name"]) == "", "the profile would have two nights"
    capsys.readouterr()
    assert run(["--home", str(system / "p"), "nightly", "remove", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"removed": ["systemd"]}
