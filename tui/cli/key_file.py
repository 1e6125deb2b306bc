"""The keys of a server of ours at the command line: those of ``serve`` and those of ``api`` lie in a file each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .output import document, table
from .profile import Profile

if TYPE_CHECKING:
    from ...engine.paths import Home
    from ...engine.wire.server.allowance import Allowance
    from ...engine.wire.server.keys import Key


@dataclass(frozen=True)
class KeyFile:
    """Keys of one kind, of which only hashes are kept.

    Attributes:
        place: Where a profile keeps them.
        heads: Of the table that lists them.
        row: A key as a row of it.
        facts: The same for ``--json``.
    """

    place: Callable[[Home], Path]
    heads: tuple[str, ...]
    row: Callable[[Key], tuple[object, ...]]
    facts: Callable[[Key], dict[str, Any]]

    def list_all(self, context: click.Context, *, as_json: bool) -> None:
        """Write what keys there are."""
        from ...engine.wire.server.keys import list_keys

        found = list_keys(self._file(context))
        _give(list(map(self.facts, found)), table([self.heads, *map(self.row, found)]), as_json=as_json)

    def add(self, context: click.Context, name: str, allowance: Allowance, *, as_json: bool) -> None:
        """Make a key and write it, this once."""
        from ...engine.wire.server.keys import add_key

        secret = add_key(self._file(context), name, allowance)
        click.echo("It is shown this once; keep it where only its user can read it.", err=True)
        _give({"name": name, "key": secret}, [secret], as_json=as_json)

    def remove(self, context: click.Context, name: str, *, as_json: bool) -> None:
        """Remove a key."""
        from ...engine.wire.server.keys import remove_key

        remove_key(self._file(context), name)
        _give({"removed": name}, [f"{name} is refused from now on."], as_json=as_json)

    def _file(self, context: click.Context) -> Path:
        profile = context.find_object(Profile)
        assert profile is not None
        return self.place(profile.home)


def _give(data: object, lines: list[str], *, as_json: bool) -> None:
    click.echo(document(data, pretty=sys.stdout.isatty()) if as_json else "\n".join(lines))
