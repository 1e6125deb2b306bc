"""What works on words must do: detectors, rewriters, importers, exporters, commands. Needs no model."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from ..engine.plug.items import COMMAND_NAME
from ..engine.study.draft import TEACHING
from ..schemas.exchange import Skipped, Transcript, TranscriptTurn
from ..schemas.records import Conversation, Lesson, Message, Role, Slot

TURNS = (
    ("", "", ""),
    ("", "", "Hi."),
    ("What is inflation?", "A rise in prices.", "Thanks! And deflation?"),
    ("What is inflation?", "A rise in prices.", "No, that's wrong. From now on, answer in one sentence."),
    ("Wie geht's?", "Gut!", "Bitte immer kürzer antworten."),
    ("¿Qué es?", "Nada.", "A partir de ahora responde en español."),
)
HOSTILE = ("\0\x1b[2J", "\u202egnp.exe", "é" * 3, "😀👩‍👩‍👧", "a" * 50_000, "((((" * 2_000, "!?" * 5_000, "\n" * 5_000)
REPLIES = (
    "Inflation is a rise in prices. Money buys less than before! Banks try to hold it.",
    "Sure! Here is a list:\n\n1. One\n2. Two\n\nIs there anything else?",
    "```python\nprint('Hi!')\n```",
    "42",
)


# -- detectors --------------------------------------------------------------------------------------------------------


def finds_nothing_where_nothing_was_said(item: Any) -> None:
    """An empty message teaches nothing."""
    assert item.find("What is inflation?", "A rise in prices.", "") == [], f"{item.name} finds something in nothing"


def finds_what_can_be_stored(item: Any) -> None:
    """A finding that teaches has a rule, and a confidence from 0 to 1."""
    for turn in TURNS:
        for finding in item.find(*turn):
            assert 0.0 <= finding.confidence <= 1.0, f"{item.name}: a confidence of {finding.confidence}"
            assert finding.rule.strip() or finding.kind not in TEACHING, f"{item.name}: a finding without a rule"


def finds_the_same_again(item: Any) -> None:
    """The same words teach the same, in whatever order they are read."""
    found = [item.find(*turn) for turn in TURNS]
    assert found == list(reversed([item.find(*turn) for turn in reversed(TURNS)])), f"{item.name} is not pure"


def reads_what_anybody_may_type(item: Any) -> None:
    """Text of any length and kind is read in time."""
    for text in HOSTILE:
        item.find(text, text, text)


# -- rewriters --------------------------------------------------------------------------------------------------------


def _known(item: Any) -> list[dict[str, Any]]:
    """Return arguments of a rewriter: those that it says examples of, or infers from replies."""
    given = list(getattr(item, "examples", []))
    pairs = [(one, other) for one in REPLIES for other in REPLIES if one != other]
    return [*given, *(args for one, other in pairs for args in item.infer(one, other)[:1])][:12]


def applied_it_holds_and_is_done(item: Any) -> None:
    """A reply that was rewritten follows the rule, and rewriting it again changes nothing."""
    for args in _known(item):
        for reply in REPLIES:
            once = item.apply(args, reply)
            assert item.apply(args, once) == once, f"{item.name} with {args} goes on changing {reply!r}"
            assert item.holds(args, once), f"{item.name} with {args} does not hold for what it made of {reply!r}"


def says_what_it_reads(item: Any) -> None:
    """What it says of itself is a sentence."""
    for args in _known(item):
        said = item.say(args)
        assert said.strip().endswith((".", "!", "”", '"')), f"{item.name} says {said!r}, which is no sentence"


def keeps_plain_arguments(item: Any) -> None:
    """Arguments are JSON, and come back from it as they were."""
    for args in _known(item):
        assert json.loads(json.dumps(args)) == args, f"{item.name}: {args} is not plain JSON"


def asks_for_the_opposite(item: Any) -> None:
    """Templates of the contrary have a place for the prompt."""
    for args in _known(item):
        for template in item.contrary(args):
            assert "{prompt}" in template, f"{item.name}: {template!r} has no place for the prompt"


def rewrites_what_anybody_may_type(item: Any) -> None:
    """Text of any length and kind is rewritten in time."""
    for text in HOSTILE:
        item.read(text[:2000])
        item.infer(text[:2000], text[:1000])


# -- importers and exporters ------------------------------------------------------------------------------------------


def recognises_no_strangers(item: Any) -> None:
    """An empty file and one of noise are of nobody."""
    for head in (b"", b"\0" * 100, b"\x89PNG\r\n", "é".encode("utf-16")):
        assert item.recognises(head) is False, f"{item.name} takes {head[:12]!r} for its own"


def reads_broken_files_without_breaking(item: Any) -> None:
    """What cannot be read is given as ``Skipped``, or is nothing."""
    for data in (b"", b"{", b"[" * 1000, b"\xff\xfe\0\0", b'{"a": [1, 2', b"\n" * 1000):
        for given in item.read(io.BytesIO(data)):
            assert isinstance(given, (Skipped, Transcript, Lesson, Slot))


def _transcripts() -> list[Transcript]:
    said = [TranscriptTurn(role=Role.USER, text=text[:3000], created=1.7e9) for text in (*HOSTILE, "Hi, you.")]
    reply = TranscriptTurn(role=Role.ASSISTANT, text="Hello.\n\n```\ncode\n```", original="Hi.", thumb=1)
    return [Transcript(title="One", slot="science", created=1.7e9, turns=[*said, reply]), Transcript()]


def writes_any_conversation(item: Any) -> None:
    """Every conversation, an empty one too, becomes a text that UTF-8 can hold; the same one the same."""
    for transcript in _transcripts():
        written = item.write(transcript)
        written.encode()
        assert item.write(transcript) == written, f"{item.name} writes one conversation in two ways"


# -- commands ---------------------------------------------------------------------------------------------------------


class Nothing:
    """A profile in which nothing was said yet; meets ``Context``."""

    slot = ""
    conversation: int | None = None

    def slots(self) -> list[Slot]:
        """Return nothing."""
        return []

    def conversations(self, slot: str | None = None) -> list[Conversation]:
        """Return nothing."""
        return []

    def messages(self, conversation: int | None) -> list[Message]:
        """Return nothing."""
        return []

    def lessons(self, slot: str | None = None) -> list[Lesson]:
        """Return nothing."""
        return []


def can_be_typed(item: Any) -> None:
    """Its name is small letters, digits and dashes."""
    assert COMMAND_NAME.fullmatch(item.name), f"{item.name!r} cannot be a command; take small letters and dashes"


def runs_in_an_empty_profile(item: Any) -> None:
    """Without conversations and arguments it says something, or refuses with an error of Night School."""
    from ..schemas.errors import NightSchoolError

    arguments: Sequence[str] = []
    try:
        item.run(Nothing(), arguments)
    except NightSchoolError as error:
        assert type(error).__name__ != "PluginError", str(error)


LOOKS: dict[str, list[Callable[[Any], None]]] = {
    "nightschool_detectors": [
        finds_nothing_where_nothing_was_said, finds_what_can_be_stored, finds_the_same_again,
        reads_what_anybody_may_type,
    ],
    "nightschool_rewriters": [
        applied_it_holds_and_is_done, says_what_it_reads, keeps_plain_arguments, asks_for_the_opposite,
        rewrites_what_anybody_may_type,
    ],
    "nightschool_importers": [recognises_no_strangers, reads_broken_files_without_breaking],
    "nightschool_exporters": [writes_any_conversation],
    "nightschool_commands": [can_be_typed, runs_in_an_empty_profile],
}  # fmt: skip
