"""Who may import whom (DESIGN section 4), and what must not be loaded before it is needed."""

import ast
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "schemas": {"schemas"},
    "engine": {"engine", "schemas"},
    "marketplace": {"marketplace", "schemas"},
    "plugins": {"plugins", "engine", "schemas"},
    "tui": {"tui", "plugins", "marketplace", "engine", "schemas"},
}
FOLDERS = [folder for folder in MAY_IMPORT if (ROOT / folder).is_dir()]
FORBIDDEN = {
    "schemas": {"torch", "transformers", "textual", "click"},
    "engine": {"textual", "click"},
    "marketplace": {"torch", "transformers", "textual", "click"},
    "plugins": {"textual", "click"},
    "tui": {"torch", "transformers", "peft", "safetensors", "numpy", "sqlite3"},
}
HEAVY = ("torch", "transformers", "peft", "textual", "huggingface_hub", "numpy")


@dataclass(frozen=True)
class Import:
    module: str
    place: str


def imports_of(source, name, place=""):
    """Return every import of a module, wherever it stands in it; ``name`` is its own dotted name (of a package: with
    ``.__init__``), against which relative imports are resolved. ``from x import y`` counts as ``x.y``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, f"{place}:{node.lineno}") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = name.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found += [Import(f"{base}.{alias.name}", f"{place}:{node.lineno}") for alias in node.names]
    return found


def modules(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield ".".join(["nightschool", *path.relative_to(ROOT).with_suffix("").parts]), path


def imports_in(folder):
    return [
        found
        for name, path in modules(folder)
        for found in imports_of(path.read_text("utf-8"), name, str(path.relative_to(ROOT)))
    ]


def strangers(folder, imports):
    """Return the imports of rooms that a folder must not know."""
    ours = [found for found in imports if found.module.split(".")[0] == "nightschool"]
    return [
        f"{found.place} imports {found.module}"
        for found in ours
        if found.module != "nightschool.__version__" and found.module.split(".")[1] not in MAY_IMPORT[folder]
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_knows_only_the_folders_below_it(folder):
    assert strangers(folder, imports_in(folder)) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_leaves_libraries_alone_that_are_not_its_business(folder):
    wrong = [found for found in imports_in(folder) if found.module.split(".")[0] in FORBIDDEN[folder]]
    assert [f"{found.place} imports {found.module}" for found in wrong] == []


def test_modules_of_ours_are_imported_relatively():
    absolute = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in FOLDERS
        for _, path in modules(folder)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "nightschool")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "nightschool" for alias in node.names))
    ]
    assert absolute == []


def test_every_library_that_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {Requirement(text).name.lower().replace("_", "-") for text in project["dependencies"]}
    declared |= {"pydantic-core", "annotated-types"}  # pydantic's own, of the versions it pins
    givers = metadata.packages_distributions()
    missing = set()
    for folder in FOLDERS:
        for found in imports_in(folder):
            top = found.module.split(".")[0]
            if top not in sys.stdlib_module_names and top != "nightschool":
                names = {name.lower().replace("_", "-") for name in givers.get(top, [top])}
                if not names & declared:
                    missing.add(f"{found.place} imports {top}")
    assert missing == set()


def test_the_rules_can_be_broken():
    source = "from ...tui.app import run\ndef late():\n    import nightschool.plugins.gates\nfrom ..base import cut\n"
    found = imports_of(source, "nightschool.engine.chat.chat", "engine/chat/chat.py")
    assert strangers("engine", found) == [
        "engine/chat/chat.py:1 imports nightschool.tui.app.run",
        "engine/chat/chat.py:3 imports nightschool.plugins.gates",
    ]
    inside = imports_of("from .. import __version__\nfrom . import keys", "nightschool.tui.__init__")
    assert [each.module for each in inside] == ["nightschool.__version__", "nightschool.tui.keys"]


def loaded_by(code):
    """Return which heavy libraries a fresh interpreter has loaded after some code."""
    code = f"import sys\ntry:\n    {code}\nfinally:\n    print('loaded', *(n for n in {HEAVY!r} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, timeout=60)
    return done.stdout.splitlines()[-1].split()[1:], done.stdout, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "nightschool",
        "nightschool.schemas.messages",
        "nightschool.engine.host.client",
        "nightschool.engine.host.plugins",
        "nightschool.engine.host.process",
        "nightschool.engine.records",
        "nightschool.engine.slots.store",
        "nightschool.engine.study.lessons",
        "nightschool.tui.cli",
    ],
)
def test_importing_loads_nothing_heavy(module):
    loaded, _, errors = loaded_by(f"import {module}")
    assert loaded == [], errors


def test_help_loads_nothing_heavy():
    loaded, output, errors = loaded_by("sys.argv[1:] = ['--help']; from nightschool.tui.cli import main; main()")
    assert "ask" in output, errors
    assert loaded == []


def test_plugins_are_listed_without_torch():
    loaded, _, errors = loaded_by(
        "from nightschool.engine.host.plugins import PluginHost; host = PluginHost.load(third_party=False); "
        "[host.collect(hook) for hook in ('nightschool_providers', 'nightschool_detectors', 'nightschool_rewriters')]"
    )
    assert "torch" not in loaded, errors
