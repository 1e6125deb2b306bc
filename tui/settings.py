"""What the app itself remembers between runs: the theme. A file that cannot be read or written changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

DEFAULT_THEME = "night-school"


class Settings:
    """A small JSON file; ``path`` None: remember nothing."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.theme = DEFAULT_THEME
        if path is not None:
            try:
                self.theme = str(json.loads(path.read_text(encoding="utf-8")).get("theme", DEFAULT_THEME))
            except (OSError, ValueError, AttributeError):
                self.theme = DEFAULT_THEME

    def keep_theme(self, name: str) -> None:
        """Remember the theme; the app goes on where the disk does not."""
        if name == self.theme:
            return
        self.theme = name
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                fresh = self.path.with_suffix(".new")
                fresh.write_text(json.dumps({"theme": name}), encoding="utf-8")
                fresh.replace(self.path)
            except OSError:
                return
