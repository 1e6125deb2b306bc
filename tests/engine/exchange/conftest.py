from collections.abc import Iterator
from pathlib import Path

import pytest

from nightschool.engine.records import Records


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    with Records(tmp_path / "night.db") as opened:
        yield opened
