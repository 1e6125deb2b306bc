"""The hooks: what a plugin can supply (DESIGN 3.5). Built-ins and third parties use the same ones.

A plugin is any module or object with functions marked ``@hookimpl``. No hook takes arguments; each returns a list, so
that one plugin can supply several items. The protocols that items must meet stand where the engine uses them, and
``engine/plug/items.py`` says how long each method may take and what happens where it fails. Hooks are called when their
items are first needed, in any process of Night School (engine, study, command line), so they only name items: what is
heavy (torch, transformers, a network) is imported and opened in an item's methods.

Arguments may be added to methods and hooks may be added without a new ``HOOK_API_VERSION``; none is taken away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pluggy

if TYPE_CHECKING:
    from ..base.supply import FinalKind, ProviderKind
    from ..exchange.contracts import Exporter, Importer
    from ..plug.contracts import Command
    from ..slots.merging import MergeStrategy
    from ..study.contracts import Detector, Gate, Rewriter, Router, Trainer

PROJECT = "nightschool"
HOOK_API_VERSION = 1
"""What a plugin says it was written for as ``NIGHTSCHOOL_HOOK_API``; one for another version is not loaded."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

T = TypeVar("T")


class Hooks:
    """Every hook with its signature; ``docs/plugins.md`` lists the same, and a test compares them."""

    @hookspec
    def nightschool_providers(self) -> list[ProviderKind | FinalKind]:
        """Supply kinds of providers: where the hidden states of a base come from.

        Since: hook API 1.

        Returns:
            Records with a ``name``, which ``config.toml`` uses, and functions that open one for a loaded base. A
            provider gives states as ``(tokens, width)`` fp32 rows, one a token, at a cut (``engine/base/provider.py``);
            a ``FinalKind`` gives only final ones, at cut 0.

        Raises:
            RemoteError: From the opened provider, where it cannot be reached or speaks otherwise than it should; the
                chat says so. Whatever else it raises is a fault of the plugin, as are states of another shape, a call
                of more than 600 s, and numbers that are not finite.

        Example::

            @hookimpl
            def nightschool_providers():
                return [FinalKind(name="mine", open=open_mine, examine=examine_mine)]
        """
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_detectors(self) -> list[Detector]:
        """Supply correction detectors: from a turn and the user's next words to findings.

        Since: hook API 1.

        Returns:
            Items with ``find(prompt, reply, said) -> list[Finding]``: three texts as they were typed (the first two
            empty at the first turn), and what the last teaches about the reply. Pure, without a model, in milliseconds;
            2 s are the end of it.

        Raises:
            Nothing: a detector that fails is left out of that message, which is answered all the same.

        Example::

            class Calm:
                name = "calm"

                def find(self, prompt, reply, said):
                    wanted = "calm down" in said.lower()
                    return [Finding(SignalKind.RULE, "Use no exclamation marks.", 0.9)] if wanted else []

            @hookimpl
            def nightschool_detectors():
                return [Calm()]
        """
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_rewriters(self) -> list[Rewriter]:
        """Supply rewriters: one kind of change to a reply, and the predicate that checks for it.

        Since: hook API 1.

        Returns:
            Items with ``infer``, ``read``, ``apply``, ``holds``, ``say`` and ``contrary`` (``peel``, ``key`` and
            ``common`` where they matter) over texts and plain JSON arguments; ``holds(args, apply(args, text))`` is
            true and ``apply`` twice is ``apply`` once. Lessons keep the arguments, so their form never changes. They
            are called thousands of times in a study: microseconds, 2 s are the end of it.

        Raises:
            Nothing: one that fails leaves a text as it is and says of no reply that it follows.

        Example::

            class Calm:
                name, order = "calm", 50

                def apply(self, args, text):
                    return text.replace("!", ".")

                def holds(self, args, text):
                    return "!" not in text
                ...
        """
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_trainers(self) -> list[Trainer]:
        """Supply trainers: from examples and cached states to an adapter.

        Since: hook API 1.

        Returns:
            Items with ``train(task, tell) -> Adapter``. ``task.examples`` have states ``(tokens, width)`` at the cut,
            target tokens, what the plain base expects (its rows there, nats of each target) and a weight;
            ``tell(point, steps)`` is called after each optimizer step. Without a word for 300 s, or with memory running
            out, the study's process is ended, the trainer turned off, and ``tail_lora`` learns the lessons instead.

        Raises:
            StudyError: If nothing usable came out, with the reason; the study fails with it, the slot stays as it is.

        Example::

            class Brief:
                name = "brief"

                def train(self, task, tell):
                    return run_passes(task, [replace(teaching(task), steps=20)], tell)
        """
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_routers(self) -> list[Router]:
        """Supply routers: from trunk states of a question to whether any lesson of a slot applies there.

        Since: hook API 1.

        Returns:
            Items with ``fit(inside, outside) -> dict[str, Tensor]`` over features ``(n, f)`` and ``(m, f)`` fp32, asked
            once in a study, and ``applies(fitted, features) -> bool`` over ``(f,)``, asked once a turn in a few ms.

        Raises:
            Nothing in ``applies``: one that fails lets the lessons apply. What ``fit`` raises fails the study.

        Example::

            @hookimpl
            def nightschool_routers():
                return [Nearest()]
        """
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_gates(self) -> list[Gate]:
        """Supply gates: measured yes-or-no conditions on a candidate; they are added to the built-in ones.

        Since: hook API 1.

        Returns:
            Items with ``shrinking_helps`` and ``judge(candidate) -> Sequence[GateResult]``; ``candidate`` measures
            anything at the scale it is at (``engine/study/candidate.py``), KL in nats a token, rates as 0 to 1. A
            result that names its ``lesson`` has the study go on without that one where it fails.

        Raises:
            Nothing: a gate that fails, takes more than 300 s or ends the study's process is left out, and the report
            says so; the built-in gates decide as ever.

        Example::

            class Steady:
                name, shrinking_helps = "steady", True

                def judge(self, candidate):
                    moved, _ = candidate.neutral()
                    return [GateResult(name="steady", passed=moved < 0.2, value=moved, limit=0.2, text="...")]
        """
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_importers(self) -> list[Importer]:
        """Supply importers: from the file of another chat to conversations.

        Since: hook API 1.

        Returns:
            Items with ``title``, ``recognises(head) -> bool`` over at most 65,536 bytes, and ``read(stream)``, which
            gives ``Transcript``, or ``Skipped`` with a reason, one at a time; 30 s for each are the end of it. Times
            are seconds since the epoch, UTC.

        Raises:
            Nothing: what cannot be read is given as ``Skipped``. One that fails ends the file there; what came before
            is kept.

        Example::

            class Lines:
                name, title = "lines", "One question a line"

                def recognises(self, head):
                    return head.startswith(b"#lines")

                def read(self, stream):
                    for line in stream:
                        yield Transcript(turns=[TranscriptTurn(role=Role.USER, text=line.decode())])
        """
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_exporters(self) -> list[Exporter]:
        r"""Supply exporters: from conversations to the file of another program.

        Since: hook API 1.

        Returns:
            Items with a ``name`` (``conversations export --format NAME``), ``about``, and ``write(transcript) -> str``,
            which is called once a conversation; ``begin() -> str`` and ``end() -> str`` go round them, where there are
            any. The file is UTF-8 and replaces an old one as a whole.

        Raises:
            Anything: the export fails with it, and no file is written.

        Example::

            class Csv:
                name, about = "csv", "A line for each turn, for spreadsheets."

                def write(self, transcript):
                    return "".join(f"{turn.role.value};{turn.text!r}\n" for turn in transcript.turns)
        """
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_merges(self) -> list[MergeStrategy]:
        """Supply merge strategies: from several adapters and their weights to one.

        Since: hook API 1.

        Returns:
            Items with ``about`` and ``merge(parts, options) -> Merged``. A part is an ``Adapter`` (factors ``down``
            ``(r, in)`` and ``up`` ``(out, r)`` of each projection) with its weight; ``Merged.error`` is relative, in
            the Frobenius norm. Deterministic; 300 s are the end of it.

        Raises:
            UsageError: If it cannot take so many parts, such weights or such options.
            BaseMismatch: If the adapters are not of one base.

        Example::

            class Mean:
                name, about = "mean", "The plain mean of the products."

                def merge(self, parts, options):
                    return merge_products(parts, options, lambda place, updates: ...)
        """
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_commands(self) -> list[Command]:
        """Supply commands: ``nightschool NAME`` and, with a ``title``, a line in the app's palette.

        Since: hook API 1.

        Returns:
            Items with a ``name`` of small letters, digits and dashes, ``about`` in a sentence, a ``title`` of a few
            words or none, and ``run(context, arguments) -> str``: a text for people, or JSON where ``--json`` is among
            the arguments. It runs in the engine, without the base, and reads what was said through ``context``;
            30 s are the end of it. A command of Night School of the same name goes first.

        Raises:
            UsageError: If the arguments are not those it takes; its sentence is shown, and the exit code is 2.

        Example::

            class Count:
                name, about, title = "count", "Count the words of a conversation.", "Count words"

                def run(self, context, arguments):
                    texts = (message.text for message in context.messages(context.conversation))
                    return str(sum(len(text.split()) for text in texts))
        """
        raise AssertionError("a specification is never called")
