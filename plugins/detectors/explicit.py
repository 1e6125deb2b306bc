"""Corrections and rules that a user says outright: "No, ...", "from now on ...", "please always ...", "stop ...ing".

A sentence is judged alone. It counts only if it speaks to the assistant about its replies: a marker of duration
("from now on", "every reply", "never again") makes a rule; a wish about the reply before is a correction that is
proposed but not studied unasked; questions, quotations, code, tasks and talk about the world are left alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Detector, Finding
from ...engine.study.prose import sentences
from ...engine.study.wording import wording
from ...schemas.records import SignalKind

_LONGEST = 600  # characters of a message that may hold a rule; beyond, it is a text to work on
_RULE = SignalKind.RULE
_CORRECTION = SignalKind.CORRECTION

_REPLIES = r"(?:repl(?:y|ies)|answers?|responses?|messages?|explanations?|sentences? you write|outputs?)"
_MANNER = (
    r"(?:start|begin|open|end|finish|close|conclude|sign|answer|reply|respond|write|use|say|call|address|"
    r"refer|greet|keep|give|add|put|include|mention|make|be|"
    r"speak|talk|format|explain|limit|avoid|stop|skip|omit|leave|drop|replace|spell|capitali[sz]e|number|"
    r"list|ask|apologi[sz]e|repeat|quote|cite|translate|"
    r"provide|show|tell|remember|summari[sz]e|offer|prefix|append|state|define|number)"
)
_FORM = (
    r"(?:repl(?:y|ies)|answers?|answering|responses?|respond(?:ing)?|messages?|explanations?|"
    r"explain(?:ing)?|sentences?|words?|paragraphs?|bullets?|bullet points?|lists?|emojis?|emoticons?|"
    r"exclamation|lower ?case|upper ?case|capitals?|caps|markdown|bold|headings?|headers|signature|"
    r"greetings?|introductions?|intro|preamble|disclaimers?|jargon|apologi[sz]\w*|"
    r"examples?|analog(?:y|ies)|metric|units|celsius|brief|briefly|short|shorter|concise|concisely|long|"
    r"longer|formal|informal|formally|simple|simply|polite|politely|tone|style|prose|"
    r"dash(?:es)?|semicolons?|parenthes[ei]s|quotes|lines?|code|comments|question|questions|summary|"
    r"rhymes?|slang|british|american|spelling|pirate|"
    r"call(?:ing)? me|address(?:ing)? me|greet|sign off|sign your|say(?:ing)?|start(?:ing)?|"
    r"begin(?:ning)?|end(?:ing)?|to the point|⟨\d+⟩)"
)
_DURABLE = re.compile(
    r"\b(?:from now on|from here on|going forward|from this point|from today|henceforth|in (?:the "
    r")?future|for (?:the )?future|next time|every time|each time|any ?time|whenever|always|never|"
    rf"(?:every|each|all|any)(?: of)?(?: your| the| my)?(?: future)? {_REPLIES}|your (?:future "
    rf")?(?:replies|answers|responses|messages)|"
    r"(?:every|each|all|any)(?: of)?(?: my)? (?:questions?|requests?|prompts?)|"
    r"any ?more|ever again|no longer|again and again|permanently|by default|for good|remember (?:to|that "
    r"you|you)|(?:don't|do not) ever|(?:must|should|shall) (?:call|address|refer to) me)\b"
)
_STRONG = re.compile(
    r"^(?:\W*(?:ok(?:ay)?|no|hey|please|and|so|well|great|thanks|thank you|also|but|"
    r"right)\b[\s,.!]*)*(?:from now on|from here on|going forward|henceforth|in (?:the )?future|next time|"
    r"(?:for|in) (?:all|every|each|any)(?: of)?(?: your| my)?(?: future| following| coming) \w+)\b"
)
_IMPERATIVE = (
    rf"(?:please\s+|kindly\s+|just\s+|also\s+)*(?:(?:always|never|only|don't|do not)\s+)?(?:please\s+|"
    rf"ever\s+)?{_MANNER}\b"
)
_TO_YOU = (
    rf"(?:(?:every|each|all)(?: of)?(?: your| the| my)? {_REPLIES} (?:should|must|needs? to|has to|have to|"
    rf"ends?|starts?|begins?|in)|you (?:should|must|need to|have to|are to|can|will|shall)|(?:i(?:'d| "
    rf"would)? (?:like|prefer|want|need|love)) (?:it )?(?:if )?(?:you|your|the|all|every|each|short|"
    rf"shorter|long|longer|answers|replies|brief)|i (?:want|need) (?:you|your|every|each|all)|i (?:don't|"
    rf"do not|never) want (?:any|you|your|to see)|make sure|be sure|remember|(?:could|can|would|will) you|"
    rf"your (?:replies|answers|responses|messages))"
)
_PREAMBLE = re.compile(
    r"^(?:(?:(?:no|nope|wrong)(?=\s*[,.:;!–—-])|hey|hi|hello|ok|okay|well|actually|and|but|so|also|again|"
    r"look|listen|sorry|thanks|thank you|great|good|nice|right|yes|wait|hm+|fine|cool|perfect|one more "
    r"thing|assistant|bot)\b[\s,.:;!–—-]*)+"
)
_TOLD = re.compile(
    r"^(?:as i (?:already )?said|like i said|i (?:already |just )?(?:told|asked) you(?: to| not to| that| "
    r"before)?|i (?:already |just )?said|i've (?:already )?(?:told|asked) you|how (?:many times|often) "
    r"(?:do|must|have) i\b[^:?!]*[:?!])\b[\s,:]*"
)
_STOP = re.compile(
    r"^(?:(?:can|could|would|will) you\s+)?(?:please\s+|just\s+)*(?:stop|quit|no more|enough with|cut out|"
    r"refrain from|avoid)\s+(?:the |with the |all the |those )?(?P<what>.+)"
)
_DONT = re.compile(r"^(?:please\s+)?(?:don't|do not|never)\s+(?:ever\s+)?(?P<what>.+)")
_TOO = re.compile(
    r"\b(?:that|this|it|your (?:reply|answer|response|text))(?:'s| is| was)?\s+(?:(?:way|much|far|a bit|a "
    r"little|still)\s+)*too\s+(?P<what>long|short|wordy|verbose|formal|informal|complicated|technical|"
    r"detailed|vague|simple|chatty)\b|^too (?P<bare>long|short|wordy|verbose|formal|complicated|technical|"
    r"detailed|vague)\b"
)
_ONE_OFF = re.compile(
    r"^(?:please\s+|can you\s+|could you\s+|now\s+|but\s+)*(?:(?:make|keep|write|say|put|give|do|rewrite|"
    r"rephrase|try|repeat) (?:it|that|this|me)\b.*\b(?:shorter|short|longer|simpler|brief\w*|again|formal|"
    r"informal|concise\w*|lower ?case|upper ?case|sentences?|words?|bullets?|bullet points?|list|caps|"
    r"differently|emojis?)"
    r"|(?:a (?:bit|little) |much )?(?:shorter|longer|simpler|briefer|more (?:concise|detail|detailed|"
    r"formal|casual|simply|simple)|less (?:formal|technical|wordy|verbose))(?:,? please|,? this "
    r"time)?[.!]*$"
    r"|(?:rewrite|rephrase|shorten|simplify)\b.*\b(?:it|that|this|your)\b)"
)
_CONTENT = re.compile(
    r"^(?:no|nope|wrong|that's wrong|that is wrong|that's not right|that's incorrect|that is incorrect|"
    r"incorrect|not quite|you're wrong)\b\s*[,.:;!–—-]+\s*(?:it'?s|it is|i meant|i asked|i wanted|i said|"
    r"that's|you|use|call|not|don't|say|write|spell)\b"
)
_NO_WISH = re.compile(r"^(?:no|nope|not like that|wrong)\b[\s,.:;!–—-]+")
_TASK = re.compile(
    r"^(?:please\s+|can you\s+|could you\s+)*(?:write|compose|draft|create|invent|generate|translate|"
    r"summari[sz]e|tell me|explain|describe|continue|imagine|pretend|finish|complete|list|give me|suggest|"
    r"help me|show me|name|find|fix|solve|calculate)\b(?!\s+⟨|\s+(?:in|with|without|as|all|your|every|"
    r"everything|each|only|concisely|briefly|formally|short|less|more|like|to me)\b)"
)
_ABOUT_WORLD = re.compile(
    r"\b(?:where|who|whose|which|that)\s+(?:(?:he|she|it|they|the \w+)\s+)?(?:always|never|\w+s\s+never|"
    r"\w+s\s+always)\b|\b(?:he|she|they|we|people|everyone|nobody|someone|my \w+|the \w+) (?:always|never|"
    r"should|must)\b"
)


@dataclass(frozen=True)
class _Sentence:
    """One sentence of the user: as written, and as patterns read it (lower case, quotations numbered)."""

    text: str
    plain: str


class Explicit:
    """Finds what is said in so many words; it guesses no intention."""

    name = "explicit"

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return the rules and corrections in a message, at most one a sentence."""
        text = re.sub(r"(?s)```.*?(?:```|$)", " ", said)
        text = re.sub(r"(?m)^\s*>.*$", " ", text)
        if not text.strip() or len(text) > _LONGEST:
            return []
        found: list[Finding] = []
        asks_anew = False
        for sentence in _sentences(text):
            finding = _judge(sentence, bool(reply.strip()), asked=reply.rstrip().endswith("?"))
            if finding is not None:
                found.append(finding)
            elif _is_question(sentence.plain) or _TASK.match(sentence.plain):
                asks_anew = True
        # "What is rust? Do not sign your reply." wishes something of the reply to come, once.
        return [finding for finding in found if finding.kind is _RULE or not asks_anew]


def _sentences(text: str) -> list[_Sentence]:
    """Return the user's sentences; "No." or "Stop." alone belongs to the one after it."""
    parts: list[str] = []
    for part in sentences(text):
        if parts and re.fullmatch(r"(?i)\W*(?:no|nope|wrong|stop|please|ok|okay|wait)\W*", parts[-1]):
            parts[-1] += " " + part
        else:
            parts.append(part)
    return [_Sentence(part.strip(), wording(part.strip()).plain) for part in parts]


def _judge(sentence: _Sentence, answered: bool, *, asked: bool) -> Finding | None:
    """Return what one sentence teaches; ``answered``: there is a reply before it, ``asked``: that was a question."""
    plain = sentence.plain
    if (
        re.fullmatch(r"⟨\d+⟩[.!?]*", plain)
        or _is_question(plain)
        or re.match(r"^no (?:problem|worries|thanks|thank you|need|idea|doubt|way|one|matter)\b", plain)
    ):
        return None
    strong = bool(_STRONG.match(plain))
    told = bool(answered and _TOLD.match(_PREAMBLE.sub("", plain)))
    body = _TOLD.sub("", _PREAMBLE.sub("", plain))
    if not strong and (_TASK.match(body) or _ABOUT_WORLD.search(body)):
        return None
    rule = _rule(sentence, plain, body, strong=strong, told=told)
    if rule is not None or not answered:
        return rule
    return _correction(sentence, plain, body, asked=asked)


def _rule(sentence: _Sentence, plain: str, body: str, *, strong: bool, told: bool) -> Finding | None:
    """Return a rule for good, if the sentence has both a marker of duration and a manner of replying."""
    bare = _DURATION_FIRST.sub("", body)
    conditional = _CONDITIONAL.match(bare)
    to_you = _speaks_to_you(bare) or bool(conditional and _speaks_to_you(conditional["rest"]))
    manner = bool(re.search(rf"\b{_FORM}\b|⟨\d+⟩", bare))
    durable = bool(_DURABLE.search(plain))
    when_you = conditional and re.match(r"^(?:when(?:ever)?|if)\b(?! (?:you (?:can|could|like|want)|possible))", bare)
    if strong and (to_you or (manner and not _OF_OTHERS.match(bare))):
        sure = 0.95 if manner else 0.7
    elif to_you and durable and (manner or conditional):
        sure = 0.9
    elif _stops_a_habit(body, manner) or _ADDRESS.match(bare):
        sure = 0.85
    elif manner and ((told and (to_you or _BARE_WISH.match(bare))) or (to_you and when_you)):
        sure = 0.8
    else:
        return None
    return Finding(_RULE, sentence.text, sure)


_DURATION_FIRST = re.compile(
    r"^(?:from now on|from here on(?: out)?|going forward|henceforth|in (?:the )?future|next time)\b[\s,:]*"
)
_CONDITIONAL = re.compile(
    r"^(?:when(?:ever)?|if|every time|each time|any ?time|for|in|after|before|at the end of)\b"
    r"[^,:]*[,:]\s*(?P<rest>.+)"
)
_OF_OTHERS = re.compile(r"(?:we|he|she|they|it|the|people|everyone|nobody|my|this|that|there)\b")
_ADDRESS = re.compile(r"^(?:please\s+)?(?:call|address) me\b(?! (?:back|later|when|at|on|in|if|tomorrow))")
_BARE_WISH = re.compile(r"(?:no|not|only|in|one|short)\b")
_HABIT = re.compile(
    r"(?:say|us|writ|call|add|end|start|begin|apologi[sz]|repeat|ask|giv|includ|mak|answer|reply|put|sign|be|explain|"
    r"number|list|mention|refer|capitali[sz]|tell)\w*ing\b"
)


def _speaks_to_you(text: str) -> bool:
    return bool(re.match(_IMPERATIVE, text) or re.match(_TO_YOU, text))


def _stops_a_habit(body: str, manner: bool) -> bool:
    """Whether it is "stop ...ing" or "no more ..." of something in the replies."""
    match = _STOP.match(body)
    if match is None:
        return False
    return bool((manner and _HABIT.match(match["what"])) or re.match(rf"{_FORM}\b", match["what"]))


def _correction(sentence: _Sentence, plain: str, body: str, *, asked: bool) -> Finding | None:
    """Return a wish about the reply before; it may be for this once, so it is only proposed.

    ``asked``: the reply ended with a question, so that "No, ..." answers it.
    """
    manner = bool(re.search(rf"\b{_FORM}\b", body))
    dont = _DONT.match(body)
    this_one = re.search(r"\b(?:your (?:reply|answer|response)|this time)\b", body)
    if manner and dont and re.match(rf"{_MANNER}\b", dont["what"]):
        sure = 0.45
    elif _TOO.search(plain) or _ONE_OFF.match(body):
        sure = 0.4
    elif asked:
        return None
    elif manner and _speaks_to_you(body) and (_NO_WISH.match(plain) or this_one):
        sure = 0.45
    elif _CONTENT.match(plain):
        sure = 0.35
    else:
        return None
    return Finding(_CORRECTION, sentence.text, sure)


def _is_question(plain: str) -> bool:
    """Whether it asks something; "could you always ..., please?" is a wish."""
    if not plain.rstrip("\"') ").endswith("?"):
        return False
    return not re.match(
        rf"^(?:\W|ok|okay|please|and|so|hey)*(?:can|could|would|will) you (?:please )?(?:always|never|stop|"
        rf"from now on|in future|not|only|{_MANNER})\b.*",
        plain,
    ) or (not _DURABLE.search(plain) and "stop" not in plain)


@hookimpl
def nightschool_detectors() -> list[Detector]:
    """Supply the detector of explicit corrections."""
    return [Explicit()]
