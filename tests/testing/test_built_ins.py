"""The built-in plugins run the suites that authors run."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest

from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.host.plugins import BUILT_INS
from nightschool.engine.plug.items import KINDS
from nightschool.testing import items_of, suite

ELSEWHERE = {"remote", "vllm", "llama_cpp", "sglang"}
"""Providers that need a server; ``tests/plugins/providers`` and ``tests/elsewhere.py`` have one."""


def cases():
    for name in BUILT_INS:
        module = importlib.import_module(name)
        for hook in KINDS:
            if hasattr(module, hook) and name.rpartition(".")[2] not in ELSEWHERE:
                for check in suite(hook.removeprefix("nightschool_")[:-1]):
                    case = f"{name.removeprefix('nightschool.plugins.')}-{check}"
                    yield pytest.param(module, check, id=case)


@pytest.mark.parametrize(("module", "check"), list(cases()))
def test_a_built_in_does_what_its_kind_must(module, check):
    check(module)


@pytest.mark.parametrize("kind", ["detector", "merge", "command", "importer", "rewriter"])
def test_a_suite_sees_what_is_wrong(kind):
    class Wrong:
        name, title, about, order = "wrong", "Wrong", "Wrong.", 1

        def find(self, prompt, reply, said):
            return 1 / 0

        def merge(self, parts, options):
            return None

        def run(self, context, arguments):
            return None

        def recognises(self, head):
            return True

        def read(self, stream):
            return [7]

        def infer(self, text, target):
            return [{"n": 1}]

        apply = holds = lambda self, args, text: text + "!"

        def say(self, args):
            return "no sentence"

        def contrary(self, args):
            return []

    hook = f"nightschool_{kind}s"
    plugin = SimpleNamespace(**{hook: hookimpl(lambda: [Wrong()])})
    failed = []
    for check in suite(kind):
        try:
            check(plugin)
        except Exception as error:  # noqa: BLE001 (whatever a check says of it)
            failed.append(str(error))
    assert failed


def test_items_of_gives_what_a_plugin_supplies():
    from nightschool.plugins.merges import ties

    assert [item.name for item in items_of(ties, "merge")] == ["ties"]
