"""Single settings are changed in a file of the user's own hand, and nothing else of it."""

import tomllib

import pytest

from nightschool.engine.config_text import with_table, with_value, without_table
from nightschool.engine.paths import Home
from nightschool.engine.settings import ServerSettings, add_server, choose_provider, read_settings, remove_server
from nightschool.schemas.errors import Damaged, NotFound, UsageError

MINE = '# mine\nmemory = false # why\n\n# the big one\n[servers.gpu]\nurl = "https://gpu" # upstairs\n'


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.config.write_text(MINE)
    return home


def test_a_value_of_a_table_is_not_taken_for_one_of_the_file():
    text = '[servers.a]\nbase = "x"\n'
    assert with_value(text, "base", "y") == f'base = "y"\n{text}'
    assert with_value(text, "base", "") == text


def test_what_stands_above_the_next_table_is_that_ones():
    text = "[servers.a]\nurl = 'x'\n# of a\nzstd = true\n\n# about b\n[servers.b]\nurl = 'y'\n"
    assert without_table(text, "servers.a") == "\n# about b\n[servers.b]\nurl = 'y'\n"
    assert without_table(text, "servers.b") == "[servers.a]\nurl = 'x'\n# of a\nzstd = true\n\n# about b\n"
    assert without_table(text, "servers.c") == text


@pytest.mark.parametrize("before", ["", MINE, MINE.rstrip("\n"), "a = 1"])
def test_a_table_that_is_added_goes_again_without_a_trace(before):
    after = with_table(before, "servers.new", [("url", 'https://"x"'), ("zstd", False), ("kl_budget", 1e-5)])
    assert tomllib.loads(after)["servers"]["new"] == {"url": 'https://"x"', "zstd": False, "kl_budget": 1e-5}
    assert after.startswith(before)
    assert without_table(after, "servers.new").rstrip("\n") == before.rstrip("\n")


def test_servers_come_and_go_and_the_users_words_stay(home):
    server = ServerSettings(url="https://two", kl_budget=1e-4)
    add_server(home, "two", server)
    assert read_settings(home).servers["two"] == server
    choose_provider(home, ["two", "local"])
    assert read_settings(home).provider == ("two", "local")
    with pytest.raises(UsageError, match="two"):
        remove_server(home, "two")
    choose_provider(home, ["local"])
    remove_server(home, "two")
    assert home.config.read_text() == MINE
    remove_server(home, "gpu")
    assert home.config.read_text().startswith("# mine\nmemory = false # why\n")


@pytest.mark.parametrize("name", ["", "local", "a.b", "a b", "ä", "../x", "x" * 65, "gpu"])
def test_a_name_that_is_none_or_taken_changes_nothing(home, name):
    with pytest.raises(UsageError):
        add_server(home, name, ServerSettings(url="https://x"))
    assert home.config.read_text() == MINE


def test_a_server_that_nobody_described_is_neither_used_nor_removed(home):
    for refused in (lambda: choose_provider(home, ["x"]), lambda: remove_server(home, "x")):
        with pytest.raises(NotFound):
            refused()
    assert home.config.read_text() == MINE


@pytest.mark.parametrize(
    "text",
    [
        'servers = { gpu = { url = "https://gpu" } }\n',
        'servers.gpu.url = "https://gpu"\n',
        '[servers]\ngpu = { url = "https://gpu" }\n',
        '[servers.gpu]\nurl = """\nhttps://gpu"""\n[servers."x"]\nurl = """\n[servers.gpu]\n"""\n',
    ],
)
def test_what_cannot_be_taken_out_by_lines_is_left_alone(home, text):
    home.config.write_text(text)
    before = read_settings(home)
    try:
        remove_server(home, "gpu")
    except Damaged:
        assert home.config.read_text() == text
    else:
        assert read_settings(home).servers == {n: s for n, s in before.servers.items() if n != "gpu"}
