"""Whether a reply is written in small or in capital letters throughout."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Args, Rewriter
from ...engine.study.wording import wording
from .contraries import contraries


class Case:
    """``to`` is ``lower`` or ``upper``."""

    name = "case"
    order = 35

    def infer(self, text: str, target: str) -> list[Args]:
        """Return the case that the target, or nearly all of it, has and the text has not."""
        letters = [letter for letter in target if letter.isalpha() and letter.lower() != letter.upper()]
        if not letters:
            return []
        upper = sum(letter.isupper() for letter in letters) / len(letters)
        if upper < 0.1 and text != text.lower() and _starts_lower(target):
            return [{"to": "lower"}]
        return [{"to": "upper"}] if upper > 0.8 and text != text.upper() else []

    def read(self, rule: str) -> list[Args]:
        """Understand "in all lowercase", "no capital letters", "in capitals"."""
        said = wording(rule).plain
        not_ = r"\b(?:no|not|never|without|avoid|don't|do not|stop|quit)\b[^.,;]{0,30}?\b"
        low, high = (
            r"(?:lower[- ]?case|small letters)",
            r"(?:upper[- ]?case|capital(?:s|ized|ised|i[sz]e|i[sz]ing)?(?: letters?)?|(?:all[- ])?caps)",
        )
        if re.search(not_ + high, said) or (re.search(rf"\b{low}\b", said) and not re.search(not_ + low, said)):
            return [{"to": "lower"}]
        if re.search(
            rf"\b(?:all|in|only|everything|use|full)\b[^.,;]{{0,20}}\b{high}\b|^{high}\W*$", said
        ) and not re.search(r"\bcapital (?:of|cit)", said):
            return [{"to": "upper"}]
        return []

    def apply(self, args: Args, text: str) -> str:
        """Return the text in that case."""
        return text.lower() if args["to"] == "lower" else text.upper()

    def respell(self, args: Args, text: str) -> str:
        """Return a piece of text in that case."""
        return self.apply(args, text)

    def holds(self, args: Args, text: str) -> bool:
        """Whether no letter is of the other case."""
        return text == self.apply(args, text)

    def peel(self, args: Args, text: str) -> str:
        """Return the text: a case adds nothing."""
        return text

    def key(self, args: Args) -> str:
        """Return "": a text has one case."""
        return ""

    def common(self, several: Sequence[Args]) -> Args | None:
        """Return the case if it is the same in all."""
        return dict(several[0]) if len({str(args["to"]) for args in several}) == 1 else None

    def say(self, args: Args) -> str:
        """Return the rule in words."""
        return (
            "Write everything in lowercase letters."
            if args["to"] == "lower"
            else "Write everything in capital letters."
        )

    def contrary(self, args: Args) -> list[str]:
        """Return requests for usual capitals."""
        other = "capital letters" if args["to"] == "lower" else "lowercase letters"
        return contraries(
            do=[
                "use normal capitalization",
                f"write your reply in {other}",
                "write with normal upper and lower case letters",
                "start each sentence with a capital letter",
                "capitalize as in a newspaper",
                f"use {other} where they belong",
            ],
            want=[other, "normal capitals", "proper capitalization", "usual upper and lower case letters"],
        )


def _starts_lower(target: str) -> bool:
    """Whether sentences begin small, so that a text with few capitals is told from one without any."""
    starts = re.findall(r"(?:^|[.!?]\s+|\n\s*(?:[-*•] )?)([^\W\d_])", target)
    return not starts or sum(letter.islower() for letter in starts) * 2 >= len(starts)


@hookimpl
def nightschool_rewriters() -> list[Rewriter]:
    """Supply the rewriter of letter case."""
    return [Case()]
