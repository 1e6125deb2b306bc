"""Writing a new plugin: a whole package of one kind, which installs, loads and passes its own tests at once.

``templates/`` has what every package has, and by kind its code and its own tests: each a small thing that works.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from ... import __version__
from ...schemas.errors import UsageError
from ..files import storage_errors
from .items import KINDS

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


def kinds() -> list[str]:
    """Return the kinds of plugins that can be written."""
    return sorted(hook.removeprefix("nightschool_").removesuffix("s") for hook in KINDS)


def write_plugin(folder: Path, name: str, kind: str) -> list[Path]:
    """Write a package named ``nightschool-NAME`` into a folder of that name and return its files.

    Raises:
        UsageError: If it cannot be called so, there is no such kind, or the folder is there already.
        StorageError: If it cannot be written.
    """
    short = name.removeprefix("nightschool-")
    if not _NAME.fullmatch(short) or short.endswith("-"):
        raise UsageError(f"A plugin cannot be called {name!r}; take small letters, digits and dashes.")
    if kind not in kinds():
        raise UsageError(f"There is no kind {kind}; there is {', '.join(kinds())}.")
    dist = f"nightschool-{short}"
    root = folder / dist
    if root.exists():
        raise UsageError(f"{root} is there already; take another name, or move it away.")
    files = _files(dist, short, kind)
    with storage_errors(root):
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
    return [root / path for path in files]


def _files(dist: str, short: str, kind: str) -> dict[str, str]:
    module = dist.replace("-", "_")
    major, minor = __version__.split(".")[:2]
    words = {
        "dist": dist,
        "module": module,
        "point": short.replace("-", "_"),
        "name": short,
        "Class": "".join(part.capitalize() for part in re.findall(r"[a-z0-9]+", short)),
        "kind": kind,
        "about": f"A {KINDS[f'nightschool_{kind}s'].noun} for Night School.",
        "least": f"{major}.{minor}",
        "below": str(int(major) + 1),
    }
    texts = {
        "pyproject.toml": _template("pyproject.toml"),
        "README.md": _template("README.md"),
        f"{module}/__init__.py": _template(f"code/{kind}.py"),
        f"{module}/py.typed": "",
        f"tests/test_{short.replace('-', '_')}.py": _template("tests/suite.py") + _template(f"tests/{kind}.py"),
        ".github/workflows/test.yml": _template("test.yml"),
        ".gitignore": "__pycache__/\n*.egg-info/\nbuild/\ndist/\n",
    }
    return {path: _filled(text, words) for path, text in texts.items()}


def _template(name: str) -> str:
    folder = resources.files(__package__).joinpath("templates")
    return folder.joinpath(*f"{name}.txt".split("/")).read_text(encoding="utf-8")


def _filled(text: str, words: dict[str, str]) -> str:
    """Return a template with its words put in; other braces stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), text)
