"""Opening a private key at the command line: its passphrase comes from the environment, or is asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ...marketplace.key_file import load_key
from ...marketplace.keys import PrivateKey
from ...schemas.errors import KeyUnusable

VARIABLE = "NIGHTSCHOOL_PASSPHRASE"


def open_key(path: Path) -> PrivateKey:
    """Return the key in a file.

    Raises:
        KeyUnusable: If it does not open, or nobody can be asked for its passphrase.
        StorageError: If it cannot be read.
    """
    try:
        return load_key(path, "")
    except KeyUnusable as error:
        passphrase = os.environ.get(VARIABLE, "")
        if not passphrase:
            if not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise KeyUnusable(f"{path} needs a passphrase and nobody can be asked; set {VARIABLE}.") from error
            passphrase = click.prompt(f"Passphrase of {path.name}", hide_input=True, err=True)
        return load_key(path, passphrase)
