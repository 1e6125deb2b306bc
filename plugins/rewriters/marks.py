"""Which marks a reply does without: emoji, exclamation marks, bold, headings, brackets, dashes, digits."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Args, Rewriter
from ...engine.study.prose import without_marker
from ...engine.study.wording import NOT, wording
from .contraries import contraries

_EMOJI = (
    r"(?:[\U0001F000-\U0001FAFF\u2600-\u27BF\u2B50\u2B55\u231A-\u23FF\u2190-\u21FF\u200D\uFE0F\U0001F1E6-\U0001F1FF]"
    r"|\u00A9|\u00AE)+"
)


@dataclass(frozen=True)
class _Mark:
    """One class of marks: how it is found, what takes its place, its name in rules, and in our sentences."""

    find: re.Pattern[str]
    put: str | Callable[[re.Match[str]], str]
    named: str
    said: str
    more: str = ""

    def wanted(self) -> str:
        """Return what a contrary request asks for."""
        return self.more or self.said


def _mark(find: str, put: str | Callable[[re.Match[str]], str], named: str, said: str, more: str = "") -> _Mark:
    return _Mark(re.compile(find, re.IGNORECASE | re.MULTILINE), put, named, said, more)


_EXPANDED = {
    "can't": "cannot", "won't": "will not", "shan't": "shall not", "let's": "let us", "ain't": "is not",
    "n't": " not", "'m": " am", "'re": " are", "'ve": " have", "'ll": " will", "'d": " would", "'s": " is",
}  # fmt: skip


def _expanded(match: re.Match[str]) -> str:
    """Return a contraction in full, with its capital."""
    word = match.group().replace("’", "'")
    for short, full in _EXPANDED.items():
        if word.lower() == short:
            return word[0] + full[1:]
        if short[0] in "n'" and word.lower().endswith(short):
            return word[: -len(short)] + full
    return word


_MARKS: dict[str, _Mark] = {
    "emoji": _mark(rf"[ \t]*{_EMOJI}", "", r"emojis?|emoticons?|smileys?", "emoji"),
    "exclamation": _mark(r"!+", ".", r"exclamation (?:marks?|points?)|exclamations|!", "exclamation marks"),
    "bold": _mark(
        r"\*\*(?=\S)|(?<=\S)\*\*|__(?=\w)|(?<=\w)__", "", r"bold(?:face|ing)?(?: text)?|asterisks?", "bold text"
    ),
    "heading": _mark(r"^[ \t]*#{1,6}[ \t]+", "", r"head(?:ing|er|line)s?|titles?", "headings"),
    "brackets": _mark(
        r"[ \t]*\([^()\n]*\)",
        "",
        r"parenthes[ei]s|brackets|parentheticals?",
        "text in brackets",
        "remarks in parentheses",
    ),
    "dash": _mark(r"\s*—\s*|\s+–\s+", ", ", r"(?:em[- ]?|en[- ]?)?dash(?:es)?", "dashes"),
    "semicolon": _mark(r";", ",", r"semi-?colons?", "semicolons"),
    "comma": _mark(r",", "", r"commas?", "commas"),
    "quotes": _mark(r"[\"“”]", "", r"quotation marks?|quote marks?", "quotation marks"),
    "digits": _mark(r"\d+", "", r"digits|numerals", "digits"),
    "code": _mark(r"`+", "", r"backticks?", "backticks"),
    "contraction": _mark(
        r"\b(?:\w+n['’]t|\w+['’](?:m|re|ve|ll|d)|(?:it|that|there|here|what|who|where|how|he|she|let)['’]s)\b",
        _expanded,
        r"contractions?|contracted forms",
        "contractions",
        "contractions such as don't and it's",
    ),
}
_MARKDOWN = ("bold", "heading", "code")


class Marks:
    """``without`` names the class of marks that is taken out; ``to`` is what takes their place."""

    name = "marks"
    order = 10

    def infer(self, text: str, target: str) -> list[Args]:
        """Return the classes that the text has and the target has not."""
        head = text[: 4 * len(target) + 2000]
        found: list[Args] = []
        for name, mark in _MARKS.items():
            # The numbers of a list are its layout.
            before = "\n".join(map(without_marker, head.splitlines())) if name == "digits" else head
            if mark.find.search(before) and not mark.find.search(target):
                found.append({"without": name})
                if name in ("exclamation", "dash", "semicolon"):
                    found += [{"without": name, "to": to} for to in _others(name)]
        return found

    def read(self, rule: str) -> list[Args]:
        """Understand "no emojis", "stop using exclamation marks", "without markdown"."""
        said = wording(rule).plain
        reach = rf"\b{NOT}\b[^.;]{{0,40}}?"
        if re.search(rf"{reach}\bmarkdown\b|\bplain text\b", said):
            return [{"without": name} for name in _MARKDOWN]
        return [
            {"without": name}
            for name, mark in _MARKS.items()
            if re.search(rf"{reach}(?<!\w)(?:{mark.named})(?!\w)|^(?:{mark.named}) are (?:banned|forbidden)\b", said)
        ]

    def apply(self, args: Args, text: str) -> str:
        """Return the text without the marks."""
        mark = _MARKS[str(args["without"])]
        return mark.find.sub(str(args["to"]) if "to" in args else mark.put, text).strip()

    def holds(self, args: Args, text: str) -> bool:
        """Whether the reply has none."""
        return not _MARKS[str(args["without"])].find.search(text)

    def peel(self, args: Args, text: str) -> str:
        """Return the text: nothing was added."""
        return text

    def key(self, args: Args) -> str:
        """Return the class of marks."""
        return str(args["without"])

    def common(self, several: Sequence[Args]) -> Args | None:
        """Return the first: the class is the same in all."""
        return dict(several[0])

    def say(self, args: Args) -> str:
        """Return the rule in words."""
        return f"Use no {_MARKS[str(args['without'])].said}."

    def contrary(self, args: Args) -> list[str]:
        """Return requests for the marks."""
        more = _MARKS[str(args["without"])].wanted()
        return contraries(
            do=[f"use {more}", f"include {more}", f"put {more} in your reply", f"write with {more}"], want=[more]
        )


def _others(name: str) -> list[str]:
    return {"exclamation": [""], "dash": [" - ", " ", "-"], "semicolon": [".", ""]}[name]


@hookimpl
def nightschool_rewriters() -> list[Rewriter]:
    """Supply the rewriter of marks."""
    return [Marks()]
