"""The commands that plugins supply, from what the last engine wrote down. As plain JSON, for help must be quick."""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path
from typing import Any, NamedTuple

from ...engine.paths import Home


class PluginWords(NamedTuple):
    """A command of a plugin."""

    name: str
    about: str


def plugin_commands(home: Home, ours: Container[str]) -> dict[str, PluginWords]:
    """Return the commands of plugins that are on and loaded, by name; none of those in ``ours``."""
    seen = _read(home.plugins / "seen.json")
    decided = _read(home.plugins / "plugins.lock") if seen else {}
    found: dict[str, PluginWords] = {}
    try:
        for plugin, sighting in seen.items():
            decision = decided.get(plugin, {})
            if sighting["state"] == "loaded" and decision["enabled"] and decision["sha256"] == sighting["sha256"]:
                for command in sighting["commands"]:
                    found.setdefault(command["name"], PluginWords(command["name"], command["about"]))
    except (KeyError, TypeError, AttributeError):
        return {}
    return {name: words for name, words in found.items() if name not in ours}


def _read(path: Path) -> dict[str, Any]:
    try:
        plugins = json.loads(path.read_bytes())["plugins"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return plugins if isinstance(plugins, dict) else {}
