"""How much one text says again of another: content words without endings, and whether a request is made again."""

from __future__ import annotations

import re

from .turn import Turn

_AGAIN = re.compile(
    r"^(?:\W|no|nope|sorry|ok|okay|lol|hm++|well|but)*(?:let me (?:re-?phrase|put (?:it|this|that)|try (?:again|"
    r"that)|ask (?:it|that|this|again|"
    r"differently)|clarify|explain what|be (?:more )?(?:specific|clear))|(?:to|let me) (?:re-?phrase|clarify)\b|in "
    r"other words\b|"
    r"what i(?:'m| am| was)? (?:asking|meant|mean|trying|want|wanted|really)\b|my (?:question|request) (?:was|is)\b|"
    r"i(?:'m| am| was) (?:asking|talking) (?:about|for|how|what|why|if|whether)\b|i(?:'ll| will) (?:re-?phrase|ask "
    r"again)|"
    r"(?:again|once more) ?[,:]|i repeat\b|anders gefragt|je reformule|me explico)"
)
_GO_ON = re.compile(r"^(?:please )?(?:continue|go on|keep going|more|next|carry on)\b")
_ANOTHER = frozenset({"another", "new", "additional", "next", "other", "further"})
_MEAN = re.compile(r"\bi mean\b")
_TALK = re.compile(r"\bi(?:'m| am) (?:talking|asking) about\b")
_OPENING_WORDS = 2
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_FUNCTION_WORDS = (
    "a an the and or but if then of in on at to for from with by as is are was were be been do does did have has "
    "had can could will would should may might must i me my we our you your he she it its they them their this that "
    "these those what which who whom how why when where there here some any all more most please just so not no yes "
    "ok okay about into than too very also only up out again am i'm it's that's what's give tell want like need get "
    "make let know said say mean meant question asking put another way "
)
_FUNCTION = frozenset(_FUNCTION_WORDS.split())
_ENDINGS = ("ings", "ing", "ies", "ied", "es", "ed", "ly", "s", "y", "e")


def content_words(text: str) -> frozenset[str]:
    """Return the stems of the words that carry the matter of a text."""
    return frozenset(map(_stem, ordered_words(text)))


def ordered_words(text: str) -> list[str]:
    """Return the content words of a text in order, lower case."""
    words = (match.group().lower().replace("’", "'") for match in _WORD.finditer(text))
    return [word for word in words if word not in _FUNCTION]


def restates(turn: Turn) -> bool:
    """Whether a message asks the same as the prompt: it says so, repeats it, or narrows it by a few words."""
    if not turn.sentences:
        return False
    first = turn.sentences[0].plain
    if _AGAIN.match(first) and not (turn.asked and _TALK.search(first)):
        return True
    if _GO_ON.match(first):
        return False
    whole = " ".join(sentence.text for sentence in turn.sentences)
    if _plain(whole) == _plain(turn.prompt) and len(_plain(whole).split()) >= 3:
        return True
    if turn.pasted or turn.asked or len(whole) > 400:
        return False
    return any(_narrows(turn.prompt, sentence.text) for sentence in turn.sentences[:3])


def _narrows(prompt: str, sentence: str) -> bool:
    """Whether a sentence holds all that the prompt asks, in the same frame, and a little more."""
    before, now = content_words(prompt), content_words(sentence)
    if not before or not before <= now or len(_plain(prompt).split()) < 3:
        return False
    added = now - before
    if added & _ANOTHER or (len(before) < 2 and not _MEAN.search(sentence.lower()) and len(_plain(prompt).split()) < 4):
        return False
    same_start = _frame(prompt) == _frame(sentence)
    if not added:
        return same_start or len(before) >= 3
    return (same_start or bool(_MEAN.search(sentence.lower()))) and len(added) <= max(4, 2 * len(before))


def _frame(text: str) -> tuple[str, ...]:
    """Return how a request begins, without what leads up to it."""
    plain = re.sub(r"^(?:please|pls|can you|could you|no|lol|i mean|ok|so|again)\b[\s,.:!]*", "", _plain(text))
    plain = re.sub(r"^(?:please|can you|could you|no|i mean|i need)\b ?", "", plain)
    return tuple(plain.split()[:_OPENING_WORDS])


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[\w']+", text.lower().replace("’", "'").replace("what's", "what is")))


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
