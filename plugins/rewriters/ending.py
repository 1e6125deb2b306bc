"""How every sentence ends: another mark or a word in place of its full stop."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Args, Rewriter
from ...engine.study.prose import WORD, sentences, units
from ...engine.study.wording import QUOTE, wording
from .contraries import contraries


class Ending:
    """``text`` stands where a sentence had its full stop: "!", ", arr." or " 🙂"."""

    name = "ending"
    order = 15

    def infer(self, text: str, target: str) -> list[Args]:
        """Return what follows the last words of the text's sentences in the target, if it is the same everywhere."""
        found: Counter[str] = Counter()
        stops = 0
        tail_of_target = target
        for sentence in sentences(text[: 2 * len(target) + 500])[:12]:
            words = list(WORD.finditer(sentence))
            if not words or not _stops(sentence):
                continue
            stops += 1
            last = sentence[words[max(0, len(words) - 3)].start() : -1]
            place = tail_of_target.lower().find(last.lower())
            if place < 0:
                continue
            after = re.match(r"[^.!?\n]{0,30}?(?:[.!?]+|(?=\n|$|\s[A-Z]))", tail_of_target[place + len(last) :])
            if after and after.group() and after.group() != ".":
                found[after.group()] += 1
        if not found:
            return []
        (ending, count), *_ = found.most_common(1)
        return [{"text": ending}] if count >= 2 and count * 3 >= stops * 2 else []

    def read(self, rule: str) -> list[Args]:
        """Understand "end every sentence with 'arr'", "end each sentence with an exclamation mark"."""
        said = wording(rule)
        every = r"\b(?:end|finish|close)\b[^.⟨]{0,20}\b(?:every|each|all(?: your)?|your) sentences?\b[^.⟨]{0,30}?"
        if re.search(r"\b(?:don't|do not|never|stop|avoid)\b", said.plain):
            return []
        if match := re.search(rf"{every}{QUOTE}", said.plain):
            body = said.quote(match[1]).strip(" ,.")
            mark = not WORD.search(body)
            return [{"text": body if mark and body else f", {body}."}]
        return [{"text": "!"}] if re.search(rf"{every}exclamation", said.plain) else []

    def apply(self, args: Args, text: str) -> str:
        """Return the text with the ending in place of each sentence's full stop."""
        ending = str(args["text"])
        pieces: list[str] = []
        position = 0
        for unit in units(text):
            sentence = text[unit.start : unit.end]
            if unit.code or not _stops(sentence) or sentence.endswith(ending):
                continue
            pieces += [text[position : unit.start], sentence[:-1], ending]
            position = unit.end
        return "".join(pieces) + text[position:]

    def holds(self, args: Args, text: str) -> bool:
        """Whether no sentence ends with a bare full stop."""
        ending = str(args["text"])
        found = sentences(text)
        return any(s.endswith(ending) for s in found) and all(s.endswith(ending) or not _stops(s) for s in found)

    def peel(self, args: Args, text: str) -> str:
        """Return the text: the marks are the sentences' own."""
        return text

    def key(self, args: Args) -> str:
        """Return "": a sentence ends in one way."""
        return ""

    def common(self, several: Sequence[Args]) -> Args | None:
        """Return the ending if it is the same in all."""
        return dict(several[0]) if len({str(args["text"]) for args in several}) == 1 else None

    def say(self, args: Args) -> str:
        """Return the rule in words."""
        return f"End every sentence with '{str(args['text']).strip()}' instead of a full stop."

    def contrary(self, args: Args) -> list[str]:
        """Return requests for full stops."""
        short = str(args["text"]).strip(" ,.") or str(args["text"]).strip()
        return contraries(
            do=[
                "end your sentences with full stops",
                f"do not use '{short}' in this reply",
                f"do not end sentences with '{short}'",
                f"leave out '{short}'",
                "use plain full stops",
                f"answer without '{short}'",
            ]
        )


def _stops(sentence: str) -> bool:
    """Whether a sentence ends with a single full stop."""
    return bool(re.search(r"(?<![.\s])\.$", sentence))


@hookimpl
def nightschool_rewriters() -> list[Rewriter]:
    """Supply the rewriter of sentence endings."""
    return [Ending()]
