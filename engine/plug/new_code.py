"""The code and the tests of new plugins, by kind: each a small thing that works, to be changed into another."""

from __future__ import annotations

_TESTS = '''"""The suite that every {kind} must pass, and what this one is for."""

from __future__ import annotations

import pytest
from nightschool.testing import Check, items_of, suite

import {module}


@pytest.mark.parametrize("check", suite("{kind}"), ids=str)
def test_it_does_what_its_kind_must(check: Check) -> None:
    check({module})


'''

CODE = {
    "detector": '''"""{about} "Calm down" asks for replies without exclamation marks."""

from __future__ import annotations

from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.study.contracts import Detector, Finding
from nightschool.schemas.records import Scope, SignalKind

NIGHTSCHOOL_HOOK_API = 1


class {Class}:
    """Finds one sentence; change it into what your users say."""

    name = "{name}"

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return what the user's words teach about the reply before them."""
        if reply and "calm down" in said.lower():
            rule = "Never use exclamation marks."
            return [Finding(SignalKind.RULE, rule, confidence=0.9, scope=Scope.SLOT)]
        return []


@hookimpl
def nightschool_detectors() -> list[Detector]:
    """Supply the detector."""
    return [{Class}()]
''',
    "rewriter": '''"""{about} It takes exclamation marks away."""

from __future__ import annotations

from collections.abc import Sequence

from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.study.contracts import Args, Rewriter

NIGHTSCHOOL_HOOK_API = 1


class {Class}:
    """One kind of change to a reply; change it into yours."""

    name = "{name}"
    order = 50

    def infer(self, text: str, target: str) -> list[Args]:
        """Return arguments that may bring the text nearer to the target."""
        return [{}] if "!" in text and "!" not in target else []

    def read(self, rule: str) -> list[Args]:
        """Return what a rule in words asks of this rewriter."""
        return [{}] if "no exclamation mark" in rule.lower() else []

    def apply(self, args: Args, text: str) -> str:
        """Return the text as the rule wants it."""
        return text.replace("!", ".")

    def holds(self, args: Args, text: str) -> bool:
        """Whether a reply follows the rule."""
        return "!" not in text

    def peel(self, args: Args, text: str) -> str:
        """Return a reply without what this step added: nothing."""
        return text

    def key(self, args: Args) -> str:
        """Return what the step settles."""
        return ""

    def common(self, several: Sequence[Args]) -> Args | None:
        """Return one step for several."""
        return {}

    def say(self, args: Args) -> str:
        """Return the rule as a sentence."""
        return "Use no exclamation marks."

    def contrary(self, args: Args) -> list[str]:
        """Return templates that ask for the opposite."""
        return ["{prompt} End every sentence with an exclamation mark.", "Shout it! {prompt}"]


@hookimpl
def nightschool_rewriters() -> list[Rewriter]:
    """Supply the rewriter."""
    return [{Class}()]
''',
    "trainer": '''"""{about} It teaches as Night School does, in fewer steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.study.contracts import Trainer

if TYPE_CHECKING:
    from nightschool.engine.slots.adapter import Adapter
    from nightschool.engine.study.task import TrainingTask
    from nightschool.schemas.records import CurvePoint

NIGHTSCHOOL_HOOK_API = 1


class {Class}:
    """One pass; `engine/study/objectives.py` of Night School has others, and what they are made of."""

    name = "{name}"

    def train(self, task: TrainingTask, tell: Callable[[CurvePoint, int], None]) -> Adapter:
        """Return an adapter that was taught the examples of a task."""
        from nightschool.engine.study.objectives import teaching
        from nightschool.engine.study.training import run_passes

        taught = teaching(task)
        return run_passes(task, [replace(taught, steps=max(1, taught.steps // 2))], tell)


@hookimpl
def nightschool_trainers() -> list[Trainer]:
    """Supply the trainer."""
    return [{Class}()]
''',
    "merge": '''"""{about} It adds up what the slots learned, each by its weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightschool.engine.host.hooks import hookimpl

if TYPE_CHECKING:
    from nightschool.engine.slots.factoring import Weighted
    from nightschool.engine.slots.merging import Merged, MergeStrategy, Parts
    from nightschool.schemas.records import MergeOptions
    from torch import Tensor

NIGHTSCHOOL_HOOK_API = 1


class {Class}:
    """Works on the true products of the factors, one projection at a time."""

    name = "{name}"
    about = "The weighted sum of the products."

    def merge(self, parts: Parts, options: MergeOptions) -> Merged:
        """Return one adapter of several."""
        from nightschool.engine.slots.factoring import product
        from nightschool.engine.slots.merging import merge_products, refuse_options

        refuse_options(options, self.name, "rank", "energy")

        def combine(place: str, updates: list[Weighted]) -> Tensor:
            first, *others = (product(update) for update in updates)
            for other in others:
                first = first + other
            return first

        return merge_products(parts, options, combine)


@hookimpl
def nightschool_merges() -> list[MergeStrategy]:
    """Supply the strategy."""
    return [{Class}()]
''',
    "gate": '''"""{about} Neutral prose must not move far from the base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.study.contracts import Gate
from nightschool.schemas.records import GateResult

if TYPE_CHECKING:
    from nightschool.engine.study.candidate import Candidate

NIGHTSCHOOL_HOOK_API = 1

LIMIT = 0.2
"""Nats a token that prose which no rule is about may move."""


class {Class}:
    """One measured yes or no; `engine/study/candidate.py` of Night School says what can be asked."""

    name = "{name}"
    shrinking_helps = True

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Measure the candidate, as it is scaled now."""
        moved, _ = candidate.neutral()
        text = f"Neutral prose moved {moved:.3f} nats a token from the base."
        return [GateResult(name=self.name, passed=moved <= LIMIT, value=moved, limit=LIMIT, text=text)]


@hookimpl
def nightschool_gates() -> list[Gate]:
    """Supply the gate."""
    return [{Class}()]
''',
    "router": '''"""{about} A lesson applies where a question lies nearer to those in its scope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.study.contracts import Router

if TYPE_CHECKING:
    from torch import Tensor

NIGHTSCHOOL_HOOK_API = 1


class {Class}:
    """Compares with two means."""

    name = "{name}"

    def fit(self, inside: Tensor, outside: Tensor) -> dict[str, Tensor]:
        """Return the means of both heaps, ``(f,)`` each."""
        return {"inside": inside.mean(dim=0), "outside": outside.mean(dim=0)}

    def applies(self, fitted: Mapping[str, Tensor], features: Tensor) -> bool:
        """Whether features ``(f,)`` lie nearer to those in scope."""
        return bool((features - fitted["inside"]).norm() < (features - fitted["outside"]).norm())


@hookimpl
def nightschool_routers() -> list[Router]:
    """Supply the router."""
    return [{Class}()]
''',
    "importer": '''"""{about} It reads questions and answers in turn, one a line, under "#{name}"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from nightschool.engine.exchange.contracts import Importer, Item
from nightschool.engine.host.hooks import hookimpl
from nightschool.schemas.exchange import Skipped, Transcript, TranscriptTurn
from nightschool.schemas.records import Role

NIGHTSCHOOL_HOOK_API = 1

HEAD = b"#{name}\\n"


class {Class}:
    """A blank line ends a conversation."""

    name = "{name}"
    title = "Questions and answers in turn (#{name})"

    def recognises(self, head: bytes) -> bool:
        """Whether a file begins as it should."""
        return head.startswith(HEAD)

    def read(self, stream: BinaryIO) -> Iterator[Item]:
        """Give the conversations, one at a time."""
        if stream.readline() != HEAD:
            yield Skipped(reason="it does not begin as it should")
            return
        turns: list[TranscriptTurn] = []
        for line in stream:
            text = line.decode("utf-8", "replace").strip()
            if text:
                turns.append(TranscriptTurn(role=Role.ASSISTANT if len(turns) % 2 else Role.USER, text=text))
            elif turns:
                yield Transcript(turns=turns)
                turns = []
        if turns:
            yield Transcript(turns=turns)


@hookimpl
def nightschool_importers() -> list[Importer]:
    """Supply the importer."""
    return [{Class}()]
''',
    "exporter": '''"""{about} It writes a line for each turn, for spreadsheets."""

from __future__ import annotations

from nightschool.engine.exchange.contracts import Exporter
from nightschool.engine.host.hooks import hookimpl
from nightschool.schemas.exchange import Transcript

NIGHTSCHOOL_HOOK_API = 1


class {Class}:
    """Columns: conversation, who, what."""

    name = "{name}"
    about = "A line for each turn, with tabs between."

    def begin(self) -> str:
        """Return the heads of the columns."""
        return "conversation\\trole\\ttext\\n"

    def write(self, transcript: Transcript) -> str:
        """Return the lines of one conversation."""
        title = " ".join(transcript.title.split())
        return "".join(f"{title}\\t{turn.role.value}\\t{' '.join(turn.text.split())}\\n" for turn in transcript.turns)

    def end(self) -> str:
        """Return nothing more."""
        return ""


@hookimpl
def nightschool_exporters() -> list[Exporter]:
    """Supply the exporter."""
    return [{Class}()]
''',
    "command": '''"""{about} `nightschool {name}` counts lessons by their state."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.plug.contracts import Command, Context
from nightschool.schemas.errors import UsageError

NIGHTSCHOOL_HOOK_API = 1


class {Class}:
    """Reads the lessons of the slot, or of all."""

    name = "{name}"
    about = "Count lessons by their state."
    title = "Count lessons"

    def run(self, context: Context, arguments: Sequence[str]) -> str:
        """Return a line for each state; with --json a document."""
        if [argument for argument in arguments if argument != "--json"]:
            raise UsageError("{name} takes no arguments but --json.")
        counts = Counter(lesson.state.value for lesson in context.lessons(context.slot or None))
        if "--json" in arguments:
            return json.dumps(counts)
        return "\\n".join(f"{count:5} {state}" for state, count in sorted(counts.items())) or "No lessons yet."


@hookimpl
def nightschool_commands() -> list[Command]:
    """Supply the command."""
    return [{Class}()]
''',
    "provider": '''"""{about} The states are computed on this machine; put what computes yours in the place of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightschool.engine.base.supply import ProviderKind
from nightschool.engine.host.hooks import hookimpl

if TYPE_CHECKING:
    from nightschool.engine.base.library import LoadedBase
    from nightschool.engine.base.provider import Provider, Session, States
    from nightschool.schemas.cards import BaseCard

NIGHTSCHOOL_HOOK_API = 1


class {Class}:
    """States of one base; `engine/base/provider.py` of Night School says what each method promises."""

    def __init__(self, base: LoadedBase) -> None:
        from nightschool.plugins.providers.local import LocalProvider

        self._inner = LocalProvider(base)

    @property
    def base(self) -> BaseCard:
        """What is served."""
        return self._inner.base

    async def states(self, batch: list[list[int]], cut: int) -> list[States]:
        """Return the states of whole sequences."""
        return await self._inner.states(batch, cut)

    def open(self, cut: int) -> Session:
        """Begin an empty session at a cut."""
        return self._inner.open(cut)


def open_provider(base: LoadedBase) -> Provider:
    """Return a provider of a base."""
    return {Class}(base)


@hookimpl
def nightschool_providers() -> list[ProviderKind]:
    """Supply the kind of provider."""
    return [ProviderKind(name="{name}", open=open_provider)]
''',
}
"""Modules by kind."""

_OWN = {
    "detector": """def test_it_finds_what_it_is_for() -> None:
    (item,) = items_of({module}, "detector")
    (finding,) = item.find("Hi", "Hello!!!", "Calm down, please.")
    assert "exclamation" in finding.rule
""",
    "rewriter": """def test_it_takes_exclamation_marks_away() -> None:
    (item,) = items_of({module}, "rewriter")
    assert item.apply({}, "Hello! Yes!") == "Hello. Yes."
    assert item.read(item.say({})) == [{}]
""",
    "trainer": """def test_it_says_how_many_steps_it_makes() -> None:
    from nightschool.testing import tiny_task

    (item,) = items_of({module}, "trainer")
    planned: list[int] = []
    item.train(tiny_task(), lambda point, steps: planned.append(steps))
    assert len(planned) == planned[-1]
""",
    "merge": """def test_it_says_what_it_does() -> None:
    (item,) = items_of({module}, "merge")
    assert item.about.endswith(".")
""",
    "gate": """def test_what_changes_nothing_passes() -> None:
    from nightschool.testing import tiny_candidate

    (item,) = items_of({module}, "gate")
    assert all(result.passed for result in item.judge(tiny_candidate()))
""",
    "router": """def test_it_keeps_two_means() -> None:
    import torch

    (item,) = items_of({module}, "router")
    assert item.fit(torch.ones(3, 2), torch.zeros(4, 2)).keys() == {"inside", "outside"}
""",
    "importer": """def test_it_reads_turns_and_conversations() -> None:
    import io

    (item,) = items_of({module}, "importer")
    first, second = item.read(io.BytesIO(b"#{name}\\nHi\\nHello.\\n\\nBye\\n"))
    assert [turn.text for turn in first.turns] == ["Hi", "Hello."]
    assert len(second.turns) == 1
""",
    "exporter": """def test_it_writes_a_line_for_each_turn() -> None:
    from nightschool.schemas.exchange import Transcript, TranscriptTurn
    from nightschool.schemas.records import Role

    (item,) = items_of({module}, "exporter")
    said = Transcript(title="One", turns=[TranscriptTurn(role=Role.USER, text="Hi\\nthere")])
    assert item.write(said) == "One\\tuser\\tHi there\\n"
""",
    "command": """def test_it_takes_no_arguments() -> None:
    from nightschool.schemas.errors import UsageError

    (item,) = items_of({module}, "command")
    with pytest.raises(UsageError):
        item.run(None, ["7"])
""",
    "provider": """def test_it_serves_the_base_that_it_was_given() -> None:
    from nightschool.testing import tiny_base

    (item,) = items_of({module}, "provider")
    assert item.open(tiny_base()).base == tiny_base().card
""",
}

TESTS = {kind: _TESTS + own for kind, own in _OWN.items()}
"""Test modules by kind."""
