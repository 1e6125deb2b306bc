"""A zoo of plugins that are broken, each in one way, and of what is to be said of it."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = """
import os, signal, sys, time
from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.study.contracts import Finding
from nightschool.schemas.records import GateResult, SignalKind

class Item:
    name = "animal"
    order = 90
    about = title = "An animal."
    shrinking_helps = True

    def find(self, prompt, reply, said):
        return []

    def judge(self, candidate):
        return []

    def train(self, task, tell):
        raise AssertionError("it is not called")

    def run(self, context, arguments):
        return "moo"
"""
DETECTOR = HEAD + "\n@hookimpl\ndef nightschool_detectors():\n    return [Item()]\n"


@dataclass(frozen=True)
class Animal:
    """A plugin that does not load, or that is wrong when it is asked.

    Attributes:
        code: Of its module.
        said: What the reason must say where it is trusted by hand.
        loaded: Whether it loads all the same.
        ends: Whether it takes a process with it.
    """

    name: str
    code: str
    said: str
    loaded: bool = False
    ends: bool = False
    requires: str = ""


ANIMALS = (
    Animal("import_error", "import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
    Animal("syntax_error", "def broken(:", "SyntaxError"),
    Animal("hanging_import", "import time\nwhile True:\n    time.sleep(0.1)", "Its import took longer than 1 s"),
    Animal(
        "stuck_import",
        "import ctypes\nctypes.PyDLL(None).sleep(600)",  # it never lets go of the interpreter
        "while its code ran",
        ends=True,
    ),
    Animal("killing_import", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "signal 9", ends=True),
    Animal("leaving_import", "import os\nos._exit(0)", "ended with code 0", ends=True),
    Animal("exiting_import", "raise SystemExit(3)", "SystemExit: 3"),
    Animal("unknown_hook", HEAD + "\n@hookimpl\ndef nightschool_dreams():\n    return []", "nightschool_dreams"),
    Animal("wrong_signature", HEAD + "\n@hookimpl\ndef nightschool_gates(extra):\n    return []", "extra"),
    Animal("other_api", "NIGHTSCHOOL_HOOK_API = 99", "hook API 99, this is 1; update it"),
    Animal("other_version", HEAD, "It was written for nightschool >=99, this is", requires="nightschool>=99"),
    Animal("unreadable_metadata", HEAD, "cannot be read", requires="nightschool >>> 1"),
    Animal(
        "raising_hook", HEAD + "\n@hookimpl\ndef nightschool_gates():\n    return 1 / 0", "ZeroDivisionError",
        loaded=True,
    ),
    Animal(
        "wrong_answer", HEAD + "\n@hookimpl\ndef nightschool_gates():\n    return 7", "returned int", loaded=True
    ),
    Animal(
        "half_an_item",
        HEAD + "\n@hookimpl\ndef nightschool_gates():\n    del Item.judge\n    return [Item()]",
        "without judge()",
        loaded=True,
    ),
    Animal(
        "clash",
        HEAD + "\nItem.name = 'keeps'\n@hookimpl\ndef nightschool_gates():\n    return [Item()]",
        "already supplies 'keeps'; give yours another name",
        loaded=True,
    ),
    Animal(
        "slow_hook", HEAD + "\n@hookimpl\ndef nightschool_gates():\n    time.sleep(60)\n    return []",
        "longer than 5 s", loaded=True,
    ),
)  # fmt: skip
"""Those that are wrong before anything of theirs is used."""
