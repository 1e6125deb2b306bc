"""Listing and deciding about plugins. No code of theirs runs in this process: what is tried runs in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from ...schemas.errors import NotFound, PluginError
from ...schemas.plugins import Decision, PluginFault, PluginRow, PluginState, Sighting
from ..paths import Home
from . import marks
from .found import Package, find_package, find_packages, normal
from .ledger import Ledger
from .loading import import_seconds
from .standing import CHOOSE, standing

TRIAL_SECONDS = 60.0
TRIED = b"tried"
"""What a trial writes when all has been asked."""


def list_plugins(home: Home) -> list[PluginRow]:
    """Return the plugins that are installed, and those in ``plugins.lock`` that are not, by name.

    Raises:
        Damaged, StorageError: If what was decided does not read.
    """
    ledger = Ledger(home)
    decisions, seen = ledger.decisions(), ledger.sightings()
    rows = [_row(package, decisions.get(package.name), seen.get(package.name)) for package in find_packages()]
    here = {row.name for row in rows}
    rows += [_missing(name, decision) for name, decision in decisions.items() if name not in here]
    return sorted(rows, key=lambda row: row.name)


def show_plugin(home: Home, name: str) -> PluginRow:
    """Return one plugin.

    Raises:
        NotFound: If there is none of this name.
        Damaged, StorageError: If what was decided does not read.
    """
    rows = list_plugins(home)
    for row in rows:
        if row.name == normal(name):
            return row
    known = ", ".join(row.name for row in rows) or "none"
    raise NotFound(f"There is no plugin {name}; installed: {known}.")


def trust_plugin(home: Home, name: str, requirement: str = "") -> PluginRow:
    """Let the code of an installed plugin run from now on, try it in a process of its own, and return how it stands.

    One that cannot be loaded there, or takes that process with it, is turned off with the reason.

    Raises:
        NotFound: If it is not installed.
        Damaged, Locked, StorageError: If that cannot be written down.
    """
    from ..host.hooks import HOOK_API_VERSION

    package = _installed(home, name)
    ledger = Ledger(home)
    before = ledger.decisions().get(package.name)
    wanted = requirement or (before.requirement if before is not None else "")
    decision = Decision(version=package.version, sha256=package.sha256, requirement=wanted, hook_api=HOOK_API_VERSION)
    ledger.decide(package.name, decision)
    return enable_plugin(home, package.name)


def enable_plugin(home: Home, name: str) -> PluginRow:
    """Turn a trusted plugin on, try it in a process of its own, and return how it stands.

    Raises:
        NotFound: If it is not installed.
        PluginError: If it was never trusted, or has changed since.
        Damaged, Locked, StorageError: If that cannot be written down.
    """
    package, ledger = _installed(home, name), Ledger(home)
    decision = ledger.decisions().get(package.name)
    if decision is None or decision.sha256 != package.sha256:
        raise PluginError(f"{package.name} is not trusted as it is now; `nightschool plugins trust {package.name}`.")
    ledger.turn(package.name, on=True)
    if not package.unfit:
        _try(home, package, ledger)
    return show_plugin(home, package.name)


def disable_plugin(home: Home, name: str) -> PluginRow:
    """Turn a plugin off until the user turns it on.

    Raises:
        NotFound: If there is none of this name, or it was never trusted and so is off.
        Damaged, Locked, StorageError: If that cannot be written down.
    """
    row = show_plugin(home, name)
    Ledger(home).turn(row.name, on=False)
    return show_plugin(home, name)


def _installed(home: Home, name: str) -> Package:
    package = find_package(name)
    if package is None:
        row = show_plugin(home, name)
        raise NotFound(f"{row.name} is not installed; `nightschool plugins sync` brings it back.")
    return package


def _row(package: Package, decision: Decision | None, seen: Sighting | None) -> PluginRow:
    state, reason = standing(package, decision)
    fresh = seen if seen is not None and seen.sha256 == package.sha256 else None
    if state is PluginState.TRUSTED and fresh is not None:
        state, reason = fresh.state, fresh.reason
    elif state is PluginState.BLOCKED and decision is not None and decision.reason and _did_not_load(fresh):
        state = fresh.state if fresh is not None else state
    return PluginRow(
        name=package.name,
        version=package.version,
        state=state,
        reason=reason,
        summary=package.summary,
        requirement=decision.requirement if decision is not None else "",
        points=[f"{point.name} = {point.value}" for point in package.points],
        hooks=fresh.hooks if fresh is not None else [],
        commands=fresh.commands if fresh is not None else [],
        load_ms=fresh.load_ms if fresh is not None else 0.0,
        strikes=fresh.strikes if fresh is not None else 0,
        faults=fresh.faults if fresh is not None else [],
        sha256=package.sha256,
        trusted_version=decision.version if decision is not None else "",
    )


def _did_not_load(seen: Sighting | None) -> bool:
    return seen is not None and seen.state in (PluginState.FAILED, PluginState.INCOMPATIBLE)


def _missing(name: str, decision: Decision) -> PluginRow:
    return PluginRow(
        name=name,
        version=decision.version,
        state=PluginState.MISSING,
        reason="It is in plugins.lock and not installed; `nightschool plugins sync` brings it back.",
        requirement=decision.requirement,
        sha256=decision.sha256,
        trusted_version=decision.version,
    )


# -- a trial ----------------------------------------------------------------------------------------------------------


def _try(home: Home, package: Package, ledger: Ledger) -> None:
    """Load a plugin and ask all of its hooks in a process of its own; turn it off where that does not go well."""
    command = [sys.executable, "-P", "-m", "nightschool.engine.plug.trial", str(home.root)]
    began, trouble = time.time(), ""
    with subprocess.Popen(  # noqa: S603 (this interpreter and a module of ours)
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_alone(package)
    ) as process:
        try:
            out, errors = process.communicate(timeout=import_seconds() * len(package.points) + TRIAL_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate()
            trouble = f"It did not let a process of its own end in {time.time() - began:.0f} s."
    marks.take(ledger.folder, process.pid)
    if process.returncode == 0 and out == TRIED:
        seen = ledger.sightings().get(package.name)
        if seen is not None and seen.state is not PluginState.LOADED:
            ledger.turn(package.name, on=False, reason=seen.reason)
        return
    code = process.returncode
    how = f"was killed (signal {-code})" if code < 0 else f"ended with code {code}"
    trouble = trouble or f"A process of its own, in which it was tried, {how} while its code ran."
    fault = PluginFault(text=trouble, traceback=errors.decode(errors="replace")[-4000:], at=began)
    failed = Sighting(sha256=package.sha256, state=PluginState.FAILED, reason=trouble, faults=[fault])
    ledger.saw({package.name: failed})
    ledger.turn(package.name, on=False, reason=trouble)


def _alone(package: Package) -> dict[str, str]:
    """Return an environment in which this plugin alone is loaded, and its faults are noted."""
    kept = {name: value for name, value in os.environ.items() if name != "NIGHTSCHOOL_PLUGINS_STRICT"}
    return {**kept, CHOOSE: package.name}
