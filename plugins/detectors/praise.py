"""That a reply was welcome: praise and thanks ("perfect, thanks!"), or that it shall go on ("continue")."""

from __future__ import annotations

import re

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Detector, Finding
from ...engine.study.scope import CERTAIN
from ...engine.study.turn import Turn, read_turn
from ...schemas.records import SignalKind

_LAUGH = r"(?:(?:oh|wow|ah|(?:ha)++|lol|yes|yep|yeah|yup|ok|okay|alright|great|hey|well|man|omg)\b[\s,.!]{0,6}+)*"
_GOOD = (
    r"(?:perfect|great|awesome|brilliant|excellent|amazing|wonderful|fantastic|superb|lovely|nice(?: one| job| "
    r"work)?|good (?:job|work|one|"
    r"answer|stuff|point|idea)|great (?:job|work|answer|idea|plan|list|stuff|explanation)|well done|nailed it|spot "
    r"on|beautiful|outstanding|"
    r"impressive|bravo|super|cool|sweet|love it|loved it|exactly|correct|right|that's right|much better|better|very "
    r"good|"
    r"very (?:helpful|nice|useful)|so helpful|hilarious|genius)"
)
_THANKS = (
    r"(?:thanks?(?: you| u)?|thx|ty|tysm|thank you so much|cheers|much appreciated|appreciate it|merci|"
    r"danke\w*|gracias|vielen dank)"
)
_PRAISE = re.compile(
    rf"^\W*{_LAUGH}(?:(?:{_THANKS})(?! (?:in advance|for (?:being|having|your (?:patience|time))|note|you (?:note|"
    r"card|letter)))\b|"
    rf"{_GOOD}(?=\W*$| ?[,.!;:)]| ?(?:{_THANKS}|now|but can|and now|i |it |this |that )\b)|"
    r"(?:i )?(?:really |absolutely |totally |do )?(?:love|like|adore|loved|liked) (?:it|this|that|these|them|your|"
    r"the)\b(?! (?:if|to|when))|"
    r"(?:that|this|it|which|your \w+|these|those)(?:'s| is| was| are| were|s)? (?:\w++ ){0,2}?(?:perfect|great|"
    r"awesome|brilliant|excellent|amazing|"
    r"wonderful|fantastic|helpful|useful|right|correct|better|good|nice|beautiful|lovely|hilarious|impressive|spot on)"
    rf"(?: (?:one|job|answer|idea|plan|list|start|explanation|work|point))?(?=\W*$| ?[,.!;:)]| (?:{_THANKS}|now|"
    r"and)\b)|"
    r"(?:that|this|it)(?:'s| is| was)? (?:exactly|just|precisely) what i (?:needed|wanted|was looking for|had in "
    r"mind)\b|"
    r"(?:that|this|it)(?:'s| is| has)?(?: now| really| all| finally| actually)? (?:works?|worked|working|did the "
    r"trick|did it|helps?|helped|"
    r"solved|fixed|clears?|cleared|makes sense|made my day)\b|works (?:now|perfectly|great|like a charm|fine)|"
    r"you(?:'re| are) (?:right|the best|amazing|awesome|so helpful|a (?:genius|star|"
    r"lifesaver)|great|brilliant)\b)"
)
_NOT = re.compile(
    r"^\W*(?:no,? thank|thanks but no|nice try|great question|right (?:now|click|hand)|cool down|good (?:morning|"
    r"evening|afternoon|night)|"
    r"better (?:yet|safe)|that's (?:right )?(?:not|n't)|(?:this|that|it)(?:'s| is| was)? (?:not|n't|isn't|hardly|"
    r"nearly|almost|still|too|a good question)|"
    r"exactly (?:how|what|why|when|where|which)\b.*\?)"
)
_BUT = re.compile(r"\b(?:but|however|although|except|though|instead)\b")
_ON = re.compile(
    r"^\W*(?:(?:please|pls|ok|okay|great|good|nice|thanks|yes|now|and|sure|perfect)\b[\s,.!]*+)*(?:continue|go on|"
    r"keep going|carry on|proceed|go ahead|"
    r"keep writing|next(?: (?:chapter|part|step|one|question|page|section|paragraph|scene))?|more|weiter|mach weiter|"
    r"fortfahren|continue[zr]?|"
    r"continúa|sigue)(?: please| pls| writing| from where you (?:left off|stopped)| from there| the story)*[\s.!]*$"
)
_YES = re.compile(
    r"^\W*(?:yes|yeah|yep|yup|sure|ok|okay|please|absolutely|definitely|of course|sounds (?:good|great|fine)|do "
    r"(?:it|that|so)|please do|"
    r"go ahead|ja|oui|s[ií]|gerne|bitte)(?:[\s,.!]++(?:yes|please|pls|do|do it|do that|go ahead|that would be "
    r"(?:great|nice|good)|sounds good|"
    r"thanks|thank you|sure|bitte|gerne))*[\s.!]*$"
)


class Praise:
    """Finds that the user is content; it only weighs what is learned otherwise."""

    name = "praise"

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return praise or acceptance, at most one."""
        turn = read_turn(prompt, reply, said)
        if not turn.answered or not turn.sentences or turn.role_play:
            return []
        first = turn.sentences[0]
        if _goes_on(turn):
            return [Finding(SignalKind.ACCEPT, first.text, 0.6)]
        short = len(first.plain.split()) <= 16
        rule = any(CERTAIN.search(sentence.plain) for sentence in turn.sentences)
        praise = _PRAISE.match(first.plain) and not _NOT.match(first.plain) and not _BUT.search(first.plain)
        if praise and short and not first.question and not rule and not turn.pasted:
            return [Finding(SignalKind.PRAISE, first.text, 0.6)]
        return []


def _goes_on(turn: Turn) -> bool:
    """Whether the message does nothing but ask for more, or say yes to what the reply offers."""
    whole = " ".join(sentence.plain for sentence in turn.sentences)
    return bool(_ON.match(whole) or (turn.asked and _YES.match(whole)))


@hookimpl
def nightschool_detectors() -> list[Detector]:
    """Supply the detector of praise and acceptance."""
    return [Praise()]
