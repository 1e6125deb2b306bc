from pathlib import Path

import pytest

from nightschool.bench.checks import load_cases
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.job import StudyJob
from nightschool.tests.engine.study.small import BEFORE, lesson


@pytest.fixture(scope="session")
def cases():
    """Every learning case of the repository."""
    folder = Path(__file__).parents[3] / "bench" / "cases"
    return [case for path in sorted(folder.glob("*.jsonl")) for case in load_cases(path)]


@pytest.fixture(scope="module")
def plugins():
    """The built-in plugins."""
    return PluginHost.load(third_party=False)


@pytest.fixture
def captain(plugins):
    """A lesson taught by one edit."""
    return lesson(plugins, "Captain, i" + BEFORE[1:])


@pytest.fixture
def job(tiny_study_base, tmp_path, captain):
    """Its study on a tiny base."""
    folder = tmp_path / "study"
    return StudyJob(study=1, slot="science", folder=folder, base=tiny_study_base, cut=2, lessons=[captain])
