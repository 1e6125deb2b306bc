"""The options that say what others read of a version, on the card of a bundle and on a page of the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ..bundles import Choice

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False, path_type=Path)

_OPTIONS = (
    click.option("--license", "licence", required=True, metavar="SPDX", help="Under which others may use it."),
    click.option("--title", default="", help="On its card; without it the slot's."),
    click.option("--summary", default="", help="A sentence on its card."),
    click.option("--language", multiple=True, metavar="CODE", help="It is for; may be repeated."),
    click.option("--tag", "tags", multiple=True, help="May be repeated."),
    click.option("--warning", "warnings", multiple=True, help="What people should know before; may be repeated."),
    click.option("--samples", type=FILE, help="Sample turns of your choice: JSON lines with prompt, before and after."),
    click.option("--card", type=FILE, help="A longer text, in Markdown."),
    click.option("--with-system-prompt", is_flag=True, help="Give the slot's system prompt to others too."),
    click.option("--accept", multiple=True, metavar="FINDING", help="What the audit found and others may have."),
)


def card_options(command: F) -> F:
    """Give a command these options, with those that say what the audit found and others may have."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def choice_of(said: dict[str, Any], system_prompt: str) -> Choice:
    """Return what the options add to what the engine says of a version; what is read from files is taken out of them.

    Raises:
        UsageError, StorageError: If a file does not read.
    """
    from ...engine.files import storage_errors
    from ..bundles import Choice, read_samples

    text, samples = "", said.pop("samples")
    if (card := said.pop("card")) is not None:
        with storage_errors(card):
            text = card.read_text("utf-8")
    prompt = (system_prompt or None) if said.pop("with_system_prompt") else None
    turns = read_samples(samples) if samples is not None else ()
    return Choice(**said, card_text=text, samples=turns, system_prompt=prompt)
