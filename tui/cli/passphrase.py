"""Opening a private key at the command line: its passphrase comes from the environment, or is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from ...marketplace.key_file import check_passphrase, load_key
from ...marketplace.keys import PrivateKey
from ...schemas.errors import KeyUnusable

K = TypeVar("K")

VARIABLE = "NIGHTSCHOOL_PASSPHRASE"


def new_passphrase(what: str) -> str:
    """Return a passphrase for a key that is made: from the environment, or asked for twice.

    Raises:
        KeyUnusable: If nobody can be asked.
        UsageError: If it would protect nothing.
    """
    passphrase = os.environ.get(VARIABLE, "")
    if not passphrase:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise KeyUnusable(f"{what} needs a passphrase and nobody can be asked; set {VARIABLE}.")
        passphrase = click.prompt(f"Passphrase for {what}", hide_input=True, confirmation_prompt=True, err=True)
    check_passphrase(passphrase)
    return passphrase


def open_key(path: Path) -> PrivateKey:
    """Return the key in a file.

    Raises:
        KeyUnusable: If it does not open, or nobody can be asked for its passphrase.
        StorageError: If it cannot be read.
    """
    return opened(path, load_key)


def opened(path: Path, load: Callable[[Path, str], K]) -> K:
    """Return what ``load`` makes of a file that a passphrase may protect.

    Raises:
        As :func:`open_key`.
    """
    try:
        return load(path, "")
    except KeyUnusable as error:
        passphrase = os.environ.get(VARIABLE, "")
        if not passphrase:
            if not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise KeyUnusable(f"{path} needs a passphrase and nobody can be asked; set {VARIABLE}.") from error
            passphrase = click.prompt(f"Passphrase of {path.name}", hide_input=True, err=True)
        return load(path, passphrase)
