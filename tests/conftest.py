"""Bases that tests of every room share. Nothing here is loaded before a test asks for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nightschool.engine.threads import share_cores
from nightschool.tests.tiny import save_tiny

# Before anything imports torch, and for children too: workers of a run share the cores, and threads of each that wait
# for threads which the other keeps from running cost more than they bring.
share_cores()
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_base_folder(tmp_path_factory):
    """A tiny random llama with its tokenizer, in Hugging Face's format."""
    return save_tiny(tmp_path_factory.mktemp("tiny") / "tiny-llama")


@pytest.fixture(scope="session")
def tiny_study_base(tmp_path_factory):
    """The same with longer tokens, so that what a study reads and writes is a third as many."""
    return save_tiny(tmp_path_factory.mktemp("tiny-words") / "tiny-llama", merges=600)


@pytest.fixture(scope="session")
def tiny_base(tiny_base_folder):
    """The same, loaded."""
    from nightschool.engine.base.library import load

    return load(tiny_base_folder)


@pytest.fixture(scope="session")
def default_base_folder():
    """The real default model, prepared once and kept under ``$NIGHTSCHOOL_TEST_MODELS`` or ``build/``."""
    from nightschool.engine.base.library import prepare
    from nightschool.engine.paths import Home

    kept = os.environ.get("NIGHTSCHOOL_TEST_MODELS") or Path(__file__).parents[1] / "build" / "test-home"
    return prepare("default", Home(Path(kept).absolute()), lambda stage, fraction: None)


@pytest.fixture(scope="session")
def default_base(default_base_folder):
    """The same, loaded in float32. Shared by the tests of a run: leave it as it is."""
    from nightschool.engine.base.library import load

    return load(default_base_folder)
