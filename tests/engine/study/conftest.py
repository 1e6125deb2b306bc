from pathlib import Path

import pytest

from nightschool.bench.checks import load_cases


@pytest.fixture(scope="session")
def cases():
    """Every learning case of the repository."""
    folder = Path(__file__).parents[3] / "bench" / "cases"
    return [case for path in sorted(folder.glob("*.jsonl")) for case in load_cases(path)]
