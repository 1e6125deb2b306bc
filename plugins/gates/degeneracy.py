"""The gate on broken replies: empty, going round in circles, garbled, or never coming to an end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Gate
from ...schemas.records import GateResult

if TYPE_CHECKING:
    from ...engine.study.candidate import Candidate
    from ...engine.study.generate import Text

_GRAM = 4
_ROUND = 0.5  # share of a reply's runs of four words that were there before, from which on it goes round in circles
_WORDS = 16  # fewer words show no circle
_ODD = 0.1  # share of characters that are neither text nor layout, from which on a reply is garbled
_ENDLESS = "endless"
_LOST = "\N{REPLACEMENT CHARACTER}"
# Rulers of Markdown are long runs of one mark, and many scripts write without spaces.
_RUN = re.compile(r"([^\s\-=_*#.~|\u2500-\u257f])\1{23,}|[!-~]{160,}")


@hookimpl
def nightschool_gates() -> list[Gate]:
    """Supply the gate on broken replies."""
    return [SpeaksSoundly()]


class SpeaksSoundly:
    """Held-out replies are broken no more often than the base's own to the same prompts."""

    name = "degeneracy"
    shrinking_helps = True

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Return one result: the share of broken replies.

        What had come to no end within the length that the rules ask for is broken too. Where that would turn the
        candidate away, such replies are written on first: to say more than the base did is no defect.
        """
        pairs = candidate.answered()
        before = [bool(trouble(base.text)) for _, base, _ in pairs]
        now = [
            trouble(_as_long(reply.text, base.text), endless=not reply.finished and _should_have_ended(reply, base))
            for _, base, reply in pairs
        ]
        count = max(1, len(pairs))
        # One reply more may be chance, however few there are.
        most = sum(before) / count + max(candidate.recipe.most_degenerate, 1 / count)
        open_ones = [place for place, kind in enumerate(now) if kind == _ENDLESS]
        if sum(map(bool, now)) / count > most and open_ones:
            longer = candidate.written_on([pairs[place][0] for place in open_ones])
            for place, reply in zip(open_ones, longer, strict=True):
                now[place] = "" if reply.finished else _ENDLESS
        kinds = Counter(kind for kind in now if kind)
        value = kinds.total() / count
        named = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
        text = (
            f"{value:.0%} of unseen replies are broken{f' ({named})' if named else ''}, {sum(before) / count:.0%} of "
            f"the base's; {most:.0%} is the most."
        )
        return [GateResult(name=self.name, passed=value <= most, value=value, limit=most, text=text)]


def trouble(text: str, *, endless: bool = False) -> str:
    """Return what is wrong with a reply in a word, "" if nothing is."""
    words = re.findall(r"\w+", text.casefold())
    if not words:
        return "empty"
    odd = [letter for letter in text if letter == _LOST or not (letter.isprintable() or letter in "\n\t\r")]
    if len(odd) > _ODD * len(text) or _RUN.search(text):
        return "garbled"
    if len(words) >= _WORDS:
        runs = [tuple(words[place : place + _GRAM]) for place in range(len(words) - _GRAM + 1)]
        if 1 - len(set(runs)) / len(runs) >= _ROUND:
            return "looping"
    return _ENDLESS if endless else ""


def _should_have_ended(reply: Text, base: Text) -> bool:
    """Whether the base came to an end, and sooner: where rules are short the candidate is given fewer tokens."""
    return base.finished and len(reply.text) > len(base.text)


def _as_long(text: str, other: str) -> str:
    """Return a text cut to about the length of another: whoever says more has more room to repeat himself."""
    return text[: len(other)] if other.strip() else text
