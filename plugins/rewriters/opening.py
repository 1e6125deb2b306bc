"""How every reply begins: a fixed opening such as "Captain, " before the reply's own words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Args, Rewriter
from ...engine.study.prose import ITEM, WORD, shared_start
from ...engine.study.wording import QUOTE, REPLY, SMILEY, Wording, named_emoji, wording
from .contraries import contraries

_LONGEST = 30  # words that an opening may have
_EMOJI = r"[\U0001F300-\U0001FAFF\u2600-\u27BF]"


class Opening:
    """``text`` is put before the reply; ``lower_first`` lowers the first letter that follows it."""

    name = "opening"
    order = 60

    def infer(self, text: str, target: str) -> list[Args]:
        """Return the words of the target before those that the text begins with."""
        ours, theirs = list(WORD.finditer(text[:600])), list(WORD.finditer(target[:1200]))
        if not ours or not theirs:
            return []
        found: list[Args] = []
        for skipped in range(min(12, len(ours))):
            place = _place(
                [m.group().lower() for m in ours[skipped : skipped + 6]], [m.group().lower() for m in theirs]
            )
            lead = _lead(text, ours[skipped].start())
            if place is None or (place == 0 and (skipped or lead == target[: theirs[0].start()])):
                continue
            opening = target[: theirs[place].start()]
            if lead and opening.endswith(lead):
                opening = opening[: -len(lead)]
            marker = ITEM.match(opening)
            if marker and "\n" not in opening:
                opening = opening[marker.end() :]
            elif re.search(r"\S\s+[-*•] $", opening) and not ITEM.match(text) and re.search(r"\n[-*•] ", target):
                opening = opening[:-2]  # put before a list: the marker belongs to its first item
            if skipped and not re.search(r"[^\w\s]\s*$|\n$", opening):
                continue  # the first words were changed, nothing was put before them
            if not _worth_teaching(opening) or " ".join(opening.split()) in " ".join(text[:600].split()):
                continue  # nothing, or words that were the text's own
            lowered = _lowered(opening, ours[skipped].group(), theirs[place].group())
            found.append({"text": opening, "lower_first": lowered})
            if len(found) == 2:
                break
        return found

    def read(self, rule: str) -> list[Args]:
        """Understand "start every reply with ...", "begin with the words ...", "call me ..."."""
        said = wording(rule)
        if re.search(
            r"\b(?:don't|do not|never|stop|avoid|without|no longer)\b(?:(?!\band\b)[^.⟨,;]){0,40}\b(?:start|begin|"
            r"open|call|"
            r"address|greet)",
            said.plain,
        ):
            return []
        for pattern in _QUOTED_FORMS:
            match = re.search(pattern, said.plain)
            if match:
                own_line = bool(re.search(r"\b(?:the|a|this) line\b|\bown line\b|separate line|new line", said.plain))
                return [_as_args(said.quote(match[1]), own_line)]
        unquoted = _unquoted(said)
        return [] if unquoted is None else [unquoted]

    def apply(self, args: Args, text: str) -> str:
        """Put the opening before the text; inside the first item where the text is a list."""
        opening = str(args["text"])
        body = text.strip()
        if self.holds(args, body):
            return body
        marker = ITEM.match(body)
        lead = marker.group() if marker and "\n" not in opening else ""
        rest = body[len(lead) :]
        return lead + opening + (_lower_first(rest) if args.get("lower_first") else rest)

    def holds(self, args: Args, text: str) -> bool:
        """Whether the reply begins so."""
        return _body(text).startswith(str(args["text"]).strip())

    def peel(self, args: Args, text: str) -> str:
        """Return the reply without the opening."""
        body, opening = text.strip(), str(args["text"])
        if not self.holds(args, body):
            return text
        marker = ITEM.match(body)
        lead = marker.group() if marker and not body.startswith(opening.strip()) else ""
        return lead + body[len(lead) + len(opening.strip()) :].lstrip()

    def key(self, args: Args) -> str:
        """Return "": a reply begins in one way."""
        return ""

    def common(self, several: Sequence[Args]) -> Args | None:
        """Return the opening that all have in common, up to the end of a word or of a mark."""
        shared = shared_start([str(args["text"]) for args in several])
        if any(len(str(args["text"])) != len(shared) for args in several):
            cut = max((m.end() for m in re.finditer(r"[,:;.!?]\s+|\n+", shared)), default=0)
            shared = shared[:cut]
        if not _worth_teaching(shared):
            return None
        longest = max(several, key=lambda args: len(str(args["text"])) == len(shared))
        return {"text": shared, "lower_first": bool(longest.get("lower_first")) and not _ends_sentence(shared)}

    def say(self, args: Args) -> str:
        """Return the rule in words."""
        opening = str(args["text"])
        if "\n" in opening:
            return f"Start every reply with the line {_quoted(opening.strip())}."
        return f"Start every reply with {_quoted(opening.rstrip())}."

    def contrary(self, args: Args) -> list[str]:
        """Return requests for a reply without it."""
        opening = str(args["text"]).strip()
        word = opening.strip(" ,.:;!?-") or opening
        short = word if len(word.split()) <= 4 else " ".join(word.split()[:3])
        do = [
            f"do not start with '{short}'",
            "start directly with the answer",
            f"do not say '{short}'",
            "get straight to the point",
            f"leave out '{short}'",
            "begin with the answer itself",
            "begin with another word",
            f"answer without saying '{short}'",
        ]
        without = ["introduction", "opening words", "preface"]
        last = short.split()[-1].lower()
        if last.isalpha() and len(word.split()) <= 3:
            without.insert(0, last)
        if len(word.split()) <= 3 and opening.endswith(","):
            do += [f"do not call me {word}", "do not call me by any title or name"]
            without.insert(1, "title")
        if re.match(r"(?i)(?:hello|hi|hey|dear|good (?:morning|evening|day)|greetings|welcome)\b", word):
            do += ["do not greet me", "do not use any name"]
            without.insert(1, "greeting")
        if re.match(r"(?i)for (?:example|instance)", word):
            do += ["do not give an example"]
            without = ["example", "examples", *without]
        return contraries(do=do, without=list(dict.fromkeys(without)))


_BEGIN = (
    rf"\b(?:start|begin|open|preface|prefix|precede|lead off|starting|beginning|opening|starts|begins|started)\b"
    rf"(?:\s+(?:off|out|all|every|each|any|your|the|my|of|single|{REPLY})\b)*"
)
_SAYING = (
    r"(?:(?:with|by|using|saying|writing|the|a|an|exact|exactly|words?|phrase|text|line|greeting|sentence|"
    r"title|letters|emoji|tag|prefix|this|always|simply)\b[\s:,]*)*"
)
_QUOTED_FORMS = (
    rf"{_BEGIN}[^.⟨]{{0,80}}?{QUOTE}",
    rf"\bgreet me (?:with|by saying|as) {QUOTE}",
    rf"\b(?:say|write|put|add|use|prepend|answer with|reply with) (?:the words? |the phrase "
    rf")?{QUOTE}\s+(?:first|before|at the "
    rf"(?:start|beginning|top)|in front)",
    rf"\b(?:first|opening) (?:words?|line|thing you say|thing)\b[^.⟨]{{0,60}}?{QUOTE}",
    rf"\bat the (?:start|beginning|top)\b[^.⟨]{{0,60}}?{QUOTE}",
)
_NAMED = (
    rf"\b(?:call|address|refer to) me (?:as |by )?(?:{QUOTE}|((?:the |a )?(?:(?:dr|mr|mrs|ms|prof|capt|sgt)\. )?"
    rf"[\w'-]+(?: [\w'-]+)?))(?=[.,!?]|"
    rf"$| in | at | when | every | from | always | instead| please| each )"
)
_UNQUOTED = (
    rf"{_BEGIN}\s+(?:with|by saying)\s+(?:the words? |the phrase |the line |the greeting )?([\w][\w "
    rf",'-]{{0,40}}[,:!]|[\w'-]+)[.!]?$"
)
_MARKS = {"comma": ",", "colon": ":", "exclamation mark": "!", "full stop": "."}
_WORD_AND_MARK = (
    rf"{_BEGIN}\s+with\s+(?:the word )?([\w'-]+),? (?:and|then|followed by|plus) an? ({'|'.join(_MARKS)})\b"
)
_NOT_NAMES = frozenset(
    [
        "when",
        "if",
        "back",
        "later",
        "it",
        "that",
        "this",
        "by",
        "at",
        "in",
        "a",
        "the",
        "names",
        "name",
        "anything",
        "stupid",
    ]
)


def _unquoted(said: Wording) -> Args | None:
    """Return the opening of a rule that quotes none: a title, the word at its end, an emoji, a greeting."""
    if match := re.search(_NAMED, said.plain):
        title = said.quote(match[1]) if match[1] else said.raw[match.start(2) : match.end(2)]
        title = title.strip(" ,.!")
        return {"text": f"{title}, ", "lower_first": True} if title.lower() not in _NOT_NAMES else None
    if match := re.search(_WORD_AND_MARK, said.plain):
        return _as_args(said.raw[match.start(1) : match.end(1)] + _MARKS[match[2]], False)
    if match := re.search(_UNQUOTED, said.plain):
        return _as_args(said.raw[match.start(1) : match.end(1)].strip(), False)
    if match := re.search(rf"{_BEGIN}.*?({_EMOJI})", said.raw.lower()):
        return {"text": f"{match[1]} ", "lower_first": False}
    if re.search(rf"{_BEGIN}\s+with\b[^.]*\b(?:emoji|smiley)\b", said.plain):
        emoji = named_emoji(said.plain)
        return {"text": f"{emoji} ", "lower_first": False} | ({"guess": True} if emoji == SMILEY else {})
    hello = re.search(rf"{_BEGIN}.*\bgreeting\b|^greet me\b|^say (?:hello|hi)\b", said.plain)
    return {"text": "Hello! ", "lower_first": False, "guess": True} if hello else None


def _as_args(opening: str, own_line: bool) -> Args:
    """Return arguments for an opening as a person quotes it, often without its last space or comma."""
    body = opening.strip()
    if own_line:
        return {"text": f"{body}\n", "lower_first": False}
    if opening.endswith((" ", "\n")):
        return {"text": opening, "lower_first": body.endswith(",")}
    if body[-1:].isalnum() and len(body.split()) <= 3 and re.fullmatch(r"[\w' -]+", body):
        return {"text": f"{body}, ", "lower_first": True}
    return {"text": f"{body} ", "lower_first": body.endswith(",") or body[-1:].isalnum()}


def _body(text: str) -> str:
    """Return the text without the marker of a first item."""
    body = text.strip()
    marker = ITEM.match(body)
    return body[marker.end() :] if marker else body


def _place(words: Sequence[str], theirs: Sequence[str]) -> int | None:
    """Return where in ``theirs`` the words begin, one in five changed at most."""
    allowed = len(words) // 4
    for place in range(min(_LONGEST + 1, len(theirs))):
        window = theirs[place : place + len(words)]
        same = sum(a == b for a, b in zip(words, window, strict=False))
        enough = same >= len(window) - allowed and (len(window) == len(words) or len(window) >= 3)
        if window and window[0] == words[0] and enough:
            return place
    return None


def _lead(text: str, start: int) -> str:
    """Return the marks directly before a word: an opening quote, ``**``."""
    match = re.search(r"[^\w\s]+$|[-#*]+ $", text[:start])
    return match.group() if match else ""


def _worth_teaching(opening: str) -> bool:
    return bool(re.search(rf"\w|{_EMOJI}|[^\s\w]{{2}}|[>→»\"“*_]", opening.strip()))


def _ends_sentence(opening: str) -> bool:
    return opening.rstrip(" \t").endswith((".", "!", "?", "\n", ":"))


def _lowered(opening: str, before: str, after: str) -> bool:
    """Whether the first letter was lowered; where it cannot be seen, whether the opening runs on."""
    if before[0].isupper() and after[0].islower():
        return True
    if before[0].isupper() and after[0].isupper() and not _keeps_capital(before, ""):
        return False
    return opening.rstrip().endswith(",")


def _lower_first(text: str) -> str:
    """Lower the first letter, but not of "I", "NASA" or of a name that the text also has inside a sentence."""
    match = WORD.search(text)
    if match is None or re.search(r"[\w]", text[: match.start()]) or _keeps_capital(match.group(), text[match.end() :]):
        return text
    start = match.start()
    return text[:start] + text[start].lower() + text[start + 1 :]


def _keeps_capital(word: str, rest: str) -> bool:
    if re.fullmatch(r"I(?:['’].*)?", word) or sum(letter.isupper() for letter in word) > 1:
        return True
    return len(word) > 2 and bool(re.search(rf"[a-z,] {re.escape(word)}\b", rest)) and word[0].isupper()


def _quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


@hookimpl
def nightschool_rewriters() -> list[Rewriter]:
    """Supply the rewriter of openings."""
    return [Opening()]
