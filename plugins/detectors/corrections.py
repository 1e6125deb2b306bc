"""That a reply is wrong: with what it should be ("No, it's Lyon"), or without ("That's wrong")."""

from __future__ import annotations

import re

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Detector, Finding
from ...engine.study.echo import content_words, restates
from ...engine.study.turn import Sentence, Turn, read_turn
from ...schemas.records import SignalKind

_WITH = SignalKind.CORRECTION
_BARE = SignalKind.CORRECT_BARE

_IT = (
    r"(?:that|this|it|these|those|which|your (?:answer|reply|response|code|solution|result|list|example|"
    r"translation|\w+))"
)
_IS = r"(?:'s| is|s| was| are| were|'re)"
_VERY = (
    r"(?: (?:just|simply|still|completely|totally|plain(?:ly)?|also|really|actually|clearly|definitely|"
    r"all|quite|so|obviously))*"
)

_BARE_NO = re.compile(
    r"^\W*(?:no|nope|nah|wrong|wrong answer|incorrect|false|not (?:quite|right|correct|true|really|even close|it|"
    r"that|funny|helpful|good|working)|"
    r"not what i (?:asked|wanted|meant|need)\w*(?: for)?|try again|no no|no no no|nonsense|rubbish)[\s.!]*$"
)
_WRONG = re.compile(
    rf"^(?:i (?:think|believe|'m afraid)|i'm (?:pretty |quite )?sure)? ?(?:that )?{_IT}{_IS}{_VERY} ?(?:(?:not|n't) "
    rf"?{_VERY} ?"
    r"(?:correct|right|true|accurate|what i (?:asked|wanted|want|meant|mean|need|said|was)|how it|it|good|funny|"
    r"working|helpful|"
    r"useful|possible|valid|the (?:right|correct)|real|at all|even)|"
    r"(?:wrong|incorrect|false|nonsense|bullshit|bs|inaccurate|a (?:mistake|lie|hallucination)|made up|useless|"
    r"terrible|broken|"
    r"garbage|rubbish|off|outdated))\b"
)
_ISNT = re.compile(
    rf"^{_IT} (?:isn't|aren't|wasn't|isnt|arent|wasnt|does not|doesn't|doesnt)\b{_VERY} ?(?:right|correct|true|"
    r"accurate|what i|"
    r"how|it\b|good|funny|working|work|helpful|useful|make (?:any )?sense|seem right|look right|match|answer|valid|"
    r"real)"
)
_MISTAKEN = re.compile(
    r"^(?:i (?:think|believe) )?(?:you(?:'re|r| are)? (?:\w++ )?(?:wrong|mistaken|incorrect|hallucinating|lying|"
    r"making (?:this|that|"
    r"it|things|stuff) up)|you (?:just )?made (?:a|an|some|several|two|the same|another|many) (?:\w++ )?(?:mistake|"
    r"error)s?|"
    r"you made (?:this|that|it) up|you got (?:it|that|this) wrong|you (?:didn't|did not|haven't|have not) (?:answer|"
    r"understood|"
    r"understand|read|listen|do what)|you (?:misunderstood|misread)\b|there(?:'s| is| are) (?:a|an|some|no such|"
    r"still (?:a|an)) "
    r"(?:mistake|error|bug|thing|menu|option|function|method|button|file|setting|command|package|book|place|"
    r"person)s?)\b"
)
_FAILS = re.compile(
    r"^(?:(?:it|this|that|your \w++|the \w++|and|but|i (?:tried|did|ran|used) (?:that|this|it)(?: and| but)?) )*"
    r"(?:(?:it|this|that) )?(?:still (?:doesn't|does not|doesnt|isn't|not|crash|fail|get|gives?|getting|the same|"
    r"wrong|broken|no|"
    r"shows?|error|have|says|see|throws|returns)\w*|(?:doesn't|does not|doesnt|didn't|did not|didnt|don't|isn't|not|"
    r"won't|is not) "
    r"(?:work|working|compile|run|running|help|seem to work)\b|(?:fails|crashes|breaks)\b[\s.!]*$)"
)
_SAME_ERROR = re.compile(
    r"\bi(?:'m| am)? (?:still )?(?:get|getting|got|have|see) the same (?:error|result|problem|issue|output|thing)"
)
_NOT_A = re.compile(
    rf"^{_IT}(?:{_IS} not| isn't| isnt| aren't| was not| wasn't) (?:a|an|any|really a) (?P<what>[\w -]+?)[\s.!]*$"
)

_OTHER = (
    r"(?:it'?s|it is|it was|i meant?|i asked|i want|i wanted|i said|i need|i was|that'?s|that is|you|use|not|don't|"
    r"say|write|spell|"
    r"there|he|she|they|the|a|an|in|should|its|only|we|this|these|those|our|put|leave|keep|remove|add|\w++ (?:is|are|"
    r"was|means?|"
    r"needs?|should|has|comes|starts|ends)|⟨\d+⟩ (?:is|means))\b"
)
_NO_BUT = re.compile(
    rf"^\W*(?:no|nope|nah|wrong|incorrect|that'?s wrong|not quite|false)\b[\s,.:;!–—-]{{1,9}}(?:no\W+)?{_OTHER}"
)
_MEANT = re.compile(
    r"^(?:i should (?:say|have said)(?: that)? )?i (?:actually |really |only |just |clearly |specifically |"
    r"explicitly )*"
    r"(?:meant|mean(?= (?:the|a|an|in|how|what|\w+ing)\b)|asked|said(?= [^.]*\bnot\b)|"
    r"was (?:thinking of|looking for|asking (?:about|for|how|what|why|if|whether)|talking about|referring to|hoping "
    r"for)|"
    r"wanted(?! to (?:ask|know|say|thank|see if|check|talk|tell|let))|needed|requested|specified|expected)\b"
)
_FAULT = re.compile(
    r"^(?:i (?:see|notice|think)(?: that)? )?you(?:'ve| have)?(?: just| also| still| again| even)* (?:forgot|"
    r"forgotten|missed|left out|omitted|"
    r"mixed up|confused|swapped|changed|ignored|misspelled|misspelt|computed|calculated|gave me|used|wrote|put|"
    r"skipped|repeated|"
    r"removed|counted|listed|translated|called|switched|included|added|only (?:gave|listed|wrote|did)|dropped|kept|"
    r"didn't (?:include|mention|use|add|follow|finish|give|list|translate|write)|did not (?:include|mention|use|add|"
    r"follow|finish|"
    r"give|list|translate|write)|forget|misquoted|reversed|inverted)\b"
)
_SHOULD = re.compile(
    r"^(?:i think |i believe )?(?:it|he|she|that|this|its \w+|their \w+|the (?:\w++ ){1,3}|(?:\w++ "
    r"){0,2}(?:format|name|title|answer|result|date|number)"
    r"(?: \w+)?) ?(?:should(?:n't| not)?|must(?:n't| not)?(?! be (?:some|a|around|in|the))|has to|have to|"
    r"needs? to|is supposed to|are supposed to|"
    r"ought to) "
    r"(?:be|have|say|start|end|come|go|return|read|use|include|contain|look|take|show|not)\b"
)
_SHOULD_BARE = re.compile(r"^(?:should|must|needs to|has to) (?:be|have|say|read|start|end)\b")
_CONTRAST = re.compile(
    r"^(?:it|that|this|he|she|they|these|those|my \w+|our \w+|the \w+)(?:'s| is| are| was| were)\b[^?]{1,80}, "
    r"?(?:not|and not)\b"
)
_USE_INSTEAD = re.compile(
    r"^(?:please |just |rather )*(?:(?:don't|do not|dont|never|no) .{1,60}[,.;] ?(?:use|just|but|try|do|write|take|"
    r"put|call)\b.+|"
    r"(?:use|write|take|put|try|call it|say)\b (?!it\b).{1,80}\b(?:instead|rather than)\b.*)"
)
_CHANGE_BACK = re.compile(
    r"\b(?:replace (?:it|them|that|this|the \w++ one)\b|swap (?:it|them|that|this)\b|change (?:it|that|them) (?:back|"
    r"to)\b|"
    r"put (?:it|that|them) back\b|undo (?:that|this|your)\b|revert (?:that|this|it|to|your)\b|remove (?:that|this) "
    r"one\b)"
)
_THATS = re.compile(
    rf"^(?:but )?{_IT}{_IS} (?!(?:a )?(?:great|good|nice|perfect|fine|ok|okay|cool|it|right|correct|true|all|"
    r"interesting|awesome|helpful)\b)"
)
_ASKED_ELSE = re.compile(
    r"\bi (?:asked|need(?:ed)?|wanted|said|meant|requested|specified)\b(?! (?:to know|help|some time))"
)
_SAYS_SO = re.compile(
    r"^(?:it|he|she|that|they)(?:'s| is| was| were|s) (?P<what>[\w'’. -]{1,40}?)[\s.!]*$", re.IGNORECASE
)
_NOT_THE = re.compile(
    r"^(?:(?:but )?the )(?:first|second|third|last|fourth|\w+)(?: \w+)? (?:one |sentence |line |item |answer |number "
    r"|date )?"
    r"(?:isn't|isnt|is not|aren't|is wrong|was not|wasn't|is incorrect|are wrong|doesn't|does not)\b"
)
_NO_WISH = re.compile(
    r"^no (?:problem|worries|thanks|thank you|need|idea|doubt|way|one|matter|thats fine|that's fine|it's fine|its "
    r"fine)\b"
)
_STYLE = re.compile(r"\btoo (?:long|short|wordy|formal|verbose|technical|complicated)\b")


_OF_IT = re.compile(r"^(?:i think |i believe )?(?:it|its|that|this)\b")
_LEAD = re.compile(r"^(?i:actually|but|well|no)\b[\s,]*")


class Corrections:
    """Finds what the user says against the reply before."""

    name = "corrections"

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return at most one finding: the first sentence that corrects, with a target before without."""
        turn = read_turn(prompt, reply, said)
        if not turn.answered or turn.role_play or restates(turn):
            return []
        near = turn.first
        for sentence in near:
            if _NO_WISH.match(sentence.plain) or sentence.question or _STYLE.search(sentence.plain):
                continue
            if _corrects(turn, sentence):
                return [Finding(_WITH, sentence.text, 0.45)]
        for sentence in near:
            if not sentence.question and _objects(turn, sentence):
                beside = any(_ASKED_ELSE.search(other.plain) for other in near if other is not sentence)
                return [Finding(_WITH if beside else _BARE, sentence.text, 0.45)]
        return []


def _corrects(turn: Turn, sentence: Sentence) -> bool:
    """Whether a sentence says what is wrong in the reply, or what it should be."""
    plain, body = sentence.plain, sentence.body
    if turn.asked and re.match(r"^\W*(?:no|nope|nah|yes|yeah)\b", plain):
        return False  # it answers the reply's question
    others = [other for other in turn.sentences if other is not sentence]
    said_outright = (_FAULT, _CONTRAST, _NOT_THE, _USE_INSTEAD, _SHOULD_BARE)
    free = not turn.asked and (
        _NO_BUT.match(plain)
        or _MEANT.match(body)
        or (plain.startswith("actually") and _SAYS_SO.match(body))
        or (not others and _gives_other(turn, sentence))
    )
    return bool(
        free
        or any(pattern.match(body) for pattern in said_outright)
        or _CHANGE_BACK.search(body)
        or (_SHOULD.match(body) and (_OF_IT.match(body) or _about_reply(turn, body)))
        or (_THATS.match(body) and any(_ASKED_ELSE.search(other.plain) for other in others))
    )


def _about_reply(turn: Turn, body: str) -> bool:
    """Whether the beginning of a sentence names something that the reply or the prompt speaks of."""
    return bool(content_words(" ".join(body.split()[:4])) & (content_words(turn.reply) | content_words(turn.prompt)))


def _gives_other(turn: Turn, sentence: Sentence) -> bool:
    """Whether "it was 1912" gives a number or name that neither prompt nor reply holds."""
    match = _SAYS_SO.match(_LEAD.sub("", sentence.text))
    if match is None or len(sentence.plain.split()) > 6:
        return False
    words = [word.strip(".,") for word in match["what"].split()]
    known = (turn.reply + " " + turn.prompt).lower()
    return any((word[:1].isupper() or word[:1].isdigit()) and word.lower() not in known for word in words)


def _objects(turn: Turn, sentence: Sentence) -> bool:
    """Whether a sentence only says that the reply is wrong."""
    plain, body = sentence.plain, sentence.body
    if _BARE_NO.match(plain) and not (turn.asked and re.match(r"^\W*(?:no|nope|nah)\b", plain)):
        return len(turn.sentences) <= 2
    match = _NOT_A.match(body)
    if match is not None and content_words(match["what"]) & content_words(turn.prompt):
        return True
    patterns = (_WRONG, _ISNT, _MISTAKEN, _FAILS)
    return any(pattern.match(body) for pattern in patterns) or bool(_SAME_ERROR.search(plain))


@hookimpl
def nightschool_detectors() -> list[Detector]:
    """Supply the detector of corrections."""
    return [Corrections()]
