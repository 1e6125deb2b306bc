"""The settings file: read strictly, changed gently."""

from __future__ import annotations

import tomllib

import pytest

from nightschool.engine.paths import Home
from nightschool.engine.settings import Settings, choose_base, read_settings
from nightschool.schemas.errors import Damaged


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def test_a_new_profile_has_the_default(home):
    assert read_settings(home) == Settings(base="")


@pytest.mark.parametrize("base", ["owner/name@0123", 'C:\\models\\"x"', "/models/größe\u202e\x7f\x01", "a = 'b' # c"])
def test_a_choice_reads_back_and_can_be_taken_back(home, base):
    choose_base(home, base)
    assert read_settings(home).base == base
    choose_base(home, "other")
    assert home.config.read_text() == 'base = "other"\n'
    choose_base(home, "")
    assert home.config.read_text() == "" and read_settings(home).base == ""


def test_what_the_user_wrote_beside_it_stays(home):
    home.root.mkdir()
    home.config.write_text("# mine\nbase = 'old' # why\n# more\n")
    choose_base(home, "new")
    assert home.config.read_text() == 'base = "new"\n# mine\n# more\n'


@pytest.mark.parametrize("device", ["", "cpu", "mps", "cuda", "cuda:1"])
def test_a_device_is_named_and_stays_when_the_base_is_changed(home, device):
    home.root.mkdir()
    home.config.write_text(f'device = "{device}"\n')
    choose_base(home, "new")
    assert read_settings(home) == Settings(base="new", device=device)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base = ", "not TOML"),
        ("base = 3", "base: "),
        ("bse = 'x'", "bse: "),
        ("[base]\nx = 1", "base: "),
        ("device = 'gpu'", "none of cpu, mps, cuda"),
    ],
)
def test_a_file_that_does_not_read_is_named_and_left_alone(home, text, said):
    home.root.mkdir()
    home.config.write_text(text)
    for use in (lambda: read_settings(home), lambda: choose_base(home, "x")):
        with pytest.raises(Damaged, match=said) as caught:
            use()
        assert str(home.config) in str(caught.value)
    assert home.config.read_text() == text


def test_bytes_that_are_no_text_are_refused(home):
    home.root.mkdir()
    home.config.write_bytes(b"\xff\xfe")
    with pytest.raises(Damaged, match="not text"):
        read_settings(home)


def test_what_is_written_is_toml(home):
    choose_base(home, "a\nb")
    assert tomllib.loads(home.config.read_text()) == {"base": "a\nb"}


def test_a_value_of_several_lines_is_not_torn(home):
    home.root.mkdir()
    home.config.write_text('base = """\nold"""\n')
    with pytest.raises(Damaged):
        choose_base(home, "new")
    assert read_settings(home).base == "old"


SERVER = '\n[servers.home]\nurl = "https://gpu.home"\n'


@pytest.mark.parametrize(
    ("line", "names"), [('"home"', ("home",)), ('["home", "local"]', ("home", "local")), ('""', ())]
)
def test_providers_are_named_by_one_name_or_several(home, line, names):
    home.root.mkdir()
    home.config.write_text(f"provider = {line}{SERVER}")
    settings = read_settings(home)
    assert settings.provider == names
    assert settings.servers["home"].codec == "bf16"
    choose_base(home, "other")
    assert read_settings(home) == settings.model_copy(update={"base": "other"})


@pytest.mark.parametrize(
    "text",
    ['provider = "work"' + SERVER, '[servers.local]\nurl = "https://a"', '[servers.a]\nkey = "secret"\nurl = ""'],
)
def test_a_provider_that_is_not_described_or_badly_is_told(home, text):
    home.root.mkdir()
    home.config.write_text(text)
    with pytest.raises(Damaged):
        read_settings(home)


def test_numbers_of_a_study_may_be_the_users_own(home):
    home.root.mkdir()
    home.config.write_text("[study]\nsteps = 40\nscales = [1.0, 0.8]\n")
    assert read_settings(home).study == {"steps": 40, "scales": [1.0, 0.8]}
    home.config.write_text("[study]\nstep = 40\n")
    with pytest.raises(Damaged, match="no number step; near it are steps"):
        read_settings(home)
