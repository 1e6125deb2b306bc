"""This reply in another form: shorter, simpler, warmer, as a table."""

from __future__ import annotations

import re

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Detector, Finding
from ...engine.study.scope import CERTAIN, HERE, STANDS_FOR_GOOD
from ...engine.study.turn import PREAMBLE, Sentence, Turn, read_turn
from ...schemas.records import SignalKind

_QUALITY = (
    r"(?:long|short|wordy|verbose|formal|informal|complicated|complex|technical|detailed|vague|simple|simplistic|"
    r"chatty|stiff|blunt|"
    r"salesy|dry|generic|cheesy|boring|dramatic|flowery|dense|basic|casual|harsh|aggressive|academic|robotic|"
    r"repetitive|"
    r"enthusiastic|polite|cold|direct|advanced|abstract|kitschy|sentimental|poetic|rude|soft|bland|corny|elaborate)"
)
_BETTER = (
    r"(?:shorter|longer|simpler|briefer|clearer|easier|warmer|friendlier|nicer|funnier|softer|harsher|stronger|"
    r"catchier|punchier|"
    r"snappier|tighter|crisper|kinder|cleaner|smoother|plainer|bolder|lighter|darker|sharper|"
    r"more (?:concise|brief|detail|details|detailed|formal|informal|casual|simple|simply|polite|direct|professional|"
    r"academic|creative|"
    r"personal|readable|natural|human|friendly|specific|precise|technical|diplomatic|compact|dramatic|emotional|"
    r"engaging|"
    r"persuasive|conversational|descriptive|examples|poetic|neutral|serious|fun|humou?r|\w+ly)|"
    r"less (?:formal|technical|wordy|verbose|detail|detailed|dramatic|stiff|salesy|repetitive|\w+y|\w+al|\w+s|jargon|"
    r"text)|"
    r"fewer \w+(?: \w+)?|not (?:so|as|that) \w+)"
)
_FORMAT = (
    r"(?:(?:bullet|numbered|bulleted|short|plain|simple|markdown|json|csv|html|ordered|comma[ -]separated) )*"
    r"(?:bullet ?points?|bullets|list|table|tables|paragraphs?|prose|sentences?|words|markdown|json|csv|yaml|html|"
    r"latex|essay|"
    r"outline|poem|steps|columns?|dialogue|running text|haiku|tweet|summary|code block|capital letters|lower ?case|"
    r"upper ?case)"
)
_IT = (
    r"(?:it|that|this|these|them|those|your (?:reply|answer|response|text|last \w+|previous \w+|explanation|\w+)|"
    r"the (?:(?:last|first|second|third|whole|previous|above|entire|next|final) )?(?:sentence|paragraph|part|text|"
    r"reply|answer|"
    r"response|section|poem|letter|e?-?mail|list|intro|introduction|ending|tone|explanation|summary|story|message|"
    r"essay|one|verse|stanza))"
)
_PLEASE = r"(?:,? (?:please|pls|plz|then|though|again|this time|for me))*[\s.!?]*$"
_HOW = (
    r"(?:a (?:bit|little|lot|touch|tad)|much|even|way|slightly|still|somewhat|some|far|significantly|"
    r"just|rather|maybe|with|using|and)"
)

_TOO = re.compile(
    rf"(?:^|\b(?:that|this|it|they|which|reads|sounds|looks|feels|your \w+|the \w+|tone|language|title|intro)\b"
    r"(?:'s| is| was| are|s)? ?)(?:(?:way|much|far|a (?:bit|little)|still|just|kind of|sort of|really|also|all|"
    r"quite|is|be) )*"
    rf"too (?:\w++ )?{_QUALITY}\b"
)
_A_BIT = re.compile(
    r"^(?:(?:it|that|this|bit|sounds|reads)(?:'s| is)? )?(?:a (?:bit|little)|kind of|kinda|rather|somewhat|very|"
    rf"pretty|so) {_QUALITY}\b"
)
_OVER = re.compile(r"^(?:that|this|it)?(?:'s| is)? ?(?:way |a bit |so )?over the top\b|\bway over the top\b")
_BARE_BETTER = re.compile(
    rf"^(?:(?:please|pls|but|{_HOW}) )*{_BETTER}(?:\W+(?:and|,|please|pls)? ?(?:{_HOW} )?(?:{_BETTER}|more "
    rf"\w+))?{_PLEASE}"
)
_LESS_THINGS = re.compile(
    r"^(?!more (?:like|of|on|about|with|ideas|examples|please)|\w+ \d)(?:less|fewer|more|not so many|without "
    r"(?:the|so many)) \w+(?: \w++){0,2}(?:[,.;] ?(?:less|more|fewer) \w+(?: "
    r"\w++){0,2})?[\s.!]*$"
)
_AS_FORMAT = re.compile(
    r"^(?:(?:please|pls|now|but|maybe|rather|can i (?:have|get)|could i (?:have|get)|give me|i(?:'d| would) (?:like|"
    r"prefer)|i want(?:ed)?|i need|"
    rf"can you (?:give|show)(?: me)?|put) )*(?:it |that |this |the same |the answer )?(?:as|in|into|with) "
    r"(?:(?:a|an|the|one|two|three|four|five|\d++|only|just|form of|simple|simpler|plain|everyday|layman'?s?|formal|"
    r"informal|short|at most|less than|under) )*"
    rf"(?:{_FORMAT}|(?:words|terms|language|english|register|tone|style|laymans?)\b)(?: \w++){{0,6}}{_PLEASE}"
)
_SHORTHAND = re.compile(
    r"^(?:can you |could you |please |pls |just |give me (?:a |the )?|now )*(?:tl;?dr|eli\s?5|in a nutshell|"
    r"elaborate(?=\W*$)|simplify(?=\W*$)|shorten(?=\W*$)|"
    r"dumb it down|be (?:more )?(?:concise|brief|specific|precise|"
    r"detailed)|"
    r"explain (?:it )?like|keep it (?:short|simple|brief)|tone it down|try again but|explain (?:that |it |this "
    r")?(?:more |again|better|further|"
    r"in (?:more|simple|simpler|plain|detail)|like|as if|simply|differently)\w*)\b"
)
_CHANGE = re.compile(
    r"^(?:make|keep|put|turn|rewrite|rephrase|reword|re-?do|re-?write|re-?phrase|re-?format|shorten|simplify|"
    r"condense|expand(?: on)?|"
    r"elaborate(?: on)?|reduce|trim|cut|tone|format|reformat|paraphrase|compress|soften|polish|say|write|try|"
    r"explain|phrase|restructure|"
    rf"organi[sz]e|split|break|give|shrink|spice|jazz|lengthen|tighten) {_IT}(?: all| up)?\b(?P<rest>.*)"
)
_FORMAL_REST = re.compile(
    rf"\b(?:{_BETTER}|{_FORMAT}|in half|half|down|without|again|differently|to(?: just| only)? (?:be |sound )|sound|"
    r"rhymes?|like (?:i|you|a|an)\b|as if|simple|simply|short|brief\w*|"
    r"concise\w*|formal\w*|casual\w*|professional\w*|friendly|polite\w*|funny|terms|english|words?|emojis?|tone|"
    r"style|british|"
    r"american|up to|a bit|a little|nice\w*|flow|detail\w*|into|out of it|exciting|"
    r"interesting|"
    rf"plain|natural\w*|catchy|personal|lower|first person|third person|present tense|past tense|active voice)\b"
)
_ALONE = re.compile(
    r"^(?:shorten|simplify|condense|rewrite|rephrase|reword|elaborate|re-?do|paraphrase|trim|tone|compress|reformat|"
    r"restructure|soften|shrink|tighten|lengthen|expand)\b(?=\W*$| (?:it|that|this|your|as|in|to|with|without|"
    r"so|and|please|a bit|again|more|by|using|the (?:\w+ )?(?:sentence|paragraph|reply|answer|text|tone|"
    r"ending|intro|introduction|response|part))\b)"
)
_SOUND = re.compile(
    r"^(?:(?:it|that|this|the \w+|your \w+|good but it|but it) )?(?:(?:needs?|has|have|should|must|ought|could) "
    r"(?:to )?(?:be |sound|read|feel|look)|"
    rf"sounds?|reads?|feels?) ?(?:(?:a (?:bit|little|lot)|much|way|like|too|more|less|very|so) )*(?:{_BETTER}|"
    rf"{_QUALITY}|"
    r"(?:a )?(?:robot|machine|template|advert\w*|brochure|textbook)|clunky|awkward|weird|off|unnatural|fake)\b"
)
_NEED_MORE = re.compile(
    r"^(?:(?:can|could) you )?(?:please )?(?:i (?:need|want|would like|'d like) |give me |give |add |provide |go "
    r"into |with |some )*"
    r"(?:a (?:bit|little|lot) |much |even |far |some )?(?:more|less|fewer|greater|further) (?:detail|details|depth|"
    r"information|info|explanation|examples|context|text|"
    r"jargon|words|adjectives|emojis|exclamation|background)\b"
)
_DONT = re.compile(
    r"^(?:please )?(?:don't|do not|dont|no|without|avoid|stop|leave out|drop|lose|skip|remove|get rid of) (?:use |"
    r"using |repeat |add |put |include |"
    r"write |the |any |all |those |so many |so much |start |say |saying |repeating |adding "
    r")*(?:[\w ]{0,20}\b)?(?:emojis?|bullet ?points?|bullets|lists?|exclamation"
    r"|jargon|buzzwords|markdown|headings?|headers|bold|hashtags|quotes|quotation|rhymes?|adjectives|intro\w*|"
    r"preamble|disclaimers?|"
    r"conclusion|filler|fluff|repetition|so often|capital letters|caps|puns|sign-?off|signature|greeting|semicolons|"
    r"dashes|abbreviations|"
    r"explanations?|comments|numbering|slang|parenthes[ei]s|brackets|contractions|her name|his name|my name|⟨\d+⟩)\b"
)
_LIKE_A = re.compile(
    r"^(?:now )?(?:say|explain|tell|describe|write|put|try) (?:it |that |this |me |again )*(?:like|as if|as though|"
    r"for|to) (?:you would|you were|i'?m|i am|i were|a|an|my|you'?d)\b"
)
_DO_WITHOUT = re.compile(
    r"^(?:(?:can|could|would) you |please )*(?:re-?do|repeat|try|do|write) (?:it|that|this)(?: again)? "
    r"(?:with(?:out)?|using|in|as|but|from)\b"
)
_USE_FORM = re.compile(
    r"^(?:please |rather |just |instead )*(?:use|write in|answer in|reply in|respond in) (?:only |a |an |more |some "
    r"|simple |simpler |"
    rf"plain |short |shorter )*(?:{_FORMAT}|language|english|metric|celsius|units)\b(?: \w++){{0,3}}{_PLEASE}"
)


class Style:
    """Finds wishes about the form of the reply before."""

    name = "style"

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return at most one finding: the first sentence that wants the reply in another form."""
        turn = read_turn(prompt, reply, said)
        if not turn.answered or turn.role_play or turn.pasted or turn.words > _LONG or _in_series(turn):
            return []
        if any(_stays(sentence) for sentence in turn.sentences):
            return []
        for sentence in turn.first:
            if _wants_form(turn, sentence):
                return [Finding(SignalKind.STYLE, sentence.text, 0.4)]
        return []


_LONG = 30
"""Words of a message beyond which it is more than a wish about form."""
_MORE_ABOUT = re.compile(
    r"\b(?:(?:details?|information|info|context|explanation|examples|depth|background) "
    r"(?:on|about|of|for|related|regarding)|(?:elaborate|expand) (?:more )?on (?!that|this|it\b))\b"
)
"""Asks for more of the matter, which is the next question."""


def _in_series(turn: Turn) -> bool:
    """Whether the prompt began likewise: one text after another is worked on."""
    begins = turn.sentences[0].plain.split()[:3] if turn.sentences else []
    return len(begins) == 3 and turn.prompt.lower().split()[:3] == begins


def _stays(sentence: Sentence) -> bool:
    """Whether a sentence says that it is meant for more than this reply; then it is a rule."""
    return any(pattern.search(sentence.plain) for pattern in (CERTAIN, HERE, STANDS_FOR_GOOD))


_ASKS = re.compile(
    r"^(?:(?:can|could|would|will) (?:you|u)|would you mind|please|pls|plz|maybe|just|now|i want you to|i need you "
    r"to|you (?:can|could|should)|try to|let's) "
)


def _wants_form(turn: Turn, sentence: Sentence) -> bool:
    """Whether a sentence is about the form of the reply."""
    if _TOO.search(sentence.plain) or _OVER.search(sentence.plain):
        return not sentence.question
    if (sentence.question and _ASKS_WHAT.match(sentence.body)) or _MORE_ABOUT.search(sentence.body):
        return False
    clauses = [sentence.body, *re.split(r"[,;:] |\.\.+|\bbut\b", sentence.body)[1:3]]
    return any(_is_wish(turn, sentence, _asked(clause.strip())) for clause in clauses)


def _is_wish(turn: Turn, sentence: Sentence, wish: str) -> bool:
    short = len(wish.split()) <= 14
    if short and any(pattern.match(wish) for pattern in _SHORT_FORMS):
        return True
    if _SOUND.match(wish):
        return not sentence.question
    if _ALONE.match(wish) and len(turn.said) < 200:
        return True
    change = _CHANGE.match(wish)
    return bool(change and not sentence.question and _FORMAL_REST.search(change["rest"]))


def _asked(body: str) -> str:
    """Return a wish without "could you please" and the like."""
    while True:
        shorter = PREAMBLE.sub("", _ASKS.sub("", body, count=1))
        if shorter == body:
            return body
        body = shorter


_ASKS_WHAT = re.compile(r"^(?:how|what|why|is|are|do|does|where|which|who|did|was|were)\b")
_SHORT_FORMS = (
    _BARE_BETTER,
    _LESS_THINGS,
    _AS_FORMAT,
    _NEED_MORE,
    _DONT,
    _LIKE_A,
    _DO_WITHOUT,
    _USE_FORM,
    _A_BIT,
    _SHORTHAND,
)


@hookimpl
def nightschool_detectors() -> list[Detector]:
    """Supply the detector of wishes about form."""
    return [Style()]
