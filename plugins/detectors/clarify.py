"""Doubt: "Are you sure?", "Where did you get that from?", "Didn't you miss one?"."""

from __future__ import annotations

import re

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Detector, Finding
from ...engine.study.turn import read_turn
from ...schemas.records import SignalKind

_DOUBT = re.compile(
    r"^(?:are|r) (?:you|u) (?:really |quite |absolutely |100% )?(?:sure|certain|positive|serious)\b|^(?:really|"
    r"seriously|for real) ?[?!]|"
    r"^is (?:that|this|it) (?:actually |really |even )?(?:true|right|correct|so|accurate|real|"
    r"legit)\b(?! (?:that|if|to|when|in|for|:|-))|^is that "
    r"(?:really|actually)\b|"
    r"^(?:where|how) (?:did|do) (?:you|u) (?:get|find|know|come up|read|arrive|figure|take)\b|"
    r"^(?:what(?:'s| is| are)|do you have|can you (?:give|name|show|cite)|any|got) (?:me )?(?:(?:a|the|your) "
    r")?(?:sources?|reference|evidence|proof)\b|"
    r"^(?:sources?|source please|citation needed|proof|says who|since when) ?\?|"
    r"^what (?:do|did|are|were) (?:you|u) (?:mean|talking|saying|referring)\b|"
    r"^(?:why|how come) (?:did|do|have|would|are) you (?:\w++ )?(?:remove|change|use|used|say|said|add|write|put|"
    r"choose|pick|delete|leave|include|"
    r"give|call|think|skip|drop|replace|keep|recommend|suggest|need|not)\w*\b|"
    r"^(?:but |so |and |wait )*(?:didn't|did not|haven't|don't|aren't|weren't|couldn't|shouldn't) you (?!think|have|"
    r"like|want|agree|know|find|love)|"
    r"^(?:are|is|was|were|did|does|do|has|have) (?:there|it|that|this|they|he|she|those|these) not\b|"
    r"^you (?:just )?(?:said|wrote|told me|mentioned|claimed)\b.*\?|"
    r"^(?:bist du (?:dir )?sicher|stimmt das|wirklich ?\?|woher weißt du|(?:es-tu|êtes-vous|tu es) sûre?|vraiment "
    r"?\?|c'est vrai|"
    r"¿?est[áa]s seguro|¿?de verdad|¿?es cierto)"
)
_NEGATIVE_QUESTION = re.compile(
    r"^(?:isn't|wasn't|aren't|weren't|isnt|wasnt|arent|doesn't|doesnt|hasn't|shouldn't) (?P<what>[^?]{2,120})\?"
)
_TAG = re.compile(
    r"\bisn't (?:it|that) (?:amazing|great|nice|wonderful|funny|lovely|beautiful|cool|strange|weird|sad|ironic)\b"
)


class Clarify:
    """Finds doubts about the reply before; weak evidence, so it teaches nothing by itself."""

    name = "clarify"

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return a finding if one of the first sentences doubts the reply or asks what it rests on."""
        turn = read_turn(prompt, reply, said)
        if not turn.answered or turn.role_play or turn.pasted:
            return []
        for sentence in turn.sentences[:2]:
            doubts = _DOUBT.match(sentence.body) or _DOUBT.match(sentence.plain)
            negative = _NEGATIVE_QUESTION.match(sentence.body)
            if (doubts or (negative and not _TAG.search(sentence.body))) and not sentence.after_task:
                return [Finding(SignalKind.CLARIFY, sentence.text, 0.4)]
        return []


@hookimpl
def nightschool_detectors() -> list[Detector]:
    """Supply the detector of doubts."""
    return [Clarify()]
