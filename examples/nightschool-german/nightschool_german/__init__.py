"""German: what a user asks for about the form of replies, as rules that Night School can teach; and `nightschool woche`.

The core hears the plainest German forms and notes them in the user's own words, but its rewriters read English rules. This
detector says what was meant in English: "Antworte ab jetzt immer in Kleinbuchstaben" becomes "Always answer in lowercase."
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Sequence

from nightschool.engine.host.hooks import hookimpl
from nightschool.engine.plug.contracts import Command, Context
from nightschool.engine.study.contracts import Detector, Finding
from nightschool.schemas.errors import UsageError
from nightschool.schemas.records import Scope, SignalKind

NIGHTSCHOOL_HOOK_API = 1

LONGEST = 2_000
"""Characters of a message that is read; a longer one is a pasted text."""
WEEK = 7 * 86_400

_LASTING = re.compile(
    r"\b(ab (jetzt|sofort|heute)|von (jetzt|nun) an|künftig|zukünftig|in zukunft|immer|nie(mals)?( wieder| mehr)?|"
    r"(bei|in) jeder (antwort|nachricht)|jedes mal)\b"
)
_ASKED = re.compile(
    r"\b(antworte|schreibe?|verwende|benutze?|nutze|beginne?|beende|fange?|höre?|lasse?|gib|vermeide|fasse?|formuliere|halte|"
    r"mache?|keine?|ohne|bitte|sollst|kannst du|ich (möchte|will))\b"
)
_QUOTED = r"[„“\"»‚']([^“”\"«‘']{1,60})[“”\"«‘']"

RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (r"\b(kleinbuchstaben|klein ?geschrieben|alles klein)\b", "Always answer in lowercase."),
        (r"\b(großbuchstaben|alles groß)\b", "Always answer in uppercase."),
        (r"\b(keine?|ohne|nie\w*|vermeide?) (\w+ )?ausrufezeichen\b", "Never use exclamation marks."),
        (r"\b(keine?|ohne|nie\w*|vermeide?) (\w+ )?emojis?\b", "Never use emojis."),
        (r"\b(kein|ohne) fettdruck\b", "Don't use bold."),
        (r"\b(stichpunkten?|stichpunkte|als liste|aufzählung)\b", "Use bullet points."),
        (r"\b(keine|ohne) listen?\b|\bim fließtext\b", "Use no lists."),
        (r"\bin einem satz\b", "Answer in one sentence."),
        (r"\bin (?:höchstens |maximal )?(zwei|2) sätzen\b", "Answer in two sentences."),
        (r"\bin (?:höchstens |maximal )?(drei|3) sätzen\b", "Answer in three sentences."),
        (rf"\b(?:beginn|fang)\w*\b.*\bmit {_QUOTED}", "Start every reply with “{0}”."),
        (rf"\b(?:beende|ende|schließ)\w*\b.*\bmit {_QUOTED}", "End every reply with “{0}”."),
    )
)
"""What is said, over lower case, and what it means in English; ``{0}`` is what was quoted, in its own spelling."""
WORDS = re.compile(r"\b(?:höchstens|maximal|nicht mehr als) (\d{1,3}) wörtern?\b")


class German:
    """Hears requests about the form of replies."""

    name = "german"

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return the rules that the user's words ask for, each in English."""
        if len(said) > LONGEST:
            return []
        found: dict[str, Finding] = {}
        for sentence in re.split(r"(?<=[.!?])\s+|\n+", said):
            low = sentence.lower()
            rules = _meant(sentence)
            lasting = bool(_LASTING.search(low))
            if rules and (lasting or _ASKED.search(low)) and not low.rstrip().endswith("?"):
                for rule in rules:
                    scope, sure = (Scope.SLOT, 0.9) if lasting else (Scope.REPLY, 0.6)
                    found.setdefault(rule, Finding(SignalKind.RULE, rule, confidence=sure, scope=scope))
        return list(found.values())


def _meant(sentence: str) -> list[str]:
    """Return the rules that a sentence asks for."""
    low = sentence.lower()
    rules = []
    for pattern, rule in RULES:
        match = pattern.search(low)
        if match is not None:
            quoted = sentence[match.start(1) : match.end(1)].strip() if "{0}" in rule else ""
            rules.append(rule.format(quoted))
    return rules + [f"Always answer in at most {count[1]} words." for count in WORDS.finditer(low)]


class Woche:
    """What was learned in the last seven days."""

    name = "woche"
    about = "Sagt auf Deutsch, was in den letzten sieben Tagen gelernt wurde."
    title = "Woche (Deutsch)"

    def run(self, context: Context, arguments: Sequence[str]) -> str:
        """Return a short report, or with --json its figures."""
        if [argument for argument in arguments if argument != "--json"]:
            raise UsageError("woche nimmt kein Argument außer --json.")
        since = time.time() - WEEK
        lessons = [lesson for lesson in context.lessons(context.slot or None) if lesson.created >= since]
        counts = Counter(lesson.state.value for lesson in lessons)
        if "--json" in arguments:
            return json.dumps({"lessons": len(lessons), "states": counts})
        if not lessons:
            return "In den letzten sieben Tagen gab es nichts zu lernen."
        words = {"learned": "gelernt", "approved": "für die nächste Nacht", "proposed": "noch zu bestätigen"}
        lines = [f"{count:4} {words.get(state, state)}" for state, count in counts.most_common()]
        return "\n".join(["Lektionen der letzten sieben Tage:", *lines])


@hookimpl
def nightschool_detectors() -> list[Detector]:
    """Supply the detector."""
    return [German()]


@hookimpl
def nightschool_commands() -> list[Command]:
    """Supply the command."""
    return [Woche()]
