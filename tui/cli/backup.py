"""Commands that save a whole profile and bring it back."""

from __future__ import annotations

from pathlib import Path

import click

from ...schemas.records import BackupSummary
from .desk import Desk, talks_alone
from .options import examples, json_option
from .output import document, when
from .profile import Profile


@click.command(epilog=examples("nightschool backup ~/nightschool-backup.zip"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@talks_alone
async def backup(desk: Desk, file: Path) -> None:
    """Save the whole profile in one file.

    Conversations, lessons, every generation of every slot, settings; models are not in it.
    """
    from ...engine.backup import write_backup

    made = write_backup(desk.profile.home, file.absolute(), lambda share: desk.status.show(f"Saving {share:.0%}"))
    desk.give(made, _lines(made))


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

    profile = context.find_object(Profile)
    assert profile is not None
    found = restore_backup(file.absolute(), profile.home, replace=replace)
    click.echo(document(found, pretty=False) if as_json else "\n".join(_lines(found)))


def _lines(made: BackupSummary) -> list[str]:
    what = f"{made.slots} slots with {made.generations} generations"
    return [f"{made.file}: {what}, saved {when(made.created)}, {made.bytes / 1e6:.1f} MB."]
