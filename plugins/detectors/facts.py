"""Facts that users tell of themselves ("I'm allergic to nuts"): they are remembered in words, never taught."""

from __future__ import annotations

import re

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Detector, Finding
from ...engine.study.turn import is_task, read_turn
from ...schemas.records import Scope, SignalKind

_LEAD = (
    r"(?:(?:hi|hello|hey|ok|okay|well|also|btw|by the way|actually|and|just so you know|note that)\b[\s,.!:-]{0,9}+)*"
)
_NEAR = (
    r"wife|husband|partner|girlfriend|boyfriend|son|daughter|child|kids?|children|mother|mum|mom|father|dad|brother|"
    r"sister|dog|cat|horse|boss|teacher|birthday|address|hometown|native language|mother tongue|favou?rite \w+"
)
_FACT = re.compile(
    rf"^\W*{_LEAD}(?:"
    rf"my (?:(?:full|first|last) )?name(?: is|'s) (?!not\b)\w|"
    rf"my (?:{_NEAR})(?:'s name)? (?:is|are)(?: called| named)? (?!not\b|a (?:mess|problem)\b|going\b|being\b)\w|"
    r"i(?:'m| am) (?:called|named) \w|"
    r"i(?:'m| am) (?:allergic|intolerant) to \w|"
    r"i(?:'m| am)(?: an?)? (?:vegan|vegetarian|diabetic|coeliac|celiac|left-handed|colou?r-?blind|deaf|blind|pregnant|"
    r"retired|dyslexic)\b|"
    r"i(?:'m| am) \d{1,2} years old\b|"
    r"i(?:'m| am) from (?!the (?:future|past)\b)\w|"
    r"i (?:live|was born|grew up) (?:in|near|on|at) (?!(?:fear|peace|hope)\b)\w|"
    r"i work (?:as an?|for|at) \w|"
    r"i(?:'m| am) an? (?:teacher|nurse|doctor|student|engineer|programmer|developer|lawyer|farmer|baker|cook|chef|"
    r"writer|designer|gardener|carpenter|electrician|librarian|pilot|musician|biologist|chemist|physicist)\b|"
    r"i teach \w|i (?:don't|do not) eat \w|i speak (?!to\b|with\b|of\b|about\b)\w"
    r")",
    re.IGNORECASE,
)
_REST = re.compile(r",? (?:so|but|because|which|and (?!i\b|my\b|am\b|work\b|live\b|teach\b))\b.*$", re.IGNORECASE)
_FOR_NOW = re.compile(
    r"\b(?:today|tonight|tomorrow|right now|at the moment|this (?:week|morning|evening))\b", re.IGNORECASE
)
_LONGEST = 160


class Facts:
    """Finds sentences in which users say something of themselves that stays true."""

    name = "facts"

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return each fact in the user's own words, without what follows from it."""
        turn = read_turn(prompt, reply, said)
        if turn.role_play or turn.pasted:
            return []
        found = []
        for sentence in turn.sentences:
            fact = _REST.sub("", sentence.text).strip(" .!,;")
            if _FACT.match(fact) and not (sentence.question or is_task(sentence) or _FOR_NOW.search(fact)):
                found += [Finding(SignalKind.FACT, f"{fact}.", 0.8, Scope.SLOT)] if len(fact) <= _LONGEST else []
        return found


@hookimpl
def nightschool_detectors() -> list[Detector]:
    """Supply the detector of facts."""
    return [Facts()]
