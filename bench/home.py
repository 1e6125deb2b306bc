"""A profile of its own for a benchmark: of the user's it takes over prepared bases only, which are downloads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nightschool.engine.paths import Home, find_home


@contextmanager
def fresh_home() -> Iterator[Home]:
    """Give a profile that is empty but for the bases of the user's, and remove it afterwards."""
    models = find_home().models
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nightschool-bench-", ignore_cleanup_errors=True) as folder:
        home = Home(Path(folder))
        home.models.symlink_to(models, target_is_directory=True)
        yield home
