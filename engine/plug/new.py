"""Writing a new plugin: a whole package of one kind, which installs, loads and passes its own tests at once."""

from __future__ import annotations

import re
from pathlib import Path

from ... import __version__
from ...schemas.errors import UsageError
from ..files import storage_errors
from .items import KINDS
from .new_code import CODE, TESTS

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")

PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{dist}"
version = "0.1.0"
description = "{about}"
requires-python = ">=3.11"
dependencies = ["nightschool>={least},<{below}"]

[project.optional-dependencies]
dev = ["mypy", "pytest", "ruff"]

[project.entry-points.nightschool]
{point} = "{module}"

[tool.setuptools]
packages = ["{module}"]

[tool.setuptools.package-data]
{module} = ["py.typed"]

[tool.ruff]
line-length = 120

[tool.mypy]
strict = true

[tool.pytest.ini_options]
testpaths = ["tests"]
"""

README = """# {dist}

{about}

    nightschool plugins install ./{dist} --editable    # then it is asked for every time its version changes
    nightschool plugins show {dist}

    pip install -e ".[dev]" && pytest                  # the suite of `nightschool.testing`, and tests of its own
"""

CI = """name: test
on: [push, pull_request]
jobs:
  test:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        python: ["3.11", "3.12", "3.13"]
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: ${{ matrix.python }}
      - run: pip install -e ".[dev]"
      - run: ruff check . && ruff format --check . && mypy {module}
      - run: pytest
"""


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
    if kind not in CODE:
        raise UsageError(f"There is no kind {kind}; there is {', '.join(sorted(CODE))}.")
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
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        f"{module}/__init__.py": CODE[kind],
        f"{module}/py.typed": "",
        f"tests/test_{short.replace('-', '_')}.py": TESTS[kind],
        ".github/workflows/test.yml": CI,
        ".gitignore": "__pycache__/\n*.egg-info/\nbuild/\ndist/\n",
    }
    return {path: _filled(text, words) for path, text in texts.items()}


def _filled(text: str, words: dict[str, str]) -> str:
    """Return a template with its words put in; other braces stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), text)
