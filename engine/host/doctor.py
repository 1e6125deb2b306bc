"""The doctor: model, files, database, plugins and machine, each in one line with what to do where it is not well."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psutil

from ...schemas.errors import NightSchoolError
from ...schemas.messages import Check
from ...schemas.plugins import PluginRow, PluginState
from ..base.device import Placement
from ..plug.manage import list_plugins
from ..plug.standing import TURNED_OFF
from .rooms import Rooms

LEAST_DISK = 1_000_000_000
LEAST_MEMORY = 1_500_000_000


async def look(rooms: Rooms) -> list[Check]:
    """Return one line for each thing looked at; looking never fails."""
    model = await _model(rooms)
    return [*model, *await asyncio.to_thread(_rest, rooms)]


async def _model(rooms: Rooms) -> list[Check]:
    """Return a line on the model and one on what computes it, as far as that is known."""
    status = rooms.status()
    if status.state == "waking":
        return [Check(name="model", ok=True, text=f"It is still waking: {status.stage}.")]
    try:
        distance = await rooms.model.do(lambda model: model.check())
        model = await rooms.model.model()
        base, speed = model.base, model.speed
    except NightSchoolError as error:
        return [Check(name="model", ok=False, text=str(error))]
    text = f"{base.card.name} ({base.card.short}) in {base.folder} computes what its card says: "
    text += f"{distance:.2g} nats away in {base.numbers} for a chat; a study computes in {speed.many}."
    return [Check(name="model", ok=True, text=text), Check(name="device", ok=True, text=_device(model.placement))]


def _device(placed: Placement) -> str:
    device = placed.device
    if device.is_cpu:
        return placed.note or "The CPU computes."
    return (
        f"{device.name} computes ({device.title}): {device.free() / 1e9:.1f} of {device.total / 1e9:.1f} GB are free."
    )


def _rest(rooms: Rooms) -> list[Check]:
    checks = [
        _check("files", lambda: _files(rooms.home.root)),
        _check("disk", lambda: _disk(rooms.home.root)),
        _check("database", lambda: _database(rooms.home.database)),
    ]
    return [*checks, *_slots(rooms), *_plugins(rooms), _check("machine", _machine)]


def _slots(rooms: Rooms) -> list[Check]:
    try:
        names, damaged = [slot.name for slot in rooms.store.list()], rooms.store.damaged()
    except NightSchoolError as error:
        return [Check(name="slots", ok=False, text=str(error))]
    return [
        *(_check(f"slot {name}", partial(_slot, rooms, name)) for name in names),
        *(Check(name=f"slot {name}", ok=False, text=text) for name, text in damaged.items()),
    ]


def _check(name: str, look: Callable[[], tuple[bool, str]]) -> Check:
    try:
        ok, text = look()
    except (NightSchoolError, OSError, sqlite3.Error) as error:
        ok, text = False, str(error)
    return Check(name=name, ok=ok, text=text)


def _files(root: Path) -> tuple[bool, str]:
    if not os.access(root, os.W_OK | os.X_OK):
        return False, f"{root} cannot be written; correct its permissions or set NIGHTSCHOOL_HOME."
    return True, f"The profile is {root}."


def _disk(root: Path) -> tuple[bool, str]:
    free = shutil.disk_usage(root).free
    way_out = "" if free >= LEAST_DISK else "; free some or set NIGHTSCHOOL_HOME to a larger disk"
    return free >= LEAST_DISK, f"{free / 1e9:.1f} GB are free{way_out}."


def _database(path: Path) -> tuple[bool, str]:
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5)
    try:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    finally:
        connection.close()
    if verdict != "ok":
        return False, f"{path} is damaged ({verdict}); copy a backup beside it over it."
    return True, f"Every page of {path.name} is whole ({path.stat().st_size / 1e6:.1f} MB)."


def _slot(rooms: Rooms, name: str) -> tuple[bool, str]:
    version = rooms.store.current(name)
    rooms.store.adapter_folder(name)
    base = rooms.status().base
    if base is not None and version.adapter_sha256 is not None and version.base != base.fingerprint:
        return False, f"Generation {version.number} was learned on another base; use that one, or roll back to 0."
    return True, f"Generation {version.number}, {version.adapter_bytes / 1e6:.1f} MB, {len(version.lessons)} lessons."


def _plugins(rooms: Rooms) -> list[Check]:
    built_in = sum(info.built_in for info in rooms.plugins.plugins())
    try:
        rows = list_plugins(rooms.home)
    except NightSchoolError as error:
        return [Check(name="plugins", ok=False, text=str(error))]
    by_state = {row.name: f"{row.name} {row.version} ({row.state.value})" for row in rows}
    text = f"{built_in} built-in" + (f", and {', '.join(by_state.values())}" if by_state else "")
    checks = [Check(name="plugins", ok=True, text=f"There are {text}.")]
    return checks + [Check(name=f"plugin {row.name}", ok=False, text=_trouble(row)) for row in rows if _is_ill(row)]


def _is_ill(row: PluginRow) -> bool:
    """Whether a plugin that the user wants does not do what it should; one that he left off is well."""
    wrong = row.state in (PluginState.FAILED, PluginState.INCOMPATIBLE, PluginState.MISSING)
    changed = row.state is PluginState.UNTRUSTED and bool(row.trusted_version)
    return wrong or changed or bool(row.strikes) or (row.state is PluginState.BLOCKED and row.reason != TURNED_OFF)


def _trouble(row: PluginRow) -> str:
    last = f" It failed at {row.faults[-1].hook or 'loading'}: {row.faults[-1].text}" if row.faults else ""
    said = row.reason if row.reason else f"It failed {row.strikes} times.{last}"
    return f"{said} `nightschool plugins show {row.name}` says more."


def _machine() -> tuple[bool, str]:
    memory, own = psutil.virtual_memory().available, psutil.Process().memory_info().rss
    way_out = "" if memory >= LEAST_MEMORY else "; close other programs before a study"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"{cores} cores, {memory / 1e9:.1f} GB of memory free, {own / 1e9:.1f} GB used by the engine{way_out}."
    return memory >= LEAST_MEMORY, text
