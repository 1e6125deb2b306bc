import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nightschool import __version__
from nightschool.engine.host import plugins
from nightschool.engine.host.hooks import Hooks, hookimpl
from nightschool.engine.host.plugins import BUILT_INS, PluginHost, PluginInfo
from nightschool.schemas.errors import PluginError
from nightschool.schemas.records import Scope, SignalKind

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
HOOKS = sorted(name for name in vars(Hooks) if name.startswith("nightschool_"))

GOOD = """
from nightschool.engine.host.hooks import hookimpl

class Item:
    def __init__(self, name):
        self.name = name

@hookimpl
def nightschool_gates():
    return [Item("{item}")]
"""

BUILT_IN = """
from nightschool.engine.host.hooks import hookimpl
from types import SimpleNamespace

@hookimpl
def nightschool_gates():
    return [SimpleNamespace(name="first"), SimpleNamespace(name="second")]
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution with one module and one entry point where Python finds it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv(plugins.CHOOSE, raising=False)

    def install(module: str, code: str, *, dist: str = "", point: str = "", version: str = "1.2") -> None:
        (tmp_path / f"{module}.py").write_text(code)
        monkeypatch.delitem(sys.modules, module, raising=False)
        info = tmp_path / f"{(dist or module).replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist or module}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[nightschool]\n{point or module} = {module}\n")
        importlib.invalidate_caches()

    return install


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


def test_built_ins_come_before_plugins_of_others(install: Install) -> None:
    install("zz_plugin", GOOD.format(item="zz"), dist="night-zz")
    install("aa_plugin", GOOD.format(item="aa"))
    host = PluginHost.load()
    assert host.problems == []
    assert names(host) == ["first", "second", "aa", "zz"]
    assert host.plugins() == [
        PluginInfo("ours_gates", __version__, True, ("nightschool_gates",)),
        PluginInfo("aa_plugin", "1.2", False, ("nightschool_gates",)),
        PluginInfo("zz_plugin", "1.2", False, ("nightschool_gates",)),
    ]
    assert host.collect("nightschool_trainers") == []


def test_plugins_of_others_can_be_left_out(install: Install) -> None:
    install("aa_plugin", GOOD.format(item="aa"))
    assert names(PluginHost.load(third_party=False)) == ["first", "second"]


@pytest.mark.parametrize(
    ("chosen", "loaded"),
    [("", []), ("a_plugin", ["a"]), ("night-b", ["b"]), (" Night_B , a_plugin", ["a", "b"]), ("unknown", [])],
)
def test_the_environment_chooses_by_distribution_or_entry_point(
    install: Install, monkeypatch: pytest.MonkeyPatch, chosen: str, loaded: list[str]
) -> None:
    install("a_plugin", GOOD.format(item="a"))
    install("b_plugin", GOOD.format(item="b"), dist="night-b", point="bee")
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
def test_a_plugin_that_does_not_load_is_named_and_the_others_go_on(install: Install, code: str, reason: str) -> None:
    install("bad_plugin", code)
    install("good_plugin", GOOD.format(item="good"))
    host = PluginHost.load()
    (problem,) = host.problems
    assert (problem.plugin, problem.hook) == ("bad_plugin", "")
    assert reason in problem.text
    assert "\n" not in problem.text
    assert names(host) == ["first", "second", "good"]
    assert "bad_plugin" not in [info.name for info in host.plugins()]


def test_a_plugin_for_this_hook_api_loads(install: Install) -> None:
    install("good_plugin", "NIGHTSCHOOL_HOOK_API = 1\n" + GOOD.format(item="good"))
    assert names(PluginHost.load())[-1] == "good"


def test_two_plugins_cannot_have_one_name(install: Install) -> None:
    install("one_plugin", GOOD.format(item="one"), point="same")
    install("two_plugin", GOOD.format(item="two"), point="same")
    host = PluginHost.load()
    assert len(host.plugins()) == 2
    assert "already loaded under the name same" in host.problems[0].text


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
    ],
)
def test_a_hook_that_fails_is_named_once_and_the_others_go_on(install: Install, answer: str, reason: str) -> None:
    install("bad_plugin", GOOD.replace('return [Item("{item}")]', answer))
    install("good_plugin", GOOD.format(item="good"))
    host = PluginHost.load()
    for _ in range(2):
        assert names(host) == ["first", "second", "good"]
    (problem,) = host.problems
    assert (problem.plugin, problem.hook) == ("bad_plugin", "nightschool_gates")
    assert reason in problem.text


def test_a_built_in_that_fails_raises(tmp_path: Path) -> None:
    (tmp_path / "ours" / "ours_gates.py").write_text(BUILT_IN.replace("return [", "return None and ["))
    importlib.invalidate_caches()
    with pytest.raises(PluginError, match="ours_gates cannot serve nightschool_gates"):
        PluginHost.load().collect("nightschool_gates")


def test_a_built_in_is_never_silently_replaced(install: Install) -> None:
    install("thief", GOOD.format(item="first"))
    install("later", GOOD.format(item="other"))
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


def test_a_plugin_named_as_a_built_in_is_a_problem_and_no_more(install: Install) -> None:
    install("thief", "1 / 0", point="ours_gates")
    host = PluginHost.load()
    assert names(host) == ["first", "second"]
    assert [problem.plugin for problem in host.problems] == ["ours_gates"]


def test_the_log_has_the_traceback_of_a_plugin_that_fails(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    install("bad_plugin", "def deep():\n    1 / 0\ndeep()")
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


def test_the_plugin_of_the_page_works(install: Install) -> None:
    (settings,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "CalmRewriter" in code)
    assert '[project.entry-points.nightschool]\ncalm = "nightschool_calm"' in settings
    install("nightschool_calm", code, dist="nightschool-calm", point="calm", version="1.0")
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
        @hookimpl
        def nightschool_gates(self) -> list[object]:
            return [self]

    host = PluginHost()
    host._register("supplier", Supplier(), version="", built_in=False)
    assert len(host.collect("nightschool_gates")) == 1
