"""Bringing plugins and taking them away, with pip in Night School's own environment. Nothing of them is imported.

Every other distribution is held at its version, so that no plugin changes what Night School needs: pip refuses one that
would. An environment that uv or pipx keeps is theirs to change, or the next upgrade would lose the plugin; what to
type there is said instead.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from ...schemas.errors import PluginError
from ..paths import Home
from .found import find_packages, normal
from .ledger import Ledger

Tell = Callable[[str], None]

_LAST_LINES = 6


def install(requirements: Sequence[str], *, tell: Tell, editable: bool = False, upgrade: str = "") -> list[str]:
    """Install what pip takes and return the plugins that are new or changed, by name.

    Args:
        requirements: As pip takes them.
        tell: Told what is done.
        editable: Whether they are folders to be used as they stand there.
        upgrade: The plugin that may change its version; empty: none that is installed.

    Raises:
        PluginError: If it cannot be done here, with what to do instead.
    """
    _check_environment("install", requirements)
    before = {package.name: package.sha256 for package in find_packages()}
    options = ["--editable"] if editable else []
    with tempfile.TemporaryDirectory(prefix="nightschool-") as folder:
        held = Path(folder) / "held.txt"
        held.write_text("".join(f"{line}\n" for line in _held(upgrade)))
        command = ["install", "--constraint", str(held), *(["--upgrade"] if upgrade else []), *options]
        _pip([*command, *(word for one in requirements for word in _words(one))], tell)
    importlib.invalidate_caches()
    found = [package.name for package in find_packages() if before.get(package.name) != package.sha256]
    if not found and not upgrade and not before:
        tell(
            f"{', '.join(requirements)} is installed, and is no plugin: it has no entry point of the group nightschool."
        )
    return found


def uninstall(name: str, *, tell: Tell) -> None:
    """Remove a plugin; what it brought with it stays.

    Raises:
        PluginError: If it cannot be done here, with what to do instead.
    """
    _check_environment("uninstall", [name])
    _pip(["uninstall", "--yes", name], tell)
    importlib.invalidate_caches()


def forget(home: Home, name: str) -> None:
    """Forget what was decided about a plugin that is gone.

    Raises:
        Damaged, Locked, StorageError: If that cannot be written down.
    """
    Ledger(home).forget(name)


def missing(home: Home) -> list[str]:
    """Return what brings back the plugins that are in ``plugins.lock`` and not installed, as pip takes it.

    Raises:
        Damaged, StorageError: If the file does not read.
    """
    here = {package.name for package in find_packages()}
    decisions = Ledger(home).decisions()
    return [
        decision.requirement or f"{name}=={decision.version}"
        for name, decision in decisions.items()
        if name not in here
    ]


def kept_as(requirement: str, *, editable: bool) -> str:
    """Return what is written in ``plugins.lock`` to bring a plugin back; empty: its name and version will do."""
    path = Path(requirement).expanduser()
    if path.exists():
        return f"-e {path.absolute()}" if editable else str(path.absolute())
    return requirement if "://" in requirement or " @ " in requirement else ""


def keeper() -> str:
    """Return who keeps the environment: ``uv``, ``pipx``, or nobody (empty)."""
    prefix = Path(sys.prefix)
    if (prefix / "uv-receipt.toml").exists():
        return "uv"
    return "pipx" if (prefix / "pipx_metadata.json").exists() else ""


def advice(verb: str, requirements: Sequence[str]) -> str:
    """Return the command that does it where another program keeps the environment; empty: pip does it here."""
    words = " ".join(requirements)
    match keeper():
        case "uv":
            kept = [package.name for package in find_packages()]
            wanted = (
                [*kept, *requirements] if verb == "install" else [name for name in kept if name not in requirements]
            )
            return " ".join(["uv tool install nightschool", *(f"--with {one}" for one in dict.fromkeys(wanted))])
        case "pipx":
            return f"pipx inject nightschool {words}" if verb == "install" else f"pipx uninject nightschool {words}"
    return ""


def _check_environment(verb: str, requirements: Sequence[str]) -> None:
    command = advice(verb, requirements)
    if command:
        raise PluginError(f"{keeper()} keeps this environment and would lose the change; run `{command}`.")
    if importlib.util.find_spec("pip") is None:
        words = " ".join(requirements)
        raise PluginError(
            f"There is no pip in {sys.prefix}; run `uv pip {verb} --python {sys.executable} {words}`, or "
            f"`{sys.executable} -m ensurepip` once."
        )
    marker = Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED"
    if sys.prefix == sys.base_prefix and marker.exists():
        raise PluginError(
            "The system keeps this Python and lets pip change nothing; install Night School with pipx or uv, or in a "
            "virtual environment."
        )


def _words(requirement: str) -> list[str]:
    """Return what is kept of a folder that is used as it stands (``-e FOLDER``) as two words, all else as one."""
    return ["-e", requirement[3:]] if requirement.startswith("-e ") else [requirement]


def _held(upgrade: str) -> list[str]:
    """Return every installed distribution at its version, but for the one that may change and those of folders."""
    held: dict[str, str] = {}
    for dist in metadata.distributions():
        name = normal(dist.name or "")
        if name and name != normal(upgrade) and not _is_elsewhere(dist):
            held.setdefault(name, f"{name}=={dist.version}")
    return sorted(held.values())


def _is_elsewhere(dist: metadata.Distribution) -> bool:
    """Whether a distribution was installed from a folder or an address, where a version constrains nothing."""
    try:
        return "url" in json.loads(dist.read_text("direct_url.json") or "{}")
    except ValueError:
        return False


def _pip(arguments: Sequence[str], tell: Tell) -> None:
    """Run pip.

    Raises:
        PluginError: If it fails, with its last words.
    """
    tell(f"pip {arguments[0]} {arguments[-1]}")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(  # noqa: S603 (pip of this interpreter; what it installs the user named)
        command, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()][-_LAST_LINES:]
        raise PluginError(f"pip failed: {' '.join(said) or f'it ended with code {done.returncode}'}")
