"""Reading a rule in ordinary English: its quotations, its numbers, its condition. Knows no rewriter."""

from __future__ import annotations

import re
from dataclasses import dataclass

NUMBERS = {
    word: value
    for value, words in enumerate(
        [
            "zero",
            "one a an single",
            "two couple",
            "three few",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ]
    )
    for word in words.split()
} | {
    "fifteen": 15,
    "twenty": 20,
    "twenty-five": 25,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "eighty": 80,
    "hundred": 100,
}
NUMBER = r"(?:\d{1,4}|" + "|".join(sorted(NUMBERS, key=len, reverse=True)) + r")"
QUOTE = r"⟨(\d+)⟩"
REPLY = r"(?:repl(?:y|ies)|answers?|responses?|messages?|outputs?|explanations?|sentences?|texts?)"
NOT = (
    r"(?:no|not|never|without|avoid|don'?t|do not|stop|quit|skip|drop|leave out|omit|remove|lose|refrain from|ban|"
    r"do away with|get rid of|enough (?:with|of))"
)

QUOTED = re.compile(
    r"“([^”]+)”|\"([^\"]+)\"|‘((?:[^’]|(?<=\w)’(?=\w))+)’|(?<![\w'])'((?:[^'\n]|(?<=\w)'(?=\w))+)'(?!\w)|`([^`]+)`"
)
"""A quotation, with its marks."""


@dataclass(frozen=True)
class Wording:
    """A rule with its quotations taken out: ``plain`` has ⟨0⟩, ⟨1⟩ in their places, ``raw`` keeps its capitals."""

    plain: str
    raw: str
    quotes: tuple[str, ...]

    def quote(self, number: str) -> str:
        """Return the quotation that a match of ``QUOTE`` numbers."""
        return self.quotes[int(number)]


def wording(rule: str) -> Wording:
    """Return a rule in the form that patterns read: straight apostrophes, single spaces, quotations numbered."""
    quotes: list[str] = []

    def keep(match: re.Match[str]) -> str:
        quotes.append(next(group for group in match.groups() if group is not None))
        return f"⟨{len(quotes) - 1}⟩"

    raw = " ".join(QUOTED.sub(keep, rule).replace("’", "'").split())
    return Wording(raw.lower(), raw, tuple(quotes))


_EMOJI = {
    "thumbs up": "👍", "thumb up": "👍", "heart": "❤️", "rocket": "🚀", "fire": "🔥", "star": "⭐", "party": "🎉",
    "check": "✅", "tick": "✅", "wave": "👋", "waving": "👋", "wink": "😉", "laugh": "😂", "cat": "🐱",
    "dog": "🐶", "sun": "☀️", "brain": "🧠", "robot": "🤖", "owl": "🦉",
}  # fmt: skip
SMILEY = "🙂"


def named_emoji(plain: str) -> str:
    """Return the emoji that a rule names, a smiley if it names none that is known."""
    match = re.search(rf"\b({'|'.join(_EMOJI)})\w*(?: \w+)? ?emoji", plain)
    return _EMOJI[match[1]] if match else SMILEY


def number(word: str) -> int:
    """Return the value of a match of ``NUMBER``."""
    return int(word) if word.isdigit() else NUMBERS[word]


FILLER = re.compile(
    r"\b(?:certainly|sure|of course|absolutely|definitely|great question|good question|happy to help|glad "
    r"you asked|as an ai|language model|i hope|hope (?:this|that) helps|let me know|"
    r"feel free|here(?:'s| is| are)|no problem|thank you|thanks for|i'm sorry|sorry|i apologi[sz]e|in "
    r"conclusion|overall|in summary|however|moreover|furthermore|additionally|basically|actually|"
    r"really|very|just|literally|it(?:'s| is) (?:important|worth)|note that|welcome|hello|hi|hey|dear|well|okay|ok)\b"
)
"""Set phrases that any reply may have, whatever it is about."""

_CONDITION = re.compile(
    r"^(?P<when>(?:when(?:ever)?|if|in case|for|in|while|every time|each time|any time|anytime|as soon as|"
    r"on)\b[^,:;]*?)\s*(?:[,:;]|\bthen\b)\s*(?P<rest>.+)$",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION_AFTER = re.compile(
    r"^(?P<rest>.+?)\s*,?\s+(?P<when>(?:when(?:ever)?|if|every time|each time|any time)\s+(?:you|i|the|"
    r"someone|we|my|asked|explaining|answering|writing|talking)\b.+?)[.!]*$",
    re.IGNORECASE | re.DOTALL,
)
_ALWAYS = re.compile(
    r"^(?:(?:for|in|on|with)\s+(?:all|every|each|any|your|the)?\s*(?:of\s+)?(?:your|the|my)?\s*(?:future|"
    r"next|following|coming)?\s*"
    r"(?:repl(?:y|ies)|answers?|responses?|messages?|conversations?|chats?|turns?)(?: from now on)?|in "
    r"(?:the )?future|for (?:the )?future|from now on|from here on|"
    r"in this (?:chat|conversation)(?: and\b[^,]*)?|in general|"
    r"(?:every|each)(?: single)? time|"
    r"when(?:ever)? (?:you're )?(?:replying|answering|responding|writing)(?: to me| back)?|"
    r"(?:when|whenever|every time|each time|if) "
    r"(?:you|i|we) (?:reply|answer|respond|write|"
    r"talk|speak|ask|say something|chat)"
    r"(?: (?:to|with))?(?: (?:me|you|anything|something|a question|questions|my questions))?)$",
    re.IGNORECASE,
)
_LEADING = re.compile(
    r"^(?:(?:no|nope|stop|wrong)(?=\s*[,:;.!])|hey|hi|ok(?:ay)?|well|actually|and|but|so|also|please|"
    r"remember|note|again|look|listen|sorry|thanks|thank you|great|good|nice|"
    r"(?:don't|do not|never) (?:ever )?forget to|(?:from|as of) today(?: on)?|"
    r"it(?:'d| would) be (?:great|nice|good|better|lovely|helpful|perfect) if you(?: could| would)?|"
    r"from now on|from here on(?: out)?|in (?:the )?future|going forward|next time|as i said|like i said|"
    r"i (?:already )?(?:told|asked) you(?: to| that)?|remember(?: that| to)?|"
    r"(?:could|can|would|will) you|i(?:'d| would) (?:like|prefer|want) (?:it if )?you(?: to)?|i(?:'d| "
    r"would) (?:like|prefer) it if you|i want you to|i need you to|"
    r"you (?:should|must|need to|have to)|if (?:possible|you (?:can|could|don't mind|please|like|want))|"
    r"make sure (?:that )?(?:you|to)|be sure to|try to|let's)\b\s*[,:;.!-]*\s*",
    re.IGNORECASE,
)


_DISLIKED = re.compile(
    r"^i (?:really )?(?:hate|dislike|can't stand|don't like|do not like) it (?:when|if) you\b ?", re.I
)
_TRAILING = re.compile(
    r"(?<!\bwith)(?<!\bsay)(?<!\bsaying)(?<!\bword)(?<!\bwords)(?<!\bphrase)[\s,]+(?:from (?:now|here) on(?:wards)?"
    r"(?: out)?|please|always|(?:every|each)(?: single)? time|"
    r"in (?:the )?future|going forward|until further notice|at all times|any ?more|(?:ever )?again|ever)[\s.!]*$",
    re.IGNORECASE,
)


def split_condition(rule: str) -> tuple[str, str]:
    """Return a rule's condition ("" where it holds for every reply) and the rest, which says what to do.

    ``"When you explain a concept, begin with an example."`` gives ``("When you explain a concept", "begin with an
    example.")``. "In every reply" and its like are no conditions.
    """
    text = without_preamble(rule)
    masked, quotes = _masked(text)
    match = _CONDITION.match(masked) or _CONDITION_AFTER.match(masked)
    if match is None:
        return "", text
    when, rest = (_unmasked(match[name].strip(), quotes) for name in ("when", "rest"))
    if _ALWAYS.match(" ".join(when.split())):
        return "", without_preamble(rest)
    if re.match(r"(?:for|in|on)\b", when, re.IGNORECASE) and not re.search(
        r"(?i)\b(repl|answers?|responses?|question|topic|code|explan|email|poem|stor|recipe|list|conversation|"
        r"chat|message|case|request|math|translation|summar|text|letter|essay|review)",
        when,
    ):
        return "", text  # "For example, ..." and the like open no condition
    return when, without_preamble(rest)


def without_preamble(rule: str) -> str:
    """Return a rule without the words that only lead up to it: "No, please ", "from now on, ", or away from it."""
    text = _DISLIKED.sub("never ", rule.strip())
    while (shorter := _TRAILING.sub("", text, count=1)) and shorter != text:
        text = shorter
    while True:
        shorter = _LEADING.sub("", text, count=1)
        if shorter == text or not shorter:
            return text
        text = shorter


def _masked(text: str) -> tuple[str, list[str]]:
    quotes: list[str] = []

    def keep(match: re.Match[str]) -> str:
        quotes.append(match.group())
        return f"⟨{len(quotes) - 1}⟩"

    return QUOTED.sub(keep, text), quotes


def _unmasked(text: str, quotes: list[str]) -> str:
    return re.sub(QUOTE, lambda match: quotes[int(match[1])], text)
