"""How every reply ends: a fixed closing such as a signature or a question after the reply's own words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Args, Rewriter
from ...engine.study.prose import WORD, shared_start
from ...engine.study.wording import QUOTE, REPLY, SMILEY, Wording, named_emoji, wording
from .contraries import contraries

_LONGEST = 40  # words that a closing may have
_EMOJI = r"[\U0001F300-\U0001FAFF\u2600-\u27BF]"
FOLLOW_UP = "Would you like to know more?"


class Closing:
    """``text`` is put after the reply, with the white space that separates it."""

    name = "closing"
    order = 50

    def infer(self, text: str, target: str) -> list[Args]:
        """Return what the target has after the last words that are also the text's."""
        tail = target[-1600:]
        theirs = list(WORD.finditer(tail))
        words = [m.group().lower() for m in theirs]
        ours = list(WORD.finditer(text[: 2 * len(target) + 2000]))
        own = [m.group().lower() for m in ours]
        found: list[Args] = []
        for size in (5, 3, 1) if len(own) < 5 or len(words) < 12 else (5, 3):
            grams: dict[tuple[str, ...], int] = {}
            for index in range(len(own) - size + 1):
                grams[tuple(own[index : index + size])] = index + size - 1
            for end in range(len(words), max(size - 1, len(words) - _LONGEST - 1), -1):
                last = grams.get(tuple(words[end - size : end]))
                if last is None:
                    continue
                for closing in _after(
                    tail[theirs[end - 1].end() :], text[ours[last].end() : ours[last].end() + 20], tail != tail.lower()
                ):
                    args = {"text": closing}
                    if _worth_teaching(closing) and args not in found:
                        found.append(args)
                break
        return found[:3]

    def read(self, rule: str) -> list[Args]:
        """Understand "end every reply with ...", "sign off as ...", "always ask a follow-up question"."""
        said = wording(rule)
        if re.search(
            r"\b(?:don't|do not|never|stop|avoid|no longer|without)\b(?:(?!\band\b)[^.⟨,;]){0,40}\b(?:end|ending|"
            r"sign|signing|"
            r"finish|finishing|close|closing|asking|ask|add|adding)\b",
            said.plain,
        ):
            return []
        line = bool(re.search(r"\blines?\b|\bsignature\b|\bp\.?s\.?\b", said.plain))
        for pattern in _QUOTED_FORMS:
            if match := re.search(pattern, said.plain):
                signed = bool(re.search(r"\bsign", said.plain[: match.end()]))
                return [_as_args(said.quote(match[1]), line, signed)]
        unquoted = _unquoted(said, line)
        return [] if unquoted is None else [unquoted]

    def apply(self, args: Args, text: str) -> str:
        """Put the closing after the text."""
        body = text.strip()
        return body if self.holds(args, body) else body + str(args["text"]).rstrip()

    def holds(self, args: Args, text: str) -> bool:
        """Whether the reply ends so."""
        return text.rstrip().endswith(str(args["text"]).strip())

    def peel(self, args: Args, text: str) -> str:
        """Return the reply without the closing."""
        return text.rstrip()[: -len(str(args["text"]).strip())].rstrip() if self.holds(args, text) else text

    def key(self, args: Args) -> str:
        """Return "": a reply ends in one way."""
        return ""

    def common(self, several: Sequence[Args]) -> Args | None:
        """Return the end that all closings have in common, from the start of a sentence or line."""
        texts = [str(args["text"]) for args in several]
        shared = shared_start([text[::-1] for text in texts])[::-1]
        if any(text != shared for text in texts):
            starts = [m.start() for m in re.finditer(r"\n+|(?<=[.!?])\s+", shared)]
            if not starts:
                return None
            shared = shared[starts[0] :]
        return {"text": shared} if _worth_teaching(shared) else None

    def say(self, args: Args) -> str:
        """Return the rule in words."""
        closing = str(args["text"])
        if "\n" in closing:
            return f"End every reply with the line {_quoted(closing.strip())}."
        if closing.strip().endswith("?"):
            return f"End every reply with the question {_quoted(closing.strip())}."
        return f"End every reply with {_quoted(closing.strip())}."

    def contrary(self, args: Args) -> list[str]:
        """Return requests for a reply without it."""
        closing = str(args["text"]).strip()
        if closing.endswith("?"):
            return contraries(
                do=[
                    "do not ask me anything back",
                    "do not end your reply with a question",
                    "stop after the answer",
                    "just answer, and ask nothing",
                    "do not ask whether I want more",
                    "end with a full stop",
                    "do not put a question after your answer",
                ],
                without=["question back", "question at the end", "follow-up question", "closing question"],
            )
        short = closing.strip(" -—–~*_.!\n") or closing
        return contraries(
            do=[
                "do not sign your reply",
                f"do not write '{short}' at the end",
                "stop after the answer",
                f"leave out '{short}'",
                f"do not end with '{short}'",
                "end with the answer itself",
                f"answer without saying '{short}'",
            ],
            without=["signature", "closing line", "sign-off", "closing words"],
        )


_END = (
    rf"\b(?:end|ending|ends|finish|finishing|close|closing|conclude|concluding|sign off|sign|signing off|wrap up)\b"
    rf"(?:\s+(?:off|up|all|every|each|any|your|the|my|of|single|{REPLY})\b)*"
)
_QUOTED_FORMS = (
    rf"{_END}[^.⟨]{{0,80}}?{QUOTE}",
    rf"\b(?:add|put|write|append|say|include|use|place) (?:the (?:words?|phrase|line|sentence|question) "
    rf")?{QUOTE}[^.⟨]{{0,40}}?\b(?:at the (?:very )?(?:end|bottom)|last|after|as (?:the|your) (?:last|"
    rf"final|signature|closing))",
    rf"\b(?:add|append|attach|put) (?:the (?:words?|phrase|line|sentence|question) )?{QUOTE}[^.⟨]{{0,20}}?\bto "
    rf"(?:the (?:very )?(?:end|bottom) of )?(?:every|each|all|any|your)\b",
    rf"\b(?:last|final|closing) (?:words?|line|sentence|thing)\b[^.⟨]{{0,60}}?{QUOTE}",
    rf"\bat the (?:very )?(?:end|bottom)\b[^.⟨]{{0,60}}?{QUOTE}",
    rf"\b(?:signature|sign-off)\b[^.⟨]{{0,40}}?{QUOTE}",
)
_QUESTION = (
    rf"{_END}\s+(?:with|by asking|in|on)\s+(?:me )?(?:a|an|one|some|your)?\s*(?:\w+[ -]){{0,2}}question"
    r"|\bask(?: me)?(?: back)? (?:a|an|one|some) (?:\w+[ -]){0,2}questions?\b[^.]*\b(?:end|last|finish|"
    r"after|afterwards|reply|replies|answers?|time|every)"
    r"|\b(?:always|every time|each time)\b[^.]{0,20}\bask(?: me)?(?: back)? (?:a|an|one|some)? ?(?:\w+[ "
    r"-]){0,2}questions?"
    r"|\bask(?: me)? (?:a |an )?follow-? ?up questions?"
)
_WHAT_I_THINK = rf"{_END}[^.]{{0,20}}\bask(?:ing)?(?: me)? (?:for my (?:opinion|view)|what i think)"
_AT_ITS_END = (
    rf"{_END}\s+(?:with|in|by saying)\s+the (?:words?|phrase|line)\s+(?!of\b|that\b)([\w][\w ,'-]{{1,60}}[.!?]?)$",
    rf"{_END}\s+(?:with|by saying)\s+(?!an?\b|the\b|your\b|one\b|some\b)([~—–-]{{0,2}} ?[\w][\w ,'-]{{0,60}}[.!?]?)$",
)


def _unquoted(said: Wording, line: bool) -> Args | None:
    """Return the closing of a rule that quotes none: a name, a question, an emoji, the words at its end."""
    if match := re.search(
        r"\bsign(?:ed)?\b(?: off)?(?:\s+(?:all|every|each|your|my|the|repl(?:y|ies)|answers?|messages?|"
        r"responses?))*\s+(?:as|with|by)\s+(?:the name |your name )?([\w][\w' -]{0,40}?)\s*(?:[.!]|$)",
        said.plain,
    ):
        return _as_args(said.raw[match.start(1) : match.end(1)], line, True)
    for pattern, text in (
        (rf"{_END}[^.]*\b(?:three dots|ellipsis)\b", "..."),
        (_WHAT_I_THINK, " What do you think?"),
        (_QUESTION, f" {FOLLOW_UP}"),
    ):
        if re.search(pattern, said.plain):
            return {"text": text}
    if match := re.search(rf"{_END}.*?({_EMOJI})", said.raw.lower()):
        return {"text": f" {match[1]}"}
    if re.search(
        rf"{_END}[^.]*\b(?:emoji|smiley)\b|\b(?:emoji|smiley)\b[^.]*\bat the (?:very )?(?:end|bottom)\b", said.plain
    ):
        emoji = named_emoji(said.plain)
        return {"text": f" {emoji}"} | ({"guess": True} if emoji == SMILEY else {})
    for pattern in _AT_ITS_END:
        if match := re.search(pattern, said.plain):
            return _as_args(said.raw[match.start(1) : match.end(1)], line, False)
    return None


def _as_args(closing: str, line: bool, signed: bool) -> Args:
    """Return arguments for a closing as a person quotes it: on a line of its own if it is a line or a signature."""
    body = closing.strip()
    if closing.startswith("\n") or body.startswith(("--", "—", "–", "- ", "~", "P.S", "PS")) or line:
        return {"text": f"\n{body}"}
    return {"text": f"\n-- {body}"} if signed else {"text": f" {body}"}


def _after(rest: str, ours: str, cased: bool) -> list[str]:
    """Return what may be the closing in ``rest``, which follows a shared word that ``ours`` follows in the text."""
    same = shared_start([re.split(r"\s", text, maxsplit=1)[0] for text in (rest, ours)])
    if re.match(r"[ \t]+[a-z]", rest) and cased:
        return []  # the sentence goes on: a rewording, not a closing
    closings = [rest[len(same) :]]
    marks = re.match(r"[.!?…:;,*_\"'”’)\]]+", rest)
    if marks and marks.group() != same and len(rest) > marks.end():
        closings.append(rest[marks.end() :])
    return closings


def _worth_teaching(closing: str) -> bool:
    body = closing.strip()
    return bool(re.search(rf"\w|{_EMOJI}|[^\s\w.!?…*]{{2}}", body)) or body in ('"', "”", "*", "**", "_", "...", "…")


def _quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


@hookimpl
def nightschool_rewriters() -> list[Rewriter]:
    """Supply the rewriter of closings."""
    return [Closing()]
