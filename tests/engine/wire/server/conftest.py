"""Tiny bases to serve, each made once."""

from __future__ import annotations

import pytest

from nightschool.tests.serving import running
from nightschool.tests.tiny import save_tiny


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    made = {}

    def folder(family):
        if family not in made:
            made[family] = save_tiny(tmp_path_factory.mktemp("served") / family, family)
        return made[family]

    return folder


@pytest.fixture
def server(folders, tmp_path):
    with running(folders("llama"), tmp_path) as found:
        yield found
