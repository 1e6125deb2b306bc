"""The results of benchmarks as files: ``bench/results/NAME.json``, kept in git so that a change shows in review."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = Path("bench/results")
LIBRARIES = ("nightschool", "torch", "transformers", "peft", "textual", "llama-cpp-python")


@dataclass(frozen=True)
class Result:
    """What one benchmark printed, and where and when.

    Attributes:
        command: As a reader would type it.
        date: Of the day, ISO.
        machine: Processor, cores, memory, system. No name of it.
        versions: Of Python and of the libraries that are measured.
        seconds: It took.
        rows: Its JSON lines.
    """

    name: str
    command: str
    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    seconds: float
    rows: list[dict[str, Any]]


def write(result: Result, root: Path = ROOT) -> None:
    """Keep a result in the place of the one before."""
    path = root / FOLDER / f"{result.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(name: str, root: Path = ROOT) -> Result | None:
    """Return the result that lies here, if there is one."""
    path = root / FOLDER / f"{name}.json"
    return Result(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def committed(name: str, root: Path = ROOT) -> Result | None:
    """Return the result of the last commit, if there is one; without git, the one that lies here."""
    try:
        shown = subprocess.run(
            ["git", "show", f"HEAD:./{(FOLDER / f'{name}.json').as_posix()}"],
            cwd=root,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return read(name, root)
    return Result(**json.loads(shown.stdout)) if shown.returncode == 0 else None


def machine() -> dict[str, Any]:
    """Return what this machine is, without its name."""
    import psutil

    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of those libraries that are there."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
