"""What installed plugins cost a start: thirty of them, three of each kind as ``plugins new`` writes them, against none.

    python bench/startup.py --json

``help_vs_none`` is `nightschool --help` with all of them installed over the same with none (medians, in turns).
``plugins_added_ms`` is what loading them adds to a start of the engine's process, all trusted, over built-ins alone;
the modules of the host itself are imported before the clock starts.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from nightschool.engine.paths import Home
from nightschool.engine.plug.found import find_packages
from nightschool.engine.plug.ledger import Ledger
from nightschool.engine.plug.new import kinds, write_plugin
from nightschool.schemas.plugins import Decision

COUNT = 30
_LOAD = """
import json, sys, time
from pathlib import Path
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.paths import Home
began = time.perf_counter()
host = PluginHost.load(home=Home(Path(sys.argv[1])))
took = time.perf_counter() - began
others = [info for info in host.plugins() if not info.built_in]
print(json.dumps({"s": took, "loaded": len(others), "problems": [problem.text for problem in host.problems]}))
"""


def main() -> int:
    """Install, start in turns, print."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="nightschool-startup-") as folder:
        root = Path(folder)
        site, home = root / "site", Home(root / "home")
        installed = install(site, root / "sources")
        sys.path.insert(0, str(site))
        trust(home)
        bare, full = _environment(home), {**_environment(home), "PYTHONPATH": str(site)}
        helps: dict[str, list[float]] = {"none": [], "all": []}
        loads: dict[str, list[float]] = {"none": [], "all": []}
        for _ in range(options.starts):
            for name, environment in (("none", bare), ("all", full)):
                helps[name].append(_help(environment))
                loads[name].append(_load(environment, home, installed if name == "all" else 0))
    none, every = (statistics.median(helps[name]) for name in ("none", "all"))
    _tell("help_vs_none", every / none, help_s=round(every, 3), help_none_s=round(none, 3), plugins=installed)
    none, every = (1000 * statistics.median(loads[name]) for name in ("none", "all"))
    _tell("plugins_added_ms", every - none, load_ms=round(every, 1), built_in_ms=round(none, 1), plugins=installed)
    return 0


def install(site: Path, sources: Path) -> int:
    """Write plugins of every kind into a folder of packages, as pip leaves a pure wheel there; return how many."""
    every = kinds()
    for number in range(COUNT):
        name = f"bench-{number}"
        write_plugin(sources, name, every[number % len(every)])
        _unpack(sources / f"nightschool-{name}", site)
    return COUNT


def _unpack(source: Path, site: Path) -> None:
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = project["name"].replace("-", "_")
    files = {f"{package}/{path.name}": path.read_bytes() for path in sorted((source / package).iterdir())}
    info = f"{package}-{project['version']}.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in project["dependencies"])
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    files[f"{info}/METADATA"] = f"{about}Summary: {project['description']}\n{needs}".encode()
    points = "".join(f"{name} = {point}\n" for name, point in project["entry-points"]["nightschool"].items())
    files[f"{info}/entry_points.txt"] = f"[nightschool]\n{points}".encode()
    record = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = ("\n".join([*record, f"{info}/RECORD,,"]) + "\n").encode()
    for path, data in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(data)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def trust(home: Home) -> None:
    """Trust every plugin that is installed, as `plugins install` does at the end."""
    ledger = Ledger(home)
    for package in find_packages():
        ledger.decide(package.name, Decision(version=package.version, sha256=package.sha256))


def _help(environment: dict[str, str]) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "nightschool", "--help"]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _load(environment: dict[str, str], home: Home, expected: int) -> float:
    command = [sys.executable, "-c", _LOAD, str(home.root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if found["loaded"] != expected or found["problems"]:
        raise SystemExit(f"{found['loaded']} of {expected} plugins were loaded; {found['problems'][:1]}")
    return float(found["s"])


def _environment(home: Home) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NIGHTSCHOOL_LOAD_PLUGINS")}
    return {**kept, "NIGHTSCHOOL_HOME": str(home.root)}


def _tell(name: str, value: float, **more: object) -> None:
    print(json.dumps({"name": name, "value": round(value, 3), **more}), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=9, help="starts of each kind")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, which is what it prints anyway")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
