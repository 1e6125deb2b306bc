"""What commands share that need no engine: the profile's folder, and their result on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from ..safe_text import safe
from .output import document
from .profile import Profile

if TYPE_CHECKING:
    from ...engine.paths import Home


def home_of(context: click.Context) -> Home:
    """Return the profile's folder."""
    profile = context.find_object(Profile)
    assert profile is not None
    return profile.home


def give(data: object, lines: Iterable[str], *, as_json: bool) -> None:
    """Write a command's result: a document where JSON was asked for, else lines of words."""
    terminal = sys.stdout.isatty()
    if as_json:
        click.echo(document(data, pretty=terminal))
    else:
        text = "\n".join(lines)
        click.echo(safe(text) if terminal else text)


def agree(question: str, otherwise: str) -> None:
    """Ask on a terminal whether something shall be done that is not easily undone.

    Raises:
        UsageError: If nobody can be asked; ``otherwise`` says what to give instead.
        click.Abort: If the user does not agree.
    """
    from ...schemas.errors import UsageError

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"Nobody can be asked here; {otherwise}.")
    click.confirm(question, abort=True, err=True)
