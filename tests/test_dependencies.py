"""Every library that the package imports is one that it asks for, not one that happens to come along."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYDANTICS_OWN = {"pydantic-core", "annotated-types"}  # part of its interface, in versions that it chooses


SERVERS = {ROOT / "engine" / "wire" / "server", ROOT / "engine" / "api"}
"""Which may import what the extra ``serve`` brings."""
SOCKET = ROOT / "engine" / "wire" / "sockets.py"
"""Which may import what the extra ``socket`` brings."""
OF_VLLM = ROOT / "engine" / "wire" / "server" / "vllm" / "connector.py"
"""Which runs in vLLM's environment and is never imported here."""


def asked_for(requirements):
    return {canonical(re.match(r"[\w.-]+", text)[0]) for text in requirements}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(source):
    """Give the first names of absolute imports, wherever they stand."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def test_every_library_that_is_imported_is_asked_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = asked_for(project["dependencies"]) | PYDANTICS_OWN
    to_serve = names | asked_for(project["optional-dependencies"]["serve"])
    over_sockets = names | asked_for(project["optional-dependencies"]["socket"])
    givers = metadata.packages_distributions()
    missing = set()
    rooms = {path.parent for path in ROOT.glob("*/__init__.py")} - {ROOT / "tests"}
    for path in {file for room in rooms for file in room.rglob("*.py")} - {OF_VLLM}:
        for library in set(imported(path.read_text("utf-8"))) - set(sys.stdlib_module_names):
            known = to_serve if SERVERS & set(path.parents) else over_sockets if path == SOCKET else names
            if known.isdisjoint(map(canonical, givers.get(library, [library]))):
                missing.add(f"{path.relative_to(ROOT)} imports {library}")
    assert missing == set()


def test_imports_are_found_also_inside_functions():
    assert set(imported("import a.b\ndef f():\n    from c.d import e\nfrom . import x")) == {"a", "c"}
