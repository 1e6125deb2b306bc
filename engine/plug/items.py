"""What the items of each hook must have, how long each of their methods may take, and what stands in where one fails.

One table, ``KINDS``: items of strangers are checked against it when they are supplied, and their methods when they are
called (``guard.py``). Where an answer can be left out, a neutral one takes its place and the work goes on; where it
cannot (a trainer, a merge), the call fails with an error that names the plugin.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COMMAND_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class Method:
    """One method of an item.

    Attributes:
        arguments: How many it is called with.
        seconds: How long a call may take; of one that tells how far it is, how long it may say nothing.
        wanted: What it returns, in words.
        fits: Whether an answer is that.
        neutral: Given the arguments, what stands in for the answer; None: the call fails.
        needed: Whether an item must have it; one that lacks it is given ``neutral``, or nothing where that is None.
        gives: Whether it gives many things one at a time.
        tells: The place of the argument by which it tells how far it is.
    """

    arguments: int
    seconds: float
    wanted: str
    fits: Callable[[Any], bool]
    neutral: Callable[..., Any] | None = None
    needed: bool = True
    gives: bool = False
    tells: int | None = None


@dataclass(frozen=True)
class Kind:
    """What a hook's items have: fields by name with their types, methods by name, and where they are records, which."""

    noun: str
    methods: Mapping[str, Method]
    fields: Mapping[str, type] = field(default_factory=lambda: {"name": str})
    records: Callable[[], tuple[type, ...]] = tuple


def check_item(item: Any, kind: Kind) -> str:
    """Return what is wrong with an item, in a clause that follows its hook's name; empty: nothing."""
    records = kind.records()
    if records and not isinstance(item, records):
        return f"supplies {_called(item)}, which is no {' or '.join(record.__name__ for record in records)}"
    for name, wanted in kind.fields.items():
        value = getattr(item, name, None)
        if not isinstance(value, wanted) or value == "":
            return f"supplies {_called(item)} without a {name} ({wanted.__name__})"
    for name, method in kind.methods.items():
        own = getattr(item, name, None)
        if own is None and not method.needed:
            continue
        if not callable(own):
            return f"supplies {_called(item)} without {name}(), which a {kind.noun} must have"
        if not _takes(own, method.arguments):
            given = "no arguments" if not method.arguments else f"{method.arguments} arguments"
            return f"supplies {_called(item)} whose {name}() cannot be called with {given}"
    return ""


def _called(item: Any) -> str:
    name = getattr(item, "name", "")
    return repr(name) if isinstance(name, str) and name else f"a {type(item).__name__}"


def _takes(method: Callable[..., Any], arguments: int) -> bool:
    try:
        inspect.signature(method).bind(*range(arguments))
    except TypeError:
        return False
    except ValueError:  # one written in C says nothing of its arguments
        return True
    return True


# -- answers ----------------------------------------------------------------------------------------------------------


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda answer: isinstance(answer, types)


def _all_are(kind: type) -> Callable[[Any], bool]:
    return lambda answer: isinstance(answer, list) and all(isinstance(one, kind) for one in answer)


def _findings(answer: Any) -> bool:
    from ..study.contracts import Finding

    return _all_are(Finding)(answer)


def _results(answer: Any) -> bool:
    from ...schemas.records import GateResult

    return isinstance(answer, Sequence) and all(isinstance(one, GateResult) for one in answer)


def _adapter(answer: Any) -> bool:
    from ..slots.adapter import Adapter

    return isinstance(answer, Adapter)


def _merged(answer: Any) -> bool:
    from ..slots.merging import Merged

    return isinstance(answer, Merged)


def _providers() -> tuple[type, ...]:
    from ..base.supply import FinalKind, ProviderKind

    return ProviderKind, FinalKind


def _items(answer: Any) -> bool:
    from ...schemas.exchange import Skipped, Transcript
    from ...schemas.records import Lesson, Slot

    return isinstance(answer, (Transcript, Lesson, Slot, Skipped))


def _left_out(stream: Any) -> Any:
    from ...schemas.exchange import Skipped

    return Skipped(reason="the plugin that reads such files failed")


def _none(*arguments: Any) -> list[Any]:
    return []


def _same_text(args: Any, text: str) -> str:
    return text


def _nothing(*arguments: Any) -> None:
    return None


def _text(*arguments: Any) -> str:
    return ""


def _false(*arguments: Any) -> bool:
    return False


def _true(*arguments: Any) -> bool:
    return True


def _anything(answer: Any) -> bool:
    return answer is not None


_PLAIN = 2.0
"""Seconds of what is pure and is to take milliseconds."""
_LONG = 300.0
"""Seconds in which a trainer makes a step, a gate judges, or a merge is made, on a slow machine."""

OTHER = Method(0, _LONG, "an answer", _anything)
"""Any callable of a record."""

KINDS: dict[str, Kind] = {
    "nightschool_providers": Kind("provider", {}, records=_providers),
    "nightschool_detectors": Kind("detector", {"find": Method(3, _PLAIN, "a list of Finding", _findings, _none)}),
    "nightschool_rewriters": Kind(
        "rewriter",
        {
            "infer": Method(2, _PLAIN, "a list of dict", _all_are(dict), _none),
            "read": Method(1, _PLAIN, "a list of dict", _all_are(dict), _none),
            "apply": Method(2, _PLAIN, "a str", _is(str), _same_text),
            "holds": Method(2, _PLAIN, "a bool", _is(bool), _false),
            "peel": Method(2, _PLAIN, "a str", _is(str), _same_text, needed=False),
            "key": Method(1, _PLAIN, "a str", _is(str), _text, needed=False),
            "common": Method(1, _PLAIN, "a dict or None", _is(dict, type(None)), _nothing, needed=False),
            "say": Method(1, _PLAIN, "a str", _is(str), _text),
            "contrary": Method(1, _PLAIN, "a list of str", _all_are(str), _none),
            "exchanges": Method(1, _PLAIN, "a list of pairs", _all_are(tuple), needed=False),
            "respell": Method(2, _PLAIN, "a str", _is(str), needed=False),
        },
        {"name": str, "order": int},
    ),
    "nightschool_trainers": Kind("trainer", {"train": Method(2, _LONG, "an Adapter", _adapter, tells=1)}),
    "nightschool_routers": Kind(
        "router",
        {
            "fit": Method(2, _LONG, "a dict of tensors", _is(dict)),
            "applies": Method(2, _PLAIN, "a bool", _is(bool), _true),
        },
    ),
    "nightschool_gates": Kind(
        "gate",
        {"judge": Method(1, _LONG, "a list of GateResult", _results, _none)},
        {"name": str, "shrinking_helps": bool},
    ),
    "nightschool_importers": Kind(
        "importer",
        {
            "recognises": Method(1, _PLAIN, "a bool", _is(bool), _false),
            "read": Method(1, 30.0, "Transcript, Lesson, Slot or Skipped", _items, _left_out, gives=True),
        },
        {"name": str, "title": str},
    ),
    "nightschool_exporters": Kind(
        "exporter",
        {
            "begin": Method(0, _PLAIN, "a str", _is(str), _text, needed=False),
            "write": Method(1, 30.0, "a str", _is(str)),
            "end": Method(0, _PLAIN, "a str", _is(str), _text, needed=False),
        },
        {"name": str, "about": str},
    ),
    "nightschool_merges": Kind(
        "merge strategy", {"merge": Method(2, _LONG, "a Merged", _merged)}, {"name": str, "about": str}
    ),
    "nightschool_commands": Kind("command", {"run": Method(2, 30.0, "a str", _is(str))}, {"name": str, "about": str}),
}
"""By hook. A hook that is not here does not exist."""
