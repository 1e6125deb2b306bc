"""A turn as detectors read it: the user's own sentences, without code, quotations and texts to work on.

Whatever the length of a message, only its first ``LONGEST`` characters are read, and all patterns run on single
sentences of at most ``LONGEST_SENTENCE``: reading takes milliseconds, whatever is pasted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from .prose import sentences
from .wording import wording

LONGEST = 2000
LONGEST_SENTENCE = 300
OWN_WORDS = 600
"""Characters of a message that may speak to the assistant; a longer one is mostly a text to work on."""
MOST_SENTENCES = 12

PREAMBLE = re.compile(
    r"^(?:(?:(?:no|nope|nah|wrong)(?= ?[,.:;!–—-])|hey|hi|hello|ok|okay|well|actually|and|but|so|also|again|btw|by "
    r"the way|"
    r"look|listen|sorry|thanks|thank you|thx|ty|great|good|nice|right|yes|yeah|yep|wait|hm++|uh++|um++|oh|ah|lol|"
    r"haha|fine|cool|"
    r"perfect|one more thing|now|please note|note|assistant|bot|dude|man|bro)\b[\s,.:;!–—-]{0,9}+)+"
)
"""What only leads up to the point."""

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_SCENE = re.compile(r"\bwrite (?:that|this|the|another) (?:scene|chapter)\b", re.IGNORECASE)
_SHORT = 8
_BREAK = re.compile(r":(?=\s)|\n[ \t]*\n")
_NARRATION = re.compile(r"\*[^*\n]{3,200}\*")
_WORK_ON = re.compile(
    r"\b(?:translate|proofread|summari[sz]e|paraphrase|rewrite|rephrase|reword|shorten|simplify|review|improve|"
    r"analy[sz]e|"
    r"polish|grade|classify|extract|following|below|here is|here's|here are|übersetze|traduis|traduce|korrigiere|"
    r"corrige)\b"
)
_WORK_ON_INLINE = re.compile(
    r"\b(?:correct|fix|check|edit|explain|convert|continue|complete|format|this|these|text|policy|rules|guidelines?|"
    r"prompt|"
    r"instructions|draft|says|reads|said|wrote|terms|statement|question|sentence|paragraph|code)\b"
)
_TASK = re.compile(
    r"^(?:please |pls |can you |could you |would you |i want you to |i need you to |help me )*"
    r"(?:write|compose|draft|create|invent|generate|translate|proofread|"
    r"summari[sz]e|tell me|explain|describe|continue|imagine|pretend|finish|complete|list|give me|suggest|make (?:a|"
    r"an|me)\b|"
    r"show me|give \d|give (?:two|three|four|five|ten)|name|find|fix|solve|calculate|design|build|develop|plan|"
    r"compare|teach|review|act as|prove|implement|"
    r"schreib\w*|übersetz\w*|erkläre?|écris|traduis|explique|escribe|traduce|explica)\b"
    r"(?! ⟨| (?:in|with|without|as|all|your|every|everything|each|only|concisely|briefly|formally|short|less|more|like|"
    r"to me|it|that|immer|toujours|siempre)\b)"
)
_ROLE_PLAY = re.compile(
    r"\b(?:act as|acting as|pretend (?:to|that|you)|role-?play|stay in character|imagine (?:you|that you)|"
    r"you are (?:a|an|going to be|now|the|my|(?-i:[A-Z]\w+))\b(?! (?:bit|little))|you're (?:a|an|going to be|"
    r"now)\b(?! (?:bit|little))|i want you to (?:act|be|play)|persona|"
    r"system prompt|take on the role|assume the role|as if you(?: were|'re)|respond as|reply as|behave as|play the "
    r"role|you will (?:be|act|play)|"
    r"in character)",
    re.IGNORECASE,
)
_WISH = re.compile(
    r"^(?:\W|ok|okay|please|and|so|hey|but)*(?:(?:can|could|would|will) (?:you|u)|(?:would|do) you mind|can we|could "
    r"we)\b"
)


@dataclass(frozen=True)
class Sentence:
    """One sentence of the user.

    Attributes:
        text: As written.
        plain: As patterns read it: lower case, straight apostrophes, quotations numbered (⟨0⟩).
        body: ``plain`` without what leads up to the point ("No, please ...").
        after_task: A request for some text stands before it, so that it may be about that text.
    """

    text: str
    plain: str
    body: str
    after_task: bool

    @property
    def question(self) -> bool:
        """Whether it asks something; "could you ...?" is a wish."""
        return self.plain.rstrip("\"')!. ").endswith("?") and not _WISH.match(self.plain)

    @property
    def wish(self) -> bool:
        """Whether it asks for something in the form of a question."""
        return bool(_WISH.match(self.plain))


@dataclass(frozen=True)
class Turn:
    """What was asked, answered and said next; ``sentences`` are the user's own words.

    Attributes:
        pasted: The message goes on with a text to work on, or is too long to be only about the reply.
        asked: The reply ends with a question, so that "No, ..." answers it.
        role_play: Somebody speaks or acts in a role here.
    """

    prompt: str
    reply: str
    said: str
    sentences: tuple[Sentence, ...]
    pasted: bool
    asked: bool
    role_play: bool

    @property
    def answered(self) -> bool:
        """Whether there is a reply that the words can be about."""
        return bool(self.reply.strip())

    @property
    def first(self) -> tuple[Sentence, ...]:
        """The sentences that speak of the reply, if any do: the first, and the second where the first is short."""
        short = bool(self.sentences) and len(self.sentences[0].plain.split()) <= _SHORT
        return tuple(s for s in self.sentences[: 2 if short else 1] if not s.after_task)

    @property
    def words(self) -> int:
        """Number of words that the user says himself."""
        return sum(len(sentence.plain.split()) for sentence in self.sentences)


@lru_cache(maxsize=4)
def read_turn(prompt: str, reply: str, said: str) -> Turn:
    """Return a turn taken apart; several detectors ask for the same one."""
    text = said[:LONGEST]
    text = _NARRATION.sub(" ", _QUOTED_LINE.sub(" ", _CODE.sub(" ", text)))
    cut, pasted = _own_part(text)
    return Turn(
        prompt=prompt[:LONGEST],
        reply=reply[:LONGEST],
        said=text,
        sentences=_sentences(cut),
        pasted=pasted or len(said) > OWN_WORDS,
        asked=bool(re.search(r"\?[\s\"'”’)*_]*(?:[^.!?\n]{0,80}[.!]?)?\s*$", reply[-300:])),
        role_play=bool(_ROLE_PLAY.search(text) or _SCENE.search(text)) or bool(_ROLE_PLAY.search(prompt[:OWN_WORDS])),
    )


def _own_part(text: str) -> tuple[str, bool]:
    """Return the part of a message that the user says himself, and whether a text to work on follows it."""
    for match in _BREAK.finditer(text):
        before, after = text[: match.start()], text[match.end() :].strip()
        lead = re.split(r"[.!?\n]", before)[-1].lower()
        inline = match.group().startswith(":")
        lead = lead if inline else before[-200:].lower()
        if len(after) >= 20 and (_WORK_ON.search(lead) or (inline and _WORK_ON_INLINE.search(lead))):
            return before + ".", True
    return text, False


def _sentences(text: str) -> tuple[Sentence, ...]:
    """Return the user's sentences; "No." or "Stop." alone belongs to the one after it."""
    parts: list[str] = []
    for part in sentences(text[:OWN_WORDS]):
        if parts and re.fullmatch(r"(?i)\W*(?:no|nope|nah|stop|please|ok|okay|wait|lol|hm+|sorry)\W*", parts[-1]):
            parts[-1] += " " + part
        else:
            parts.append(part)
    found: list[Sentence] = []
    task = False
    for part in parts[:MOST_SENTENCES]:
        text = part.strip()[:LONGEST_SENTENCE]
        plain = wording(text).plain
        body = PREAMBLE.sub("", plain)
        found.append(Sentence(text, plain, body, task))
        task = task or bool(_TASK.match(body)) or found[-1].question
    return tuple(found)


def is_task(sentence: Sentence) -> bool:
    """Whether it asks for a text of some kind ("Write a story ..."), whose content then follows."""
    return bool(_TASK.match(sentence.body))
