"""How long a reply is at most: so many sentences, words or paragraphs from its beginning."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Args, Rewriter
from ...engine.study.prose import (
    first_paragraphs,
    first_sentences,
    first_words,
    paragraphs,
    sentences,
    simple_sentences,
)
from ...engine.study.wording import NOT, NUMBER, number, wording
from .contraries import contraries

_AIM = 0.8
"""Share of a limit of words that a shortened reply aims at: a model that cannot count needs the margin."""
_MOST_WORDS = 300  # a limit beyond is none
_NAMES = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}


class Length:
    """``unit`` is sentences, words or paragraphs, ``n`` how many at most.

    Words with ``whole`` end with the last sentence that fits; without it, after exactly ``n`` words.
    """

    name = "length"
    order = 30

    def infer(self, text: str, target: str) -> list[Args]:
        """Return lengths that cut the text about where the target ends."""
        size, words = len(target), len(target.split())
        if size >= len(text) + 20 or not words:
            return []
        head = text[: 2 * size + 2000]
        found: list[Args] = []
        counts = {len(sentences(target)), len(simple_sentences(target))}
        for count in sorted(counts | {count - 1 for count in counts if count > 1}):
            if count <= 12 and len(first_sentences(head, count)) < len(text.rstrip()):
                found.append({"unit": "sentences", "n": count})
        parts = len(paragraphs(target))
        if len(paragraphs(head)) > parts:
            found.append({"unit": "paragraphs", "n": parts})
        whole = target.rstrip("\"'”’*_) ").endswith((".", "!", "?", "…")) and max(counts) <= 12
        if len(head.split()) > words >= 3 and words <= _MOST_WORDS and not whole:
            found.append({"unit": "words", "n": words, "whole": False})
        found.sort(key=lambda args: abs(len(self.apply(args, head)) - size))
        return found[:3]

    def read(self, rule: str) -> list[Args]:
        """Understand "in one sentence", "no more than 30 words", "under two sentences", "be brief"."""
        said = wording(rule).plain
        if re.search(
            rf"\b(?:at least|minimum(?: of)?|more than|longer than|over|or more)\b[^.]{{0,12}}\b{NUMBER}\b", said
        ) and not re.search(rf"\b{NOT}\b[^.;]{{0,40}}\b(?:more|longer) than\b|\b{NOT}\b[^.;]{{0,40}}\bover\b", said):
            return []
        if match := re.search(
            rf"\b({NUMBER})(?:\s*(?:-|–|to|or)\s*({NUMBER}))?[\s-]+(?:\w+\s+)?(sentence|word|paragraph|"
            rf"line)s?\b(?: or (two|three|less|fewer))?",
            said,
        ):
            count = number(match[2] or match[1])
            if match[4] in ("two", "three"):
                count = number(match[4])
            before = said[: match.start()]
            if re.search(r"\b(?:fewer|less|shorter) than\s*$|\b(?:under|below)\s*$", before):
                count -= 1
            if count >= 1 and not _names_a_thing(said, match):
                return [_args(match[3], count)]
        if re.search(r"\b(?:one|single)-(?:sentence|liner)s?\b|\bsingle sentence\b|\bone[- ]liners?\b", said):
            return [_args("sentence", 1)]
        if re.search(
            r"\b(?:too long|shorter|brief(?:ly)?|briefer|concise(?:ly)?|succinct|terse|short|(?:less|too|so) (?:wordy|"
            r"verbose|chatty)|so long|to the point)\b",
            said,
        ) and not re.search(
            r"\b(?:not|don't|never|stop being|isn't|less|too)\s+(?:so |be |being )?(?:brief|short|concise|terse|"
            r"succinct)\b|\bshort(?:er)? (?:stor|poem|film|video|term|circuit|question|greeting|summar|signature|"
            r"example|joke|quote|line|sentence|word|paragraph)",
            said,
        ):
            return [{"unit": "sentences", "n": 2, "guess": True}]
        return []

    def apply(self, args: Args, text: str) -> str:
        """Return the beginning of the text that is allowed."""
        count = int(args["n"])
        if args["unit"] == "sentences":
            return first_sentences(text.strip(), count)
        if args["unit"] == "paragraphs":
            return first_paragraphs(text.strip(), count)
        if not args.get("whole"):
            return first_words(text.strip(), count)
        return text.strip() if len(text.split()) <= count else _whole_within(text.strip(), round(count * _AIM))

    def holds(self, args: Args, text: str) -> bool:
        """Whether the reply is no longer than that."""
        count = int(args["n"])
        if args["unit"] == "sentences":
            return 0 < len(sentences(text)) <= count
        if args["unit"] == "paragraphs":
            return 0 < len(paragraphs(text)) <= count
        return 0 < len(text.split()) <= count

    def peel(self, args: Args, text: str) -> str:
        """Return the text: a length adds nothing."""
        return text

    def key(self, args: Args) -> str:
        """Return the unit: a limit of words and one of sentences can both hold."""
        return str(args["unit"])

    def common(self, several: Sequence[Args]) -> Args | None:
        """Return the longest of the lengths; words in whole sentences."""
        longest = max(several, key=lambda args: int(args["n"]))
        if int(longest["n"]) > 3 * min(int(args["n"]) for args in several):
            return None
        # One cut in mid-sentence shows how much was meant, not that sentences should stay unfinished.
        return {**longest, "whole": True} if longest["unit"] == "words" else dict(longest)

    def say(self, args: Args) -> str:
        """Return the rule in words."""
        count = int(args["n"])
        unit = str(args["unit"])
        if count == 1:
            return f"Answer in exactly one {unit[:-1]}."
        return f"Answer in at most {_NAMES.get(count, count)} {unit}."

    def contrary(self, args: Args) -> list[str]:
        """Return requests for a long reply."""
        count = int(args["n"])
        words = 4 * count if args["unit"] == "words" else 100
        sentences = max(4, 3 * count) if args["unit"] == "sentences" else 5
        return contraries(
            do=[
                f"use at least {words} words",
                "give a long, detailed answer",
                f"write at least {sentences} sentences",
                "explain it in detail",
                "write two full paragraphs",
                "take as much space as you need",
                f"write {_NAMES.get(sentences + 2, sentences + 2)} long sentences",
                "do not be brief",
                "tell me as much as you can",
            ],
            want=[
                f"at least {_NAMES.get(sentences + 1, sentences + 1)} sentences",
                "a long answer",
                f"no less than {words} words",
                "plenty of detail",
                "a thorough answer of several paragraphs",
            ],
            how=[
                f"in at least {_NAMES.get(sentences, sentences)} sentences",
                "in detail",
                f"in no fewer than {words} words",
                "at length",
                f"in {_NAMES.get(sentences + 2, sentences + 2)} or more full sentences",
                "in several paragraphs",
                "in a long answer",
            ],
        )


_PARTS = r"summar|title|head|intro|greeting|quote|joke|tagline|slogan|caption|label|opening|closing|name"
"""Parts of a reply, whose length is not the reply's."""


def _args(unit: str, count: int) -> Args:
    if unit == "word":
        return {"unit": "words", "n": count, "whole": True}
    return {"unit": "paragraphs" if unit == "paragraph" else "sentences", "n": count}


def _names_a_thing(said: str, match: re.Match[str]) -> bool:
    """Whether the number belongs to something else: "a word about", "the one word that", "an example sentence"."""
    before = said[: match.start()]
    if re.match(rf"[\s-]+(?:{_PARTS})", said[match.end(3) :]):
        return True
    if match[1] in ("a", "an"):
        whole = r"\b(?:in|to|only|just|into|(?:answer|reply|respond)(?: only| just)? (?:with|using))\s*$"
        return not re.search(whole, before)
    if re.match(
        r"s? (?:a|an|per|each|on|for each|for every) (?:\w+ )?(?:point|line|bullet|number|item)", said[match.end(3) :]
    ):
        return True
    if (
        match[3] == "word"
        and number(match[1]) == 1
        and re.search(r"\b(?:use|say|using|saying|the)\s*(?:the )?$", before)
    ):
        return True
    return bool(re.search(r"\b(?:start|begin|open|end|finish|close)\b[^.,;]{0,20} with\s*(?:the |a )?$", before))


def _whole_within(text: str, count: int) -> str:
    """Return the whole sentences that fit, or where the first is too long, its beginning up to a comma or ``count``."""
    if len(text.split()) <= count:
        return text
    number_fit = 0
    for number_fit in range(1, count + 1):
        if len(first_sentences(text, number_fit).split()) > count:
            break
    kept = first_sentences(text, number_fit - 1) if number_fit > 1 else ""
    if kept:
        return kept
    cut = first_words(text, count)
    clause = max((m.start() for m in re.finditer(r"[,;:]\s", cut)), default=-1)
    cut = cut[:clause] if len(cut[: max(clause, 0)].split()) * 2 >= count else cut
    return cut.rstrip(" ,;:") + ("" if cut.endswith((".", "!", "?")) else ".")


@hookimpl
def nightschool_rewriters() -> list[Rewriter]:
    """Supply the rewriter of lengths."""
    return [Length()]
