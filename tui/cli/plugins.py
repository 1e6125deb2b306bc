"""Commands of plugins: which there are, which may run, bringing them and taking them away.

None of them starts the engine or imports a plugin, so that a broken one cannot keep the user from getting rid of it;
what is trusted is tried in a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ...engine.paths import Home
from ...engine.plug import install as pip
from ...engine.plug.manage import disable_plugin, enable_plugin, list_plugins, show_plugin, trust_plugin
from ...engine.plug.new import kinds, write_plugin
from ...schemas.errors import PluginError, UsageError
from ...schemas.plugins import PluginRow, PluginState
from ..plugin_words import plugin_lines, plugin_table
from .options import ListingGroup, examples, json_option
from .output import document
from .profile import Profile

ASKING = """{name} {version} is code: with your rights it can read your files and use the network.
{summary}
It brings {points}."""

yes_option = click.option("--yes", is_flag=True, help="Do not ask whether its code may run.")


@click.group(
    cls=ListingGroup,
    epilog=examples(
        "nightschool plugins",
        "nightschool plugins install nightschool-german",
        "nightschool plugins show nightschool-german",
        "nightschool plugins disable nightschool-german",
        "nightschool --no-plugins ask Hello",
    ),
)
def plugins() -> None:
    """List, trust, install, update and remove plugins.

    A plugin is code that runs with your rights. What is installed is off until you trust it by name, and is asked about
    again when it has changed. One that does harm is turned off, with the reason.
    """


@plugins.command("list", epilog=examples("nightschool plugins list --json"))
@json_option
@click.pass_context
def list_all(context: click.Context, *, as_json: bool) -> None:
    """List the plugins of others, how each stands and why."""
    rows = list_plugins(_home(context))
    _give(rows, plugin_table(rows), as_json=as_json)


@plugins.command(epilog=examples("nightschool plugins show nightschool-german"))
@click.argument("name")
@json_option
@click.pass_context
def show(context: click.Context, name: str, *, as_json: bool) -> None:
    """Say all that is known of a plugin: hooks, load time, what it did wrong with the traceback."""
    row = show_plugin(_home(context), name)
    _give(row, plugin_lines(row), as_json=as_json)


@plugins.command(epilog=examples("nightschool plugins trust nightschool-german"))
@click.argument("name")
@yes_option
@json_option
@click.pass_context
def trust(context: click.Context, name: str, *, yes: bool, as_json: bool) -> int:
    """Let the code of an installed plugin run, as it is now.

    It is tried in a process of its own first; one that does not load there stays off. The exit code is 60 then.
    """
    home = _home(context)
    if not yes:
        _ask(show_plugin(home, name))
    return _told(trust_plugin(home, name), as_json=as_json)


@plugins.command(epilog=examples("nightschool plugins enable nightschool-german"))
@click.argument("name")
@json_option
@click.pass_context
def enable(context: click.Context, name: str, *, as_json: bool) -> int:
    """Turn a trusted plugin on again; its faults are forgiven, and it is tried in a process of its own."""
    return _told(enable_plugin(_home(context), name), as_json=as_json)


@plugins.command(epilog=examples("nightschool plugins disable nightschool-german"))
@click.argument("name")
@json_option
@click.pass_context
def disable(context: click.Context, name: str, *, as_json: bool) -> int:
    """Turn a plugin off; it stays installed and trusted."""
    return _told(disable_plugin(_home(context), name), as_json=as_json)


@plugins.command(
    epilog=examples(
        "nightschool plugins install nightschool-german",
        "nightschool plugins install ./my-plugin --editable --yes",
        "nightschool plugins install git+https://github.com/somebody/nightschool-simpo@v1",
    )
)
@click.argument("requirement")
@click.option("--editable", "-e", is_flag=True, help="Of a folder: use it as it stands there, for authors.")
@yes_option
@json_option
@click.pass_context
def install(context: click.Context, requirement: str, *, editable: bool, yes: bool, as_json: bool) -> int:
    """Install a plugin with pip beside Night School, ask whether its code may run, and try it.

    What Night School itself needs is never changed by it. Where uv or pipx keeps the environment, this says their
    command for it instead.
    """
    found = pip.install([requirement], editable=editable, tell=_note)
    return _trusted(_home(context), found, pip.kept_as(requirement, editable=editable), yes=yes, as_json=as_json)


@plugins.command(epilog=examples("nightschool plugins update nightschool-german"))
@click.argument("name")
@yes_option
@json_option
@click.pass_context
def update(context: click.Context, name: str, *, yes: bool, as_json: bool) -> int:
    """Bring the newest version of a plugin; where it is another one, ask again whether its code may run."""
    home = _home(context)
    row = show_plugin(home, name)
    found = pip.install([row.requirement or row.name], upgrade=row.name, tell=_note)
    if not found:
        _note(f"{row.name} {row.version} is the newest that fits.")
    return _trusted(home, found, row.requirement, yes=yes, as_json=as_json)


@plugins.command(epilog=examples("nightschool plugins uninstall nightschool-german"))
@click.argument("name")
@json_option
@click.pass_context
def uninstall(context: click.Context, name: str, *, as_json: bool) -> None:
    """Remove a plugin from the environment, and what was decided about it."""
    home = _home(context)
    row = show_plugin(home, name)
    if row.state is not PluginState.MISSING:
        pip.uninstall(row.name, tell=_note)
    pip.forget(home, row.name)
    rows = list_plugins(home)
    _give(rows, [f"{row.name} is removed."], as_json=as_json)


@plugins.command(epilog=examples("nightschool plugins sync", "nightschool plugins sync --dry-run"))
@click.option("--dry-run", is_flag=True, help="Only say what would be installed.")
@json_option
@click.pass_context
def sync(context: click.Context, *, dry_run: bool, as_json: bool) -> int:
    """Install again what plugins.lock has and the environment lacks, after an upgrade or on another machine.

    One that comes back as it was is trusted as it was; one that differs is asked about again.
    """
    home = _home(context)
    wanted = pip.missing(home)
    if wanted and not dry_run:
        pip.install(wanted, tell=_note)
    rows = list_plugins(home)
    lines = [f"Would install {', '.join(wanted)}."] if dry_run and wanted else plugin_table(rows)
    _give({"missing": wanted, "plugins": rows}, lines if wanted else ["Nothing is missing."], as_json=as_json)
    return 0


@plugins.command(
    epilog=examples(
        "nightschool plugins new shout --kind rewriter",
        "nightschool plugins new simpo --kind trainer --into ~/code",
    )
)
@click.argument("name")
@click.option("--kind", required=True, metavar="KIND", help=f"What it supplies: {', '.join(kinds())}.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="FOLDER",
    help="Without it here.",
)
@json_option
def new(name: str, *, kind: str, into: Path, as_json: bool) -> None:
    """Write a new plugin: a package with typed code, tests, and the suite that all of its kind must pass."""
    files = write_plugin(into.absolute(), name, kind)
    root = files[0].parent
    _give(
        {"folder": str(root), "files": [str(path) for path in files]},
        [
            f"Written to {root}. Next:",
            f"  nightschool plugins install {root} --editable",
            f"  cd {root} && python -m pytest",
        ],
        as_json=as_json,
    )


# -- parts ------------------------------------------------------------------------------------------------------------


def _trusted(home: Home, found: Sequence[str], requirement: str, *, yes: bool, as_json: bool) -> int:
    rows = []
    for name in found:
        row = show_plugin(home, name)
        if not yes:
            _ask(row)
        rows.append(trust_plugin(home, name, requirement))
    lines = [line for row in rows for line in _said(row)]
    _give(rows, lines, as_json=as_json)
    return PluginError.exit_code if any(_is_wrong(row) for row in rows) else 0


def _told(row: PluginRow, *, as_json: bool) -> int:
    _give(row, _said(row), as_json=as_json)
    return PluginError.exit_code if _is_wrong(row) else 0


def _said(row: PluginRow) -> list[str]:
    hooks = f" ({', '.join(row.hooks)}, {row.load_ms:.0f} ms)" if row.state is PluginState.LOADED else ""
    return [f"{row.name} {row.version}: {row.state.value}{hooks}.", *([row.reason] if row.reason else [])]


def _is_wrong(row: PluginRow) -> bool:
    return row.state in (PluginState.FAILED, PluginState.INCOMPATIBLE)


def _ask(row: PluginRow) -> None:
    """Ask on a terminal whether the code of a plugin may run.

    Raises:
        UsageError: If nobody can be asked.
        click.Abort: If the user does not agree.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"Nobody can be asked whether the code of {row.name} may run; give --yes.")
    words = ASKING.format(
        name=row.name, version=row.version, summary=row.summary or "(no summary)", points=", ".join(row.points)
    )
    for line in words.splitlines():
        _note(line)
    click.confirm("Let it run?", abort=True, err=True)


def _note(words: str) -> None:
    from ..safe_text import one_line

    click.echo(one_line(words, 1000), err=True)


def _home(context: click.Context) -> Home:
    profile = context.find_object(Profile)
    assert profile is not None
    return profile.home


def _give(data: object, lines: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        click.echo(document(data, pretty=sys.stdout.isatty()))
    else:
        for line in lines:
            click.echo(line)
