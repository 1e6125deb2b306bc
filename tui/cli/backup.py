"""Commands that save a whole profile and bring it back."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ...engine.paths import Home
from ...schemas.records import BackupSummary
from .options import examples, json_option
from .output import StatusLine, document, when
from .profile import Profile


@click.command(epilog=examples("nightschool backup ~/nightschool-backup.zip"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def backup(context: click.Context, file: Path, *, as_json: bool) -> None:
    """Save the whole profile in one file.

    Conversations, lessons, every generation of every slot, settings; models are not in it. Night School may be open,
    or unable to open the profile.
    """
    from ...engine.backup import write_backup

    status = StatusLine(sys.stderr)
    try:
        made = write_backup(_home(context), file.absolute(), lambda share: status.show(f"Saving {share:.0%}"))
    finally:
        status.clear()
    _give(made, as_json=as_json)


@click.command(
    epilog=examples("nightschool --home ~/other restore backup.zip", "nightschool restore backup.zip --replace")
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Put the profile that is there aside, into a folder of its own.")
@json_option
@click.pass_context
def restore(context: click.Context, file: Path, *, replace: bool, as_json: bool) -> None:
    """Bring a profile back from a backup.

    Everything in it is checked before anything is changed. Night School must be closed.
    """
    from ...engine.backup import restore_backup

    _give(restore_backup(file.absolute(), _home(context), replace=replace), as_json=as_json)


def _home(context: click.Context) -> Home:
    profile = context.find_object(Profile)
    assert profile is not None
    return profile.home


def _give(made: BackupSummary, *, as_json: bool) -> None:
    what = f"{made.slots} slots with {made.generations} generations"
    words = f"{made.file}: {what}, saved {when(made.created)}, {made.bytes / 1e6:.1f} MB."
    click.echo(document(made, pretty=False) if as_json else words)
