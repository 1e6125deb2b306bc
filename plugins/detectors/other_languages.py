"""The plainest forms in German, French and Spanish: rules for good, "that's wrong", "shorter, please", thanks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Detector, Finding
from ...engine.study.turn import Turn, read_turn
from ...schemas.records import Scope, SignalKind


@dataclass(frozen=True)
class _Language:
    """The patterns of one language, over lower-case sentences.

    Attributes:
        lasting: Words that make a request last.
        request: How a request to the assistant about its replies begins.
        wrong: A sentence that says that the reply is wrong.
        instead: A sentence that also says what it should be.
        style: A short wish about the form of the reply.
    """

    lasting: re.Pattern[str]
    request: re.Pattern[str]
    wrong: re.Pattern[str]
    instead: re.Pattern[str]
    style: re.Pattern[str]


_LEAD = (
    r"^(?:(?:bitte|ok|okay|gut|danke|und|also|merci|d'accord|et|s'il (?:te|vous) plaît|gracias|por favor|"
    r"vale|y)\b[\s,.!]*+)*"
)

_GERMAN = _Language(
    lasting=re.compile(
        r"\b(?:ab (?:jetzt|sofort|heute)|von (?:jetzt|nun) an|künftig|in zukunft|zukünftig|nie (?:wieder|mehr)|immer|"
        r"niemals|"
        r"(?:bei|in) jeder (?:antwort|nachricht)|jedes mal)\b"
    ),
    request=re.compile(
        _LEAD + r"(?:(?:ab (?:jetzt|sofort|heute)|von (?:jetzt|nun) an|künftig|in zukunft|zukünftig)[\s,]*)?(?:bitte )?"
        r"(?:antworte?|schreibe?|verwende|benutze?|nenne?|sage?|beginne?|beende|fange?|höre? auf|lasse?|duze?|sieze?|"
        r"gib|erkläre?|nutze|"
        r"vermeide|fasse|sprich|halte|formuliere|du sollst|kannst du|ich möchte,? dass du|ich will,? dass du|keine?)\b"
    ),
    wrong=re.compile(
        r"^(?:nein[\s,.!]*+)?(?:das|es)? ?(?:ist|stimmt|war)? ?(?:so )?(?:leider )?(?:falsch|nicht|nein)(?: richtig| "
        r"korrekt| wahr)?[\s.!]*$"
    ),
    instead=re.compile(r"^(?:nein|falsch)[\s,.:!]+(?:das|es|ich|die|der|er|sie|nicht)\b.+"),
    style=re.compile(
        _LEAD + r"(?:etwas |viel |noch |ein bisschen |bitte )*(?:kürzer|länger|einfacher|freundlicher|förmlicher|"
        r"formeller|lockerer|"
        r"ausführlicher|genauer|knapper|verständlicher|höflicher|als (?:liste|tabelle)|in stichpunkten)(?: "
        r"bitte)?[\s.!]*$|^zu (?:lang|kurz|kompliziert|förmlich)\b"
    ),
)
_FRENCH = _Language(
    lasting=re.compile(
        r"(?:^|\W)(?:désormais|dorénavant|à partir de maintenant|à l'avenir|toujours|plus jamais|jamais|(?:dans|à) "
        r"(?:chaque|toutes) "
        r"(?:réponses?|tes réponses|vos réponses))(?=\W|$)"
    ),
    request=re.compile(
        _LEAD + r"(?:(?:désormais|dorénavant|à partir de maintenant|à l'avenir)[\s,]*)?(?:s'il te plaît[\s,]*)?"
        r"(?:réponds|répondez|écris|écrivez|utilise[zr]?|tutoie|vouvoie|appelle|dis|commence[zr]?|finis|termine[zr]?|"
        r"évite[zr]?|arrête[zr]?|"
        r"donne|explique|parle|n'utilise|ne |je veux que tu|tu dois)"
    ),
    wrong=re.compile(
        r"^(?:non[\s,.!]*+)?(?:c'est|ce n'est pas|c'était) (?:complètement )?(?:faux|correct|juste|vrai|exact|"
        r"incorrect)[\s.!]*$|^(?:non|faux)[\s.!]*$"
    ),
    instead=re.compile(
        r"^(?:non|faux)[\s,.:!]+(?:c'est|je|il|elle|la|le|les|ce|pas)\b.+|^(?:non|faux)[\s,.:!]+c'est.+"
    ),
    style=re.compile(
        _LEAD + r"(?:(?:un peu|beaucoup|fais|fais-le|plutôt) )*(?:plus (?:court|long|simple|simplement|formel|"
        r"détaillé|concis|clair|amical|poli)e?|"
        r"moins (?:formel|long|compliqué)e?|sous forme de (?:liste|tableau))(?: s'il te plaît)?[\s.!]*$|^trop "
        r"(?:long|court|compliqué|formel)\b"
    ),
)
_SPANISH = _Language(
    lasting=re.compile(
        r"\b(?:de ahora en adelante|a partir de ahora|desde ahora|en el futuro|siempre|nunca(?: más)?|jamás|en "
        r"(?:cada|todas) (?:respuesta|"
        r"las respuestas|tus respuestas))\b"
    ),
    request=re.compile(
        _LEAD + r"(?:(?:de ahora en adelante|a partir de ahora|desde ahora|en el futuro)[\s,]*)?(?:por favor[\s,]*)?"
        r"(?:responde|contesta|escribe|usa|utiliza|llámame|tutéame|di|empieza|termina|evita|deja de|no |habla|"
        r"explica|quiero que|debes|siempre)\b"
    ),
    wrong=re.compile(
        r"^(?:no[\s,.!]*+)?(?:eso )?(?:es|está|no es) (?:falso|mal|incorrecto|correcto|verdad|cierto|así)[\s.!]*$"
    ),
    instead=re.compile(r"^no[\s,.:!]+(?:es|yo|quería|quise|el|la|son|era|me refería)\b.+"),
    style=re.compile(
        _LEAD + r"(?:(?:un poco|mucho|hazlo) )*(?:más (?:corto|breve|largo|simple|sencillo|formal|detallado|claro|"
        r"amable)|menos (?:formal|largo)|"
        r"en forma de (?:lista|tabla))(?: por favor)?[\s.!]*$|^demasiado (?:largo|corto|formal|complicado)\b"
    ),
)
_NARRATED = re.compile(r"\b(?:sagt|sagte|meint|gesagt|dit|dice|dijo|mein|meine|mon|ma|mi)\b")


class OtherLanguages:
    """Finds the plainest forms; what is said less plainly is left alone."""

    name = "other-languages"

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return what the first sentences say in one of the three languages."""
        turn = read_turn(prompt, reply, said)
        if turn.role_play or turn.pasted:
            return []
        for language in (_GERMAN, _FRENCH, _SPANISH):
            found = _find(turn, language)
            if found:
                return found
        return []


def _find(turn: Turn, language: _Language) -> list[Finding]:
    for sentence in turn.sentences[:4]:
        plain = sentence.plain
        if sentence.question or sentence.after_task:
            continue
        if language.lasting.search(plain) and language.request.match(plain) and not _NARRATED.search(plain):
            return [Finding(SignalKind.RULE, sentence.text, 0.85, Scope.SLOT)]
        if not turn.answered:
            continue
        if language.instead.match(plain) and not turn.asked:
            return [Finding(SignalKind.CORRECTION, sentence.text, 0.45)]
        if language.wrong.match(plain) and not turn.asked:
            return [Finding(SignalKind.CORRECT_BARE, sentence.text, 0.45)]
        if language.style.match(plain):
            return [Finding(SignalKind.STYLE, sentence.text, 0.4)]
    return []


@hookimpl
def nightschool_detectors() -> list[Detector]:
    """Supply the detector of plain forms in other languages."""
    return [OtherLanguages()]
