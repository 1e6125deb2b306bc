from pathlib import Path

import pytest

from nightschool.engine.paths import Home, find_home
from nightschool.schemas.errors import UsageError


def test_the_variable_moves_the_profile(monkeypatch, tmp_path):
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path / "profile"))
    assert find_home() == Home(tmp_path / "profile")
    assert not (tmp_path / "profile").exists(), "asking for a place creates nothing"


def test_a_relative_place_and_a_tilde_are_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIGHTSCHOOL_HOME", "here")
    assert find_home().root == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NIGHTSCHOOL_HOME", "~/there")
    assert find_home().root == tmp_path / "there"


@pytest.mark.parametrize("variable", [None, ""])
def test_without_the_variable_it_is_the_folder_of_the_platform(monkeypatch, tmp_path, variable):
    monkeypatch.delenv("NIGHTSCHOOL_HOME", raising=False)
    if variable is not None:
        monkeypatch.setenv("NIGHTSCHOOL_HOME", variable)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name, appauthor: f"{tmp_path}/{name}")
    assert find_home().root == tmp_path / "nightschool"


def test_every_place_is_inside_the_profile_and_its_own():
    home = Home(Path("/profile"))
    places = [value for name in dir(Home) if isinstance(value := getattr(home, name), Path) and name != "root"]
    assert len(places) == 18 == len(set(places))
    assert {place.parent for place in places if place != home.readings} == {home.root}
    assert home.readings.parent == home.cache  # what can be computed again


def test_a_folder_in_the_home_of_nobody_is_said(monkeypatch):
    monkeypatch.setenv("NIGHTSCHOOL_HOME", "~nobody-of-this-name/there")
    with pytest.raises(UsageError, match="the home of nobody"):
        find_home()
