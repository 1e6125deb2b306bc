"""Who may import whom (DESIGN 4), read from the source; and what an import really loads, seen in a fresh process."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {
    "schemas": set(),
    "engine": {"schemas"},
    "marketplace": {"schemas", "engine.files"},
    "plugins": {"engine", "schemas"},
    "testing": {"engine", "schemas"},
    "tui": {"engine", "marketplace", "plugins", "schemas"},
}
"""The rooms, and which other rooms each may import, or which single modules of them."""
MODELS = {"torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "gguf"}
SCREENS = {"textual", "textual_plotext", "rich", "click", "plotext"}
FORBIDDEN = {
    "schemas": MODELS | SCREENS | {"numpy", "huggingface_hub"},
    "engine": SCREENS | {"peft"},
    "marketplace": MODELS | SCREENS,
    "plugins": SCREENS | {"peft"},
    "testing": SCREENS | {"peft"},
    "tui": MODELS,
}
"""Other people's packages that a room may not import anywhere, not even inside a function."""


def sources(room):
    return sorted((ROOT / room).rglob("*.py"))


def imports(path):
    """Give (line, relative level, dotted name) of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, 0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            # ``from .. import engine`` names its room last
            yield from ((node.lineno, node.level, f"{module}.{alias.name}".strip(".")) for alias in node.names)


def own_room(path, level, name):
    """Return the room that a relative import leads into; ``""`` is the package's own face."""
    package = path.relative_to(ROOT).parent.parts
    assert level <= len(package) + 1, f"{path}: the import of {name} leaves the package"
    target = [*package[: len(package) - level + 1], *name.split(".")]
    if ".".join(target[:2]) in ROOMS[package[0]]:
        return ""
    return target[0] if target[0] in ROOMS else ""


def breaches(path):
    room = path.relative_to(ROOT).parts[0]
    for line, level, name in imports(path):
        top = name.split(".")[0]
        if level == 0 and top == "nightschool":
            yield f"{path.relative_to(ROOT)}:{line} imports {name} absolutely"
        elif level == 0 and top in FORBIDDEN[room]:
            yield f"{path.relative_to(ROOT)}:{line} imports {name}"
        elif level > 0 and own_room(path, level, name) not in ROOMS[room] | {room, ""}:
            yield f"{path.relative_to(ROOT)}:{line} imports {name} of another room"


@pytest.mark.parametrize("room", [room for room in ROOMS if (ROOT / room).is_dir()])
def test_a_room_imports_only_what_it_may(room):
    files = sources(room)
    assert files
    assert [breach for path in files for breach in breaches(path)] == []


def test_every_room_has_its_rule():
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert rooms <= ROOMS.keys()


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("schemas/x.py", "from ..engine import paths"),
        ("schemas/x.py", "def f():\n    import torch"),
        ("engine/base/x.py", "from ...tui import app"),
        ("engine/base/x.py", "from ... import tui"),
        ("engine/x.py", "from ..plugins.providers import local"),
        ("engine/x.py", "import textual.app"),
        ("engine/x.py", "from nightschool.schemas import cards"),
        ("plugins/gates/x.py", "if True:\n    from ...tui.app import run"),
        ("tui/screens/x.py", "from transformers import AutoModel"),
        ("marketplace/x.py", "from ..engine.slots import store"),
        ("marketplace/x.py", "from ..engine import paths"),
    ],
)
def test_a_breach_is_seen(place, line, monkeypatch, tmp_path):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert len(list(breaches(path))) == 1


HEAVY = {"torch", "transformers", "peft", "textual", "numpy"}


def loaded_by(code):
    """Return which of the heavy packages a fresh process has loaded after some code."""
    tell = f"import sys; print(sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{tell}"], capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "may"),
    [
        ("import nightschool", set()),
        ("import nightschool.schemas.messages", set()),
        ("import nightschool.engine.host.client", set()),
        ("import nightschool.engine.host.process", set()),
        ("import nightschool.tui.cli", set()),
        ("import nightschool.tui.app", {"textual"}),
        (
            "from nightschool.engine.host.plugins import PluginHost\nhost = PluginHost.load()\n"
            "assert host.collect('nightschool_providers')",
            set(),
        ),
    ],
    ids=lambda value: value.splitlines()[0] if isinstance(value, str) else "",
)
def test_an_import_loads_nothing_heavy(code, may):
    assert loaded_by(code) <= may
