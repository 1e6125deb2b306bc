"""Plugins as pip leaves them: a module and a ``.dist-info`` folder in a place that Python looks into."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path

from nightschool.engine.paths import Home
from nightschool.engine.plug.found import find_package
from nightschool.engine.plug.ledger import Ledger
from nightschool.schemas.plugins import Decision

GOOD = """
from nightschool.engine.host.hooks import hookimpl

class Item:
    shrinking_helps = True

    def __init__(self, name):
        self.name = name

    def judge(self, candidate):
        return []

@hookimpl
def nightschool_gates():
    return [Item("{item}")]
"""


@dataclass
class Shelf:
    """Where plugins are put, and the profile that trusts them."""

    folder: Path
    home: Home

    def put(
        self, module: str, code: str, *, dist: str = "", point: str = "", version: str = "1.2", requires: str = ""
    ) -> str:
        """Install a plugin of one module and return the name of its distribution."""
        name = dist or module.replace("_", "-")
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        wanted = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{wanted}")
        (info / "entry_points.txt").write_text(f"[nightschool]\n{point or module} = {module}\n")
        (info / "RECORD").write_text(f"{module}.py,sha256={hashlib.sha256(code.encode()).hexdigest()},\n")
        importlib.invalidate_caches()
        return name

    def trust(self, name: str) -> None:
        """Trust a plugin as it is, without trying it."""
        package = find_package(name)
        assert package is not None
        Ledger(self.home).decide(package.name, Decision(version=package.version, sha256=package.sha256))

    def add(self, module: str, code: str, **more: str) -> str:
        """Install and trust a plugin."""
        name = self.put(module, code, **more)
        self.trust(name)
        return name
