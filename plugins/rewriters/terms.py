"""Which words a reply uses: one term for another, or a word or phrase never."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Args, Rewriter
from ...engine.study.prose import WORD
from ...engine.study.wording import FILLER, QUOTE, wording
from .contraries import contraries

_AVOID = (
    r"\b(?:never|don't|do not|avoid|stop|quit|no longer|no more|enough (?:with|of)|without|refrain from|not|skip|drop|"
    r"leave out|omit|(?:hate|like|stand|dislike) (?:it )?(?:when|if) you)\b(?: ever)?"
    r"(?:\s+(?:to|want|need|allowed|permitted|again|please|ever|anymore))*\s*"
    r"(?:say|saying|use|using|write|writing|see|seeing|hear|hearing|read|reading|mention|mentioning|include|including|"
    r"start(?:ing)? (?:\w+ )*with|begin(?:ning)? (?:\w+ )*with|open(?:ing)? (?:\w+ )*with)?"
)
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")
_WINDOW = 4000  # characters that inference compares
_PLAINER = {
    "delve": "look", "delves": "looks", "delving": "looking", "utilize": "use", "utilise": "use", "utilizes": "uses",
    "leverage": "use", "leverages": "uses", "tapestry": "mix", "crucial": "important", "vital": "important",
    "furthermore": "also", "moreover": "also", "additionally": "also", "commence": "begin", "purchase": "buy",
    "numerous": "many", "assist": "help", "obtain": "get", "facilitate": "help", "demonstrate": "show",
    "however": "but", "therefore": "so", "thus": "so", "individuals": "people", "realm": "field", "vibrant": "lively",
    "embark": "start", "testament": "proof", "intricate": "complex", "foster": "support", "subsequently": "later",
}  # fmt: skip


class Terms:
    """``from`` is replaced by ``to``, whole words only, keeping capitals; an empty ``to`` removes it."""

    name = "terms"
    order = 20

    def infer(self, text: str, target: str) -> list[Args]:
        """Return the replaced and the removed words that explain most, recurring ones first."""
        spans, their_spans = (list(_TOKEN.finditer(part)) for part in (text[:_WINDOW], target[:_WINDOW]))
        ours, theirs = [span.group() for span in spans], [span.group() for span in their_spans]
        a, b = [t.lower() for t in ours], [t.lower() for t in theirs]
        pairs: Counter[tuple[str, str]] = Counter()
        lost: Counter[str] = Counter()
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
            gone = text[spans[i1].start() : spans[i2 - 1].end()] if i2 > i1 else ""
            if j2 == len(b) and tag == "replace":
                continue  # the end of a cut reply, where the two have nothing to do with each other
            if tag == "replace" and i2 - i1 == j2 - j1 <= 3:
                for i, j in zip(range(i1, i2), range(j1, j2), strict=True):
                    if _wordy(a[i]) and _wordy(b[j]):
                        named = i > 0 and ours[i - 1] not in ".!?:*-" and ours[i][:1].isupper()
                        pairs[(ours[i], theirs[j]) if named else _pair(a[i], b[j])] += 1
            if tag == "replace" and i2 - i1 <= 3 and j2 - j1 <= 4 and i2 - i1 != j2 - j1:
                new = target[their_spans[j1].start() : their_spans[j2 - 1].end()]
                pairs[_pair(gone, new)] += 1
            if tag == "delete" and i2 - i1 <= 25 and i2 == len(a) and FILLER.search(gone.lower()):
                lost[gone] += 1  # a set phrase at the end is dropped, not cut off
            elif tag == "delete" and i2 - i1 <= 12 and (i2 < len(a) or i1 == 0):
                for shift in (0, 1):  # the comma before or after may be the one that went
                    if i1 >= shift:
                        lost[text[spans[i1 - shift].start() : spans[i2 - shift - 1].end()]] += 1
        found: list[Args] = [
            {"from": old, "to": new}
            for (old, new), _ in pairs.most_common(6)
            if old.lower() != new.lower() and _wordy(old) and _wordy(new)
        ]
        found += [{"from": phrase, "to": ""} for phrase, _ in lost.most_common(3) if _wordy(phrase)]
        return found

    def read(self, rule: str) -> list[Args]:
        """Understand "say X instead of Y", "replace Y with X", "never use the word Y", "stop saying 'Y'"."""
        said = wording(rule)
        term = rf"(?:the (?:words?|term|phrase|spelling|expression) )?(?:{QUOTE}|([\w'-]+))"
        for pattern, old, new in (
            (
                rf"\b(?:say|use|write|call (?:it|them|that|this)|spell|prefer)\s+{term},?\s+(?:instead of|rather than|"
                rf"in place of|and not|not|over|(?:and )?never)\s+{term}",
                1,
                0,
            ),
            (rf"\binstead of\s+(?:saying |using |writing )?{term},?\s+(?:please )?(?:say|use|write)\s+{term}", 0, 1),
            (rf"\b(?:replace|substitute|swap|change|exchange)\s+{term}\s+(?:with|by|for|to)\s+{term}", 0, 1),
            (
                rf"\b(?:don't|do not|never|stop)\s+(?:say(?:ing)?|us(?:e|ing)|writ(?:e|ing))\s+{term}[,;.]\s*(?:but |"
                rf"please )?(?:say|use|write)\s+{term}",
                0,
                1,
            ),
        ):
            if match := re.search(pattern, said.plain):
                terms = [
                    said.quote(match[i]) if match[i] else said.raw[match.start(i + 1) : match.end(i + 1)]
                    for i in (1, 3)
                ]
                if not {t.lower() for t in terms} & _NOT_TERMS:
                    return [{"from": terms[old].strip(" ,."), "to": terms[new].strip(" ,.")}]
        if match := re.search(
            rf"{_AVOID}\s+(?:the )?(?:words?|terms?|phrases?|expressions?)?\s*"
            rf"((?:{QUOTE}(?:\s*(?:,|or|and|nor)\s*)*)+)",
            said.plain,
        ):
            return [{"from": _bare(said.quote(n)), "to": _plainer(said.quote(n))} for n in re.findall(QUOTE, match[1])]
        if match := re.search(
            rf"{QUOTE} (?:is|are) (?:now )?(?:banned|forbidden|not allowed|off[- ]limits)", said.plain
        ):
            return [{"from": _bare(said.quote(match[1])), "to": _plainer(said.quote(match[1]))}]
        if match := re.search(rf"{_AVOID}\s+the (?:word|term)s? ([\w'-]+)", said.plain):
            word = said.raw[match.start(1) : match.end(1)]
            return [{"from": word, "to": _plainer(word)}]
        return []

    def apply(self, args: Args, text: str) -> str:
        """Return the text with the term replaced, or removed with the space and comma it leaves."""
        old, new = str(args["from"]), str(args["to"])
        if new:
            return _pattern(old).sub(lambda match: _cased(new, match.group()), text)
        return _without(text, old)

    def holds(self, args: Args, text: str) -> bool:
        """Whether the term does not occur."""
        old, new = str(args["from"]), str(args["to"])
        if new and _pattern(old).search(new):
            text = re.sub(re.escape(new), " ", text, flags=re.IGNORECASE)
        return not _pattern(old).search(text)

    def peel(self, args: Args, text: str) -> str:
        """Return the text: what a replacement adds is the reply's own."""
        return text

    def exchanges(self, args: Args) -> list[tuple[str, str]]:
        """Return the one pair of words, where the old term is a single one."""
        old, new = str(args["from"]), str(args["to"])
        return [(old, new)] if re.fullmatch(r"\w+", old) else []

    def key(self, args: Args) -> str:
        """Return the term that goes: each has one replacement."""
        return str(args["from"]).lower()

    def common(self, several: Sequence[Args]) -> Args | None:
        """Return the replacement that is the most frequent."""
        counts = Counter(str(args["to"]) for args in several)
        return {"from": several[0]["from"], "to": counts.most_common(1)[0][0]}

    def say(self, args: Args) -> str:
        """Return the rule in words."""
        old, new = str(args["from"]), str(args["to"])
        return f'Say "{new}" instead of "{old}".' if new else f'Never say "{old}".'

    def contrary(self, args: Args) -> list[str]:
        """Return requests for the term itself."""
        old = str(args["from"]).strip(" ,.!")
        return contraries(
            do=[
                f"use the word '{old}' in your reply",
                f"use '{old}' at least once",
                f"be sure to say '{old}'",
                f"work '{old}' into your reply",
                f"include '{old}'",
                f"write a sentence that has '{old}' in it",
            ],
            want=[f"the word '{old}'", f"'{old}'", f"a sentence with '{old}'"],
        )


_NOT_TERMS = frozenset(
    [
        "a",
        "an",
        "the",
        "it",
        "that",
        "this",
        "bullet",
        "bullets",
        "points",
        "lists",
        "prose",
        "formal",
        "short",
        "simple",
        "long",
        "plain",
        "my",
        "your",
        "more",
        "less",
        "not",
        "emoji",
        "emojis",
        "markdown",
    ]
)


def _plainer(word: str) -> str:
    return _PLAINER.get(word.lower(), "")


def _bare(quote: str) -> str:
    return quote.strip()


def _wordy(text: str) -> bool:
    """Whether it has a word, and no figure: figures are facts."""
    return bool(WORD.search(text)) and not any(letter.isdigit() for letter in text)


def _pair(old: str, new: str) -> tuple[str, str]:
    return old.lower() if not old.isupper() else old, new


def _pattern(term: str) -> re.Pattern[str]:
    body = r"\s+".join(re.escape(part) for part in term.split())
    start = r"(?<!\w)" if term[:1].isalnum() else ""
    end = r"(?!\w)" if term[-1:].isalnum() else ""
    return re.compile(start + body + end, re.IGNORECASE)


def _cased(new: str, old: str) -> str:
    """Give the new term the capitals of the old one."""
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def _without(text: str, old: str) -> str:
    """Remove a term; what then begins a sentence gets its capital."""
    pieces: list[str] = []
    position = 0
    for match in _pattern(old).finditer(text):
        before = text[position : match.start()]
        end = match.end()
        starts = not "".join(pieces).rstrip() + before.rstrip() or bool(
            re.search(r"[.!?:\n]\s*$", before or "".join(pieces)[-3:])
        )
        gap = re.match(r"[,;:!]?[ \t]*" if starts else r"[ \t]*", text[end:])
        assert gap is not None
        if starts:
            end += gap.end()
        elif before.endswith((" ", "\n")) or not before:
            end += gap.end() if text[end + gap.end() : end + gap.end() + 1] not in ("",) else 0
        rest_mark = text[end : end + 1]
        if not starts and rest_mark and rest_mark in ",.;:!?":
            before = before.rstrip().rstrip(",")
        pieces.append(before)
        position = end
        if starts and text[match.start()].isupper() and text[end : end + 1].islower():
            pieces.append(text[end].upper())
            position = end + 1
    return "".join(pieces) + text[position:]


@hookimpl
def nightschool_rewriters() -> list[Rewriter]:
    """Supply the rewriter of terms."""
    return [Terms()]
