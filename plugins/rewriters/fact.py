"""A fact of the user: what is asked for is answered with it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Args, Rewriter
from ...engine.study.facts import FACT, Fact, rule_of, understand_fact


class TellsFact:
    """``text`` is the fact in the user's own words; it is answered in one sentence where it is asked for."""

    name = FACT
    order = 5

    def infer(self, text: str, target: str) -> list[Args]:
        """Return nothing: what an edit puts in the place of a reply may be anything."""
        return []

    def read(self, rule: str) -> list[Args]:
        """Understand a fact lesson in other words: "Know this of me: my name is Bea."."""
        match = re.match(r"\W*know this of me:\s+(.+)$", rule, re.IGNORECASE | re.DOTALL)
        text = match[1] if match else ""
        return [{"text": text}] if understand_fact(text) is not None else []

    def apply(self, args: Args, text: str) -> str:
        """Return the fact, unless the text tells it already."""
        return text if self.holds(args, text) else _fact(args).answer

    def holds(self, args: Args, text: str) -> bool:
        """Whether the words that are the fact stand in the text."""
        return re.search(rf"(?<!\w){re.escape(_fact(args).key)}(?!\w)", text, re.IGNORECASE) is not None

    def peel(self, args: Args, text: str) -> str:
        """Return the text: the fact is all of it."""
        return text

    def key(self, args: Args) -> str:
        """Return what the fact settles."""
        return _fact(args).about

    def common(self, several: Sequence[Args]) -> Args | None:
        """Return the last one: what is true now."""
        return dict(several[-1])

    def say(self, args: Args) -> str:
        """Return the rule in words."""
        return rule_of(str(args["text"]))

    def contrary(self, args: Args) -> list[str]:
        """Return nothing: nobody asks not to be told what is asked for."""
        return []


def _fact(args: Args) -> Fact:
    fact = understand_fact(str(args["text"]))
    if fact is None:
        raise ValueError(f"{args['text']!r} is no fact that can be asked for")
    return fact


@hookimpl
def nightschool_rewriters() -> list[Rewriter]:
    """Supply the rewriter that tells a fact."""
    return [TellsFact()]
