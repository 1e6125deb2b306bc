"""The command line. ``run`` is one call of it, ``main`` the installed command.

Data goes to stdout and nothing else does: words, progress and errors go to stderr. Every failure is one sentence and
an exit code of ``schemas/errors.py``; 130 and 143 are ctrl+c and a polite kill, 141 a reader of stdout that left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from pydantic_core import ValidationError

from ...schemas.errors import NightSchoolError, StorageError, UsageError
from .profile import OutputClosed, connect_engine
from .root import root

if TYPE_CHECKING:
    from .profile import Connect

OUTPUT_CLOSED = 141
_ENDINGS: dict[type[BaseException], int] = {
    click.Abort: 130,
    KeyboardInterrupt: 130,
    OutputClosed: OUTPUT_CLOSED,
    asyncio.CancelledError: 143,
}


def main(connect: Connect = connect_engine) -> None:
    """Be the command ``nightschool`` and end the process."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    code = run(sys.argv[1:], connect)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = OUTPUT_CLOSED
    if code == OUTPUT_CLOSED:
        # Python flushes stdout once more on its way out; let it find a place that takes everything.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: Sequence[str], connect: Connect = connect_engine) -> int:
    """Do what a command line asks and return the exit code; ``connect`` gives the engine to ask."""
    try:
        _refuse_half_characters(arguments)
        return root.main(list(arguments), prog_name="nightschool", standalone_mode=False, obj=connect) or 0
    except tuple(_ENDINGS) as ending:
        return _ENDINGS[type(ending)]
    except SystemExit as ending:  # click's own: of shell completion, and 1 where it found stdout closed
        return OUTPUT_CLOSED if ending.code == 1 else int(ending.code or 0)
    except (NightSchoolError, ValidationError, click.ClickException, OSError) as error:
        from .output import error_line

        refusal = _in_our_words(error)
        click.echo(error_line(refusal, as_json="--json" in arguments), err=True)
        return refusal.exit_code


def _refuse_half_characters(arguments: Sequence[str]) -> None:
    """Refuse what no JSON and no database can hold; bytes that are no text arrive as lone surrogates."""
    for argument in arguments:
        if any("\ud800" <= character <= "\udfff" for character in argument):
            shown = argument.encode(errors="replace").decode()
            raise UsageError(f"The argument {shown!r} is not valid text; write it in the encoding of the terminal.")


def _in_our_words(error: Exception) -> NightSchoolError:
    """Return what was wrong as an error of ours: one sentence and an exit code."""
    match error:
        case NightSchoolError():
            ours = error
        case ValidationError():
            first = error.errors()[0]
            ours = UsageError(f"This cannot be the {'.'.join(map(str, first['loc'])) or 'text'}: {first['msg']}.")
        case click.UsageError(ctx=click.Context(command=click.Group() as group) as context) if (
            error.message == context.get_help()
        ):  # where a group lacks its command, click says the whole help
            names = ", ".join(group.list_commands(context))
            ours = UsageError(f"A command is missing: {names}; see `{context.command_path} --help`.")
        case click.UsageError():
            path = error.ctx.command_path if error.ctx is not None else "nightschool"
            ours = UsageError(f"{error.format_message().rstrip('.')}; see `{path} --help`.")
        case click.ClickException():
            ours = UsageError(error.format_message())
        case _:
            name = getattr(error, "filename", None) or "A file"
            ours = StorageError(f"{name} cannot be used: {getattr(error, 'strerror', None) or error}.")
    return ours
