import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nightschool import __version__
from nightschool.engine.host import plugins
from nightschool.engine.host.hooks import Hooks, hookimpl
from nightschool.engine.host.plugins import BUILT_INS, PluginHost
from nightschool.engine.paths import Home
from nightschool.engine.plug.items import KINDS
from nightschool.schemas.errors import PluginError
from nightschool.schemas.plugins import PluginState
from nightschool.schemas.records import Scope, SignalKind
from nightschool.tests.plugged import GOOD, Shelf

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
HOOKS = sorted(name for name in vars(Hooks) if name.startswith("nightschool_"))

BUILT_IN = """
from nightschool.engine.host.hooks import hookimpl
from types import SimpleNamespace

@hookimpl
def nightschool_gates():
    return [SimpleNamespace(name="first"), SimpleNamespace(name="second")]
"""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Where plugins are put, in a profile that is empty."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv(plugins.CHOOSE, raising=False)
    for module in ("good_plugin", "bad_plugin", "aa_plugin", "zz_plugin", "a_plugin", "b_plugin", "thief", "later"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path / "home"))
    yield Shelf(folder, Home(tmp_path / "home"))
    for module in folder.glob("*.py"):
        sys.modules.pop(module.stem, None)


@pytest.fixture(autouse=True)
def one_built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the real table, which has a test of its own."""
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "ours_gates.py").write_text(BUILT_IN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "ours_gates", raising=False)
    monkeypatch.setattr(plugins, "BUILT_INS", ("ours_gates",))


def names(host: PluginHost, hook: str = "nightschool_gates") -> list[str]:
    return [item.name for item in host.collect(hook)]


# -- loading ----------------------------------------------------------------------------------------------------------


def test_built_ins_come_before_plugins_of_others(shelf: Shelf) -> None:
    shelf.add("zz_plugin", GOOD.format(item="zz"), dist="night-zz")
    shelf.add("aa_plugin", GOOD.format(item="aa"))
    host = PluginHost.load()
    assert host.problems == []
    assert names(host) == ["first", "second", "aa", "zz"]
    assert [(info.name, info.version, info.built_in, info.hooks) for info in host.plugins()] == [
        ("ours_gates", __version__, True, ("nightschool_gates",)),
        ("aa-plugin", "1.2", False, ("nightschool_gates",)),
        ("night-zz", "1.2", False, ("nightschool_gates",)),
    ]
    assert host.collect("nightschool_trainers") == []


def test_plugins_of_others_can_be_left_out(shelf: Shelf) -> None:
    shelf.add("aa_plugin", GOOD.format(item="aa"))
    assert names(PluginHost.load(third_party=False)) == ["first", "second"]


@pytest.mark.parametrize(
    ("chosen", "loaded"),
    [("", []), ("a_plugin", ["a"]), ("night-b", ["b"]), (" Night_B , a_plugin", ["a", "b"]), ("unknown", [])],
)
def test_the_environment_chooses_by_distribution_or_entry_point(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, chosen: str, loaded: list[str]
) -> None:
    shelf.add("a_plugin", GOOD.format(item="a"))
    shelf.add("b_plugin", GOOD.format(item="b"), dist="night-b", point="bee")
    monkeypatch.setenv(plugins.CHOOSE, chosen)
    host = PluginHost.load()
    assert names(host) == ["first", "second", *loaded]
    assert host.problems == []
    assert ("a_plugin" in sys.modules) == ("a" in loaded)  # what is not chosen is not even imported


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise Exception", "It could not be loaded: Exception."),
        ("NIGHTSCHOOL_HOOK_API = 99", "hook API 99, this is 1; update it"),
        (GOOD.replace("gates():", "gates(extra):"), "PluginValidationError"),
        (GOOD.replace("_gates", "_unheard_of"), "PluginValidationError"),
    ],
)
def test_a_plugin_that_does_not_load_is_named_and_the_others_go_on(shelf: Shelf, code: str, reason: str) -> None:
    shelf.add("bad_plugin", code)
    shelf.add("good_plugin", GOOD.format(item="good"))
    host = PluginHost.load()
    (problem,) = host.problems
    assert (problem.plugin, problem.hook) == ("bad-plugin", "")
    assert reason in problem.text
    assert "\n" not in problem.text
    assert names(host) == ["first", "second", "good"]
    assert "bad-plugin" not in [info.name for info in host.plugins()]


def test_a_plugin_for_this_hook_api_loads(shelf: Shelf) -> None:
    shelf.add("good_plugin", "NIGHTSCHOOL_HOOK_API = 1\n" + GOOD.format(item="good"))
    assert names(PluginHost.load())[-1] == "good"


def test_entry_points_of_two_plugins_may_have_one_name(shelf: Shelf) -> None:
    shelf.add("one_plugin", GOOD.format(item="one"), point="same")
    shelf.add("two_plugin", GOOD.format(item="two"), point="same")
    assert names(PluginHost.load()) == ["first", "second", "one", "two"]


@pytest.mark.parametrize("code", ["import not_there_at_all", "1 / 0", GOOD.replace("_gates", "_unheard_of")])
def test_a_broken_built_in_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (tmp_path / "ours" / "ours_gates.py").write_text(code)
    importlib.invalidate_caches()
    with pytest.raises(PluginError, match="ours_gates is broken"):
        PluginHost.load()


# -- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit", "SystemExit"),
        ("return None", "returned NoneType"),
        ("yield", "returned generator"),
        ("return (1, 2)", "returned tuple"),
        ("return [type('T', (), {'name': property(lambda self: 1 / 0)})()]", "ZeroDivisionError"),
        ("return [Item('')]", "without a name"),
        ("return [type('T', (), {'name': 'x', 'shrinking_helps': True})()]", "without judge()"),
        ("Item.judge = lambda self: []\n    return [Item('x')]", "judge() cannot be called with 1 arguments"),
    ],
)
def test_a_hook_that_fails_is_named_once_and_the_others_go_on(shelf: Shelf, answer: str, reason: str) -> None:
    shelf.add("bad_plugin", GOOD.replace('return [Item("{item}")]', answer))
    shelf.add("good_plugin", GOOD.format(item="good"))
    host = PluginHost.load()
    for _ in range(2):
        assert names(host) == ["first", "second", "good"]
    (problem,) = host.problems
    assert (problem.plugin, problem.hook) == ("bad-plugin", "nightschool_gates")
    assert reason in problem.text


def test_a_built_in_that_fails_raises(tmp_path: Path) -> None:
    (tmp_path / "ours" / "ours_gates.py").write_text(BUILT_IN.replace("return [", "return None and ["))
    importlib.invalidate_caches()
    with pytest.raises(PluginError, match="ours_gates cannot serve nightschool_gates"):
        PluginHost.load().collect("nightschool_gates")


def test_a_built_in_is_never_silently_replaced(shelf: Shelf) -> None:
    shelf.add("thief", GOOD.format(item="first"))
    shelf.add("later", GOOD.format(item="other"))
    host = PluginHost.load()
    assert names(host) == ["first", "second", "other"]
    (problem,) = host.problems
    assert (problem.plugin, problem.hook) == ("thief", "nightschool_gates")
    assert "ours_gates already supplies 'first'" in problem.text


def test_built_ins_do_not_replace_each_other(tmp_path: Path) -> None:
    (tmp_path / "ours" / "ours_gates.py").write_text(BUILT_IN.replace("second", "first"))
    importlib.invalidate_caches()
    with pytest.raises(PluginError, match="already supplies 'first'"):
        PluginHost.load().collect("nightschool_gates")


def test_a_plugin_named_as_a_built_in_is_another_plugin(shelf: Shelf) -> None:
    shelf.add("bad_plugin", "1 / 0", point="ours_gates", dist="ours_gates")
    host = PluginHost.load()
    assert names(host) == ["first", "second"]
    assert [problem.plugin for problem in host.problems] == ["ours-gates"]


def test_the_log_has_the_traceback_of_a_plugin_that_fails(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    shelf.add("bad_plugin", "def deep():\n    1 / 0\ndeep()")
    PluginHost.load()
    assert "in deep" in caplog.text


def test_there_are_only_the_hooks_that_there_are() -> None:
    with pytest.raises(PluginError, match="no hook nightschool_dreams"):
        PluginHost.load().collect("nightschool_dreams")


# -- the real table and the page --------------------------------------------------------------------------------------


def written() -> list[str]:
    """Return the modules under plugins/ that implement hooks."""
    found = (path for path in sorted((ROOT / "plugins").rglob("*.py")) if "@hookimpl" in path.read_text())
    return [".".join(("nightschool", *path.relative_to(ROOT).with_suffix("").parts)) for path in found]


def test_the_table_lists_the_plugins_that_are_written() -> None:
    assert sorted(written()) == sorted(BUILT_INS)


def test_loading_imports_nothing_heavy() -> None:
    code = f"""
import sys
from nightschool.engine.host import plugins
plugins.BUILT_INS = {tuple(name for name in BUILT_INS if name in written())!r}
host = plugins.PluginHost.load(third_party=False)
for hook in {HOOKS!r}:
    host.collect(hook)
heavy = sorted({{"torch", "transformers", "peft", "textual", "numpy"}} & set(sys.modules))
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_lists_every_hook() -> None:
    rows = re.findall(r"^\| `(nightschool_\w+)` \|.*`(\w+)` in `([\w/.]+)` \|$", PAGE, re.MULTILINE)
    assert sorted(hook for hook, _, _ in rows) == HOOKS
    for hook, item, file in rows:
        assert f"class {item}" in (ROOT / file).read_text()
        assert item in str(inspect.signature(getattr(Hooks, hook)).return_annotation)


def test_the_page_says_what_happens_where_each_kind_of_item_fails() -> None:
    rows = set(re.findall(r"^\| ([a-z ]+) \| \d+ s", PAGE, re.MULTILINE))
    assert rows == {kind.noun for kind in KINDS.values()}
    assert sorted(KINDS) == HOOKS


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_says_all_that_an_author_must_know(hook: str) -> None:
    told = inspect.getdoc(getattr(Hooks, hook)) or ""
    for part in ("Since: hook API ", "Returns:", "Raises:", "Example::"):
        assert part in told, f"{hook} does not say {part}"


def test_the_page_says_what_every_state_means() -> None:
    rows = " ".join(re.findall(r"^\| ([a-z, ]+) \|", PAGE.split("## Hooks")[0], re.MULTILINE))
    assert all(state.value in rows for state in PluginState)


def test_the_plugin_of_the_page_works(shelf: Shelf) -> None:
    (settings,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "CalmRewriter" in code)
    assert '[project.entry-points.nightschool]\ncalm = "nightschool_calm"' in settings
    shelf.add("nightschool_calm", code, dist="nightschool-calm", point="calm", version="1.0")
    host = PluginHost.load()
    assert host.problems == []
    (rewriter,) = host.collect("nightschool_rewriters")
    (detector,) = host.collect("nightschool_detectors")
    (finding,) = detector.find("Hi", "Hello!", "Please calm down.")
    assert (finding.kind, finding.scope) == (SignalKind.RULE, Scope.SLOT)
    assert rewriter.read(finding.rule) == [{}]
    assert rewriter.read(rewriter.say({})) == [{}]
    assert rewriter.infer("Hello!", "Hello.") == [{}]
    assert rewriter.apply({}, "Hello! Yes!") == "Hello. Yes."
    assert rewriter.holds({}, "Hello.")
    assert not rewriter.holds({}, "Hello!")


def test_an_object_can_be_a_plugin_too() -> None:
    class Supplier:
        name, shrinking_helps = "supplier", True

        @hookimpl
        def nightschool_gates(self) -> list[object]:
            return [self]

        def judge(self, candidate: object) -> list[object]:
            return []

    host = PluginHost()
    host.add("supplier", Supplier())
    assert len(host.collect("nightschool_gates")) == 1
