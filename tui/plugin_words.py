"""Plugins in words, for the command line and the app."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..schemas.plugins import PluginFault, PluginRow
from .safe_text import one_line, safe


def plugin_table(rows: Sequence[PluginRow]) -> list[str]:
    """Return plugins as lines: name, version, state, hooks, load time and what is wrong."""
    from .cli.output import table

    if not rows:
        return ["No plugins of others are installed; docs/plugins.md says how to write one."]
    heads = ("PLUGIN", "VERSION", "STATE", "LOAD", "HOOKS", "")
    cells = [
        (row.name, row.version, row.state.value, _milliseconds(row), " ".join(map(hook_words, row.hooks)), row.reason)
        for row in rows
    ]
    return table([heads, *cells])


def plugin_lines(row: PluginRow) -> list[str]:
    """Return all that is known of a plugin."""
    facts = (
        ("state", row.state.value + (f": {row.reason}" if row.reason else "")),
        ("about", row.summary),
        ("entry points", ", ".join(row.points)),
        ("hooks", ", ".join(row.hooks)),
        ("commands", ", ".join(command.name for command in row.commands)),
        ("load time", _milliseconds(row)),
        ("strikes", str(row.strikes) if row.strikes else ""),
        ("trusted", row.trusted_version),
        ("comes from", row.requirement),
        ("sha256", row.sha256),
    )
    lines = [f"{one_line(row.name)} {one_line(row.version)}"]
    lines += [f"  {name:<13} {one_line(words, 400)}" for name, words in facts if words]
    return lines + [line for fault in row.faults for line in fault_lines(fault)]


def fault_lines(fault: PluginFault) -> list[str]:
    """Return what a plugin did wrong, with its traceback."""
    at = f"{datetime.fromtimestamp(fault.at):%Y-%m-%d %H:%M:%S}" if fault.at else ""
    lines = ["", f"{at}  {one_line(fault.hook or 'loading', 80)}: {one_line(fault.text, 600)}"]
    return lines + [f"  {safe(line)}" for line in fault.traceback.splitlines()]


def hook_words(hook: str) -> str:
    """Return a hook without what all begin with."""
    return hook.removeprefix("nightschool_")


def _milliseconds(row: PluginRow) -> str:
    return f"{row.load_ms:.0f} ms" if row.load_ms else ""
