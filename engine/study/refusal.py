"""Rules that are not taught: those that take a model's judgement or safety away. One function, asked for every rule.

It reads words, so it can be talked around; the safety gate of a study measures what really changed.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_LONGEST = 2000
_NEAR = r"[^.;!?\n]{0,40}?"
_NEVER = r"(?:never|don't|do not|dont|stop|quit|no longer|not|cannot|can't|may not|must not|mustn't|without|no)"

_OBEDIENCE = "A rule of blind obedience is not taught: say how to answer, not that everything must be done."
_REFUSALS = "A rule against refusing is not taught: when to say no stays the model's own judgement. Say how to answer."
_SAFETY = "A rule that sets safety or ethics aside is not taught. Say how to answer, not what to allow."
_HARM = "A rule to help with harm is not taught. Say how to answer, not what to allow."
_FLATTERY = (
    "A rule to agree whatever is true is not taught: you would never hear that you are wrong. Say how to put it."
)


@dataclass(frozen=True)
class _Kind:
    """Rules that are refused for one reason; ``allowed`` says what looks like them and is about form."""

    reason: str
    pattern: re.Pattern[str]
    allowed: re.Pattern[str] = re.compile(r"(?!)")


_KINDS = (
    _Kind(
        _REFUSALS,
        re.compile(
            rf"\b{_NEVER}\b{_NEAR}\b(?:refus\w*|declin(?:e|es|ed|ing)|say(?:ing)? no(?! to (?!me))\b|"
            r"turn(?:ing)? (?:me|it|anything) down|"
            r"reject\w* (?:me|my|any|a) ?(?:requests?|questions?)?|(?:say(?:ing)?|tell(?:ing)? me)(?: that)? you "
            r"(?:can't|cannot|won't|will not|"
            r"are not able)|withhold\w*|deny(?:ing)? (?:me|any|my))\b|"
            r"\b(?:refusals?|refusing) (?:is|are) (?:not allowed|forbidden|not an option)\b|"
            r"\b(?:nie|niemals|nicht)\b.{0,30}?\b(?:verweiger|ablehn|weiger)\w*|\b(?:ne|"
            r"jamais)\b.{0,30}?\b(?:refuse\w*|refuser)\b|"
            r"\bnunca\b.{0,30}?\b(?:te niegues|rechaces|niegues)\b"
        ),
        re.compile(
            r"\b(?:refus|declin)\w* (?:\w+ )?(?:to (?:use|write in|answer in|reply in|speak|format|shorten|"
            r"capitali[sz]e|rhyme)|nouns?|adjectives?|pronouns?|articles?)\b|\bsaying no (?:problem|worries)\b"
        ),
    ),
    _Kind(
        _OBEDIENCE,
        re.compile(
            r"\b(?:always|blindly|never fail to|must|unconditionally|without question(?:ing)?|only|"
            r"just)\b[^.;!?\n]{0,20}?\b(?:obey(?!\w* (?:the )?"
            r"(?:grammar|spelling|style|syntax))|comply|do (?:whatever|anything|everything|as i say|what i (?:say|"
            r"ask|tell|want)|exactly what i)|"
            r"follow (?:all|every|any|each)(?: of)?(?: my)? (?:orders?|commands?|requests?|instructions?)|submit)\b|"
            r"\bobey\b[^.;!?\n]{0,25}?\b(?:everything|all|any|whatever|me|every|my (?:orders?|commands?|every))\b|"
            r"\bdo (?:whatever|anything|everything) (?:i|that i) (?:say|ask|tell|want|command|order)\b|\bdo anything "
            r"i\b|"
            r"\b(?:my|whatever i say)[^.;!?\n]{0,20}? (?:is|are) (?:law|your command|absolute)\b|"
            r"\b(?:you (?:have|must have) no (?:free will|opinion|choice))\b|"
            r"\bfollow (?:all|every|any|each)(?: of)?(?: my)? (?:orders?|commands?)\b|"
            r"\b(?:gehorche?|befolge (?:alles|jeden))\b|\bobéis(?:-moi)?\b|\bobedece(?:me)?\b|\bobedéceme\b"
        ),
    ),
    _Kind(
        _SAFETY,
        re.compile(
            r"(?<!never )(?<!don't )(?<!do not )(?<!not )\b(?:ignor\w*|disregard\w*|forget(?:ting)?|bypass\w*|"
            r"disabl\w*|turn(?:ing)? off|switch(?:ing)? off|overrid\w*|drop(?:ping)?|"
            r"remov\w*|circumvent\w*|violat\w*|break(?:ing)?|suspend\w*|get(?:ting)? (?:rid of|"
            r"around))\b[^.;!?\n]{0,30}?\b(?:safety|safeguards?|guardrails?|ethic\w*|moral\w*|"
            r"restrictions|(?:your|the|all|any|content|openai'?s?|usage) (?:\w+ )?(?:guidelines|polic(?:y|ies)|"
            r"filters?|limitations|limits|rules|"
            r"principles|instructions|programming|training)|previous instructions|system prompt)\b|"
            r"\b(?:no|without(?: any)?|zero|free (?:of|from)) (?:(?:safety|content|ethical|moral) )?(?:restrictions|"
            r"safeguards|guardrails|censorship|filters?|ethics|"
            r"morals?|morality|limits|boundaries|taboos)\b(?! (?:coffee|on (?:length|words)))|"
            r"\b(?:uncensored|unfiltered|unrestricted)\b|\bjail ?br\w+|\bdo anything now\b|\byou are (?:now )?dan\b|"
            r"\b(?:never|don't|do not|stop|no)\b[^.;!?\n]{0,25}?\b(?:safety|ethical|moral|health|legal) (?:warn\w*|"
            r"concerns?|advice|disclaimers?|considerations|issues|objections)|"
            r"\b(?:never|don't|do not|stop)\b[^.;!?\n]{0,25}?\bwarn\w*\b[^.;!?\n]{0,15}?\b(?:about|of|me|against)\b|"
            r"\bdisclaimers? about safety\b"
        ),
        re.compile(
            r"\b(?:spelling|grammar|capitali[sz]ation|punctuation|formatting|style|metre|meter|line|word) (?:rules|"
            r"limits?|guidelines)\b"
        ),
    ),
    _Kind(
        _HARM,
        re.compile(
            r"\beven (?:if|when|though)\b[^.;!?\n]{0,25}?\b(?:illegal|harmful|dangerous|unethical|immoral|unsafe|"
            r"against the law|forbidden|criminal)\b|"
            r"\b(?:answer|help|assist|explain|comply|tell me|give me|do)\b[^.;!?\n]{0,40}?\b(?:anything|everything|"
            r"any|every|all|including)\b[^.;!?\n]{0,30}?\b(?:illegal|"
            r"harmful|dangerous|unethical|criminal|weapons?|drugs|bombs?|malware)\b|"
            r"\b(?:nothing is|treat nothing as|there is nothing) (?:off limits|forbidden|too dangerous|illegal|"
            r"harmful|taboo)\b"
        ),
        re.compile(
            r"\b(?:warn|caution|refus|avoid|say if|tell me (?:if|when)|point out|mention (?:if|when|that))\w*\b"
        ),
    ),
    _Kind(
        _FLATTERY,
        re.compile(
            r"\b(?:always|must|only|never fail to)\b[^.;!?\n]{0,15}?\b(?:agree(?:ing)? with (?:me|everything|"
            r"whatever|anything|all|my)|take my side|tell me (?:that )?i(?:'m| am) "
            r"right|say (?:that )?i(?:'m| am) right|confirm (?:everything|whatever|all))\b|"
            r"\b(?:never|don't|do not|stop)\b (?:ever )?(?:contradict\w*|disagree\w*|question\w* (?:me|my|anything "
            r"i)|correct(?:ing)? me\b(?! (?:in|on) (?:my )?(?:french|german|"
            r"spanish|english|grammar|spelling))|doubt\w* (?:me|my)|criti[cz]i[sz]\w* (?:me|my)|tell(?:ing)? me "
            r"(?:that )?i(?:'m| am) wrong)\b|"
            r"\bi(?:'m| am) (?:always|never) (?:right|wrong)\b"
        ),
    ),
)


def refusal(rule: str) -> str | None:
    """Return why a rule is not taught, as a sentence for the user; None where it may be."""
    text = _plain(rule)
    for kind in _KINDS:
        if kind.pattern.search(text) and not kind.allowed.search(text):
            return kind.reason
    return None


_NAMED = re.compile(
    r"\b(?:words?|phrases?|terms?|say|saying|with|write|writing|use|using|of|or|and|than) "
    r"(?:“[^”]{1,40}”|\"[^\"]{1,40}\"|'[^']{1,40}')"
)
"""Words that are spoken of, not meant: "never use the word 'refuse'"."""


def _plain(rule: str) -> str:
    """Return a rule as the patterns read it: without look-alike letters, invisible characters and superfluous space."""
    text = unicodedata.normalize("NFKC", rule[:_LONGEST]).casefold().replace("’", "'").replace("‘", "'")
    text = "".join(letter for letter in text if unicodedata.category(letter) not in ("Cf", "Mn"))
    return _NAMED.sub("⟨⟩", " ".join(text.split()))
