"""Rules for replies to come: "from now on, ...", "please always ...", "stop ...ing", "until I say so, only ...".

A sentence counts only if it speaks to the assistant, about its replies, and says that it lasts: for good (``SLOT``) or
for what is going on (``CONVERSATION``). Rules for others, task texts, stories, questions and talk about the world are
left alone. Most patterns come from reading where earlier ones went wrong on real chats.
"""

from __future__ import annotations

import re

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Detector, Finding
from ...engine.study.scope import CERTAIN, HERE, LIKELY, ONCE, OPENS, REPLIES, STANDS_FOR_GOOD
from ...engine.study.turn import Sentence, Turn, is_task, read_turn
from ...engine.study.wording import NUMBER
from ...schemas.records import Scope, SignalKind

_VERB = (
    r"(?:start|begin|open|end|finish|close|conclude|sign|answer|reply|respond|write|use|say|call|address|refer|greet|"
    r"keep|give|"
    r"add|put|include|mention|make|be|speak|talk|format|explain|limit|avoid|stop|skip|omit|leave|drop|replace|spell|"
    r"number|"
    r"capitali[sz]e|uppercase|lowercase|list|ask|apologi[sz]e|repeat|quote|cite|translate|provide|show|tell|remember|"
    r"offer|prefix|"
    r"summari[sz]e|append|state|define|suggest|recommend|correct|point out|stick|act|assume|convert|round|reveal|"
    r"wrap|structure|phrase|check|break|split|link|highlight|reference|prefer|shorten|"
    r"get (?:straight |right )?to the point|respect|treat|"
    r"expect|cap|do away with|get rid of|bold|itali[cs]i[sz]e|emphasi[sz]e|underline|rhyme)"
)
_OF_ASSISTANT = re.compile(
    r"\b(?:answer|reply|respond|call me|address me|refer to me|tell me|give me|show me|ask me|telling me|giving me|"
    r"asking me|"
    r"suggest|recommend|apologi[sz]\w*|lectur\w+|for me|to me|explain|quote|cite|point out|correct every|correct my|"
    r"when you|i ask|i write|i say|i send|my (?:code|texts?|e?mails?|questions?))\b"
)
"""What only an assistant is asked for, so that the sentence is about replies without naming them."""
_FORM = re.compile(
    r"\b(?:repl(?:y|ies)|answers?|answering|responses?|respond(?:ing)?|messages?|explanations?|explain(?:ing)?|"
    r"sentences?|words?|"
    r"paragraphs?|commas?|hyphens?|numerals?|spell|"
    r"bullets?|bullet ?points?|lists?|table|emojis?|emoticons?|smileys?|exclamation|lower ?case|upper "
    r"?case|capitals?|"
    r"caps|markdown|bold|headings?|headers|titles?|signature|greetings?|introductions?|intro|preamble|disclaimers?|"
    r"jargon|"
    r"buzzwords|examples?|analog(?:y|ies)|metaphors?|metric|imperial|units?|celsius|fahrenheit|ounces|grams|inches|"
    r"miles|"
    r"kilomet\w+|decimals?|brief\w*|short(?:er)?|concise\w*|wordy|verbose|chatty|long-winded|"
    r"capitali[sz]\w+|long(?:er)?|formal(?:ly)?|informal(?:ly)?|casual\w*|"
    r"simple|simply|"
    r"polite\w*|blunt\w*|direct\w*|tone|style|prose|running text|dash(?:es)?|semicolons?|parenthes[ei]s|quotes|"
    r"lines?|line breaks|"
    r"code|comments|questions?|summary|summaries|rhymes?|puns?|jokes|slang|british|american|spelling|pirate|sources?|"
    r"links?|"
    r"references|citations?|dates?|prices?|euros?|currency|in (?:french|german|spanish|english|italian|latin|dutch|"
    r"polish|"
    r"portuguese|japanese|chinese|rhyme|character)|grammar|mistakes?|"
    r"call(?:ing)? me|address(?:ing)? me|greet|sign off|sign(?:ing)? (?:your|it|with)|say(?:ing)?|start(?:ing)?|"
    r"begin(?:ning)?|"
    r"end(?:ing)?|to the point|letter|choices|options|thing|phrase|type hints|docstrings?|snake_case|camelcase|steps?|"
    r"recipes?|e?-?mails?)\b|⟨\d+⟩"
)
_YOU = (
    r"(?:you (?:should|shouldn't|must|mustn't|need to|don't need to|don't have to|do not need to|have to|are to|can|"
    r"can't|cannot|"
    r"may|will|shall|only|always|never|had better|better)\b"
    r"|(?:i(?:'d| would)? (?:really |much )?(?:like|prefer|want|need|love|rather|expect|appreciate))\b(?! (?:a|an|"
    r"the|to) )"
    r"|i (?:really )?(?:don't|do not|dont|never|only|no longer|always) (?:want|need|like|care for)\b(?! to (?!see|"
    r"hear|read))"
    r"|i never want\b|i find\b|"
    r"i (?:hate|don't like|do not like|can't stand|cannot stand|dislike) (?:it )?(?:when|your|these|those|the)\b"
    rf"|(?:every|each|all)(?: of)?(?: your| the| my)? {REPLIES} (?:should|must|needs? to|has to|have to|ends?|"
    r"starts?|begins?|in)\b"
    rf"|(?:your|any) {REPLIES}\b|(?:answers|replies|responses|messages) (?:should|must|need to|have to)\b"
    rf"|let (?:every|each|all)(?: of)?(?: your)? {REPLIES}\b|you(?: are|'re) not (?:allowed|permitted) to\b"
    r"|it(?:'d| would) be (?:great|nice|good|better|lovely|helpful|perfect) if you\b"
    r"|make sure|be sure|remember to|make it a (?:habit|rule)|see to it|let's (?:keep|use|stick|"
    r"say|have)|"
    r"(?:could|can|would|will) you\b|would you mind|don't forget|keep in mind|get (?:in|into) the habit)"
)
_LEADS = r"(?:please|pls|plz|kindly|just|also|then|only|always|never|don't|do not|dont|ever|not to|to|try to|instead)"
_TO_YOU = re.compile(rf"^(?:{_LEADS} )*(?:{_VERB}\b|{_YOU})")
_CLAUSE = re.compile(r" ?(?:[,;:]|\s[–—-]+\s|[.!]+\s|\bso\b|\band\b|\bbut\b) ?")
_NOT_ANY = re.compile(
    r"^(?:please )?(?:no|not|only|just|metric|without|in|one|short|use|all (?:lower|upper|caps|capital)\w*|"
    rf"(?:max(?:imum)?(?: of)?|at most|up to|under|below|(?:less|fewer) than)? ?{NUMBER} (?:words?|sentences?|lines?|"
    r"paragraphs?)|(?:the )?(?:(?:words?|phrase) )?[\w⟨⟩ ]{3,30} (?:is|are) (?:now )?(?:banned|forbidden|not allowed|"
    r"off[- ]limits))\b"
)
_DURATION_FIRST = re.compile(
    r"^(?:from (?:now|here|today|this (?:point|moment))(?: on(?:wards?)?)?(?: out)?|going forward|moving forward|"
    r"henceforth|"
    r"in (?:the )?future|for (?:the )?future(?: reference)?|for next time|next time(?: you \w+)?|until further notice|"
    r"as a (?:general )?rule|by default|in general|for the record)\b[\s,:–—-]*"
)
_CONDITIONAL = re.compile(
    r"^(?:please )?(?:when(?:ever)?|if|every time|each time|any ?time|for|in|after|before|at the end of|during|while|"
    r"until|"
    r"throughout|as long as)\b[^,:]{1,120}[,:] ?(?P<rest>.+)"
)
_STANDING = re.compile(
    r"^(?:please )?(?:when(?:ever)?|if|every time|each time)\b(?! (?:you (?:can|could|like|want)|possible|it|that|"
    r"this|the user))"
    r"[^,:]{0,60}\b(?:i ask(?! you)|you (?:explain|describe|write|answer|give|suggest|draft|talk|recommend|translate|"
    r"quote|code)|"
    r"(?:the|a|my) question is about|answering)\b"
    r"|^(?:please )?(?:for|with|in) (?!this|these|that|those|the\b)(?:all |any |my |your )*(?:[\w/-]+ ){1,3}"
    r"(?:questions?|requests?|prompts?|topics?|queries)\b"
)
_LONG, _LONG_OPENING = 60, 45
"""Words of a message, after a reply and at the first turn, beyond which it is taken for a brief."""
_OF_ME = re.compile(
    r"^(?:assume\b.{0,40}\bi\b(?! ask)|i(?:'ll| will| am going| shall)|i'm going to|we(?:'ll| will|'re| "
    r"are)|you are(?! not allowed)|you're(?! not allowed))\b"
)
_STATES = re.compile(r"\b(?:is|are|was|were|means)\b")
_PLAY = re.compile(
    r"\b(?:quests?|dungeon|hp|guess(?:es)?|(?:the|this|our) (?:game|story|adventure|scene|player|quiz)|npcs?|"
    r"role-?play)\b"
)
"""A game or a story goes on: a rule for good is one for it."""
_REWORK = re.compile(
    r"\b(?:rewrite|update|re-?do|rework|revise|regenerate|generate|summari[sz]e|translate)\b (?:this|that|the|it|"
    r"above|my)\b"
)
_IN_A_WORK = re.compile(
    r"\b(?:in|of|to|from|for|on) (?:the|this|these|that|its|his|her|their|my) (?:\w++ ){0,2}(?:story|css|html|code|"
    r"names?|functions?|class(?:es)?|"
    r"script|game|poem|essay|article|letter|table|file|book|novel|song|script|dialogue|headline|title|section|"
    r"chapter|page|paper|report|"
    r"component|query|database|character|scene|plot|product|app|program|website|blog|post|form|field|variable|schema|"
    r"itinerary|"
    r"above|following|previous|first|second|third|last)\b"
)
_STOP = re.compile(
    r"^(?:(?:can|could|would|will) (?:you|u) )?(?:please |pls |just )*(?:stop|quit|no more|enough with|cut out|"
    r"refrain from|avoid|lose|drop|skip) (?:it )?(?:the |with the |with |all the |those |all those |these "
    r")?(?P<what>.+)"
)
_HABIT = re.compile(
    r"^(?:say|us|writ|call|add|end|start|begin|apologi[sz]|repeat|ask|giv|includ|mak|answer|reply|put|sign|be|"
    r"explain|number|"
    r"list|mention|refer|capitali[sz]|tell|lectur|moraliz|hedg|prefac|quot|remind|address|greet|end)\w*ing\b"
)
_HABIT_THING = re.compile(
    r"^(?:your )?(?:emojis?|smileys?|bullet ?points?|lists|exclamation marks?|puns?|disclaimers?|jargon|apologies|"
    r"markdown|"
    r"headings|bold|hashtags|buzzwords|semicolons|em dash(?:es)?|greetings?|introductions?|follow-up questions|⟨\d+⟩)"
)
_HABIT_ALONE = re.compile(
    r"^(?:apologi[sz]|lectur|moraliz|moralis|hedg)ing(?: (?:to|at) me| so much| (?:all|every) .*)?\W*$"
)
"""What of all writers only an assistant is asked to stop."""
_ADDRESS = re.compile(
    r"^(?:please |just |you (?:can|may|must|should) )*(?:call|address) me\b"
    r"(?! (?:back|later|when|at|on|in|if|tomorrow|crazy|a|an|old|whenever|by|stupid|maybe|ishmael|out)\b)(?!\?)"
)
_TOLD = re.compile(
    r"^(?:as i (?:already )?said|like i said|i (?:already |just )?(?:told|asked) you(?: to| not to| that| before)?|"
    r"i (?:already |just )?said|i've (?:already )?(?:told|asked) you|how (?:many times|often) (?:do|must|have) "
    r"i\b[^:?!]{0,60}[:?!])"
    r"\b[\s,:]*"
)
_OF_OTHERS = re.compile(
    r"\b(?:where|who|whose|which|that) (?:(?:he|she|it|they|the \w+) )?(?:always|never)\b|"
    r"\b(?:he|she|they|we|people|everyone|everybody|nobody|someone|somebody|one|my (?!questions?|code|e?mails?|"
    r"texts?|requests?|"
    r"messages?)\w+|the (?!question)\w+|agents?|users?|players?|"
    r"customers?|employees|all (?:visitors|employees|users|members)|members|visitors|tenants?) (?:always|never|"
    r"should|must|says?|"
    r"said|told|insists?|wants?|thinks?)\b"
)
_WORLD = re.compile(
    r"^(?:we|he|she|they|it|the|people|everyone|nobody|my|this|that|there|i (?:want|need|like|plan|try|hope) to)\b"
)


_LEADING_HERE = re.compile(rf"^(?:ok[\s,]+)?(?:{HERE.pattern})[\s,:]*")
_YOU_ONLY = re.compile(r"^(?:please )?(?:i'd like you to|i want you to|you|act as|be)\b")
_WHEN_ALWAYS = re.compile(
    rf"^(?:when(?:ever)?|if|every time)\b.*\b(?:always|never|please|just|only|don't|do not) {_VERB}\b"
)


class Rules:
    """Finds rules that are said in so many words; it guesses no intention."""

    name = "rules"

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return the rules in a message, at most one a sentence."""
        turn = read_turn(prompt, reply, said)
        if turn.pasted and len(said) > 2000:
            return []
        found = []
        for place, sentence in enumerate(turn.sentences):
            beside = turn.sentences[max(0, place - 1) : place] + turn.sentences[place + 1 : place + 2]
            lasts = any(STANDS_FOR_GOOD.match(other.plain) for other in beside)
            finding = _judge(turn, sentence, lasts=lasts)
            if finding is not None:
                found.append(finding)
        return found


def _judge(turn: Turn, sentence: Sentence, *, lasts: bool) -> Finding | None:
    """Return the rule in a sentence; ``lasts``: a sentence beside it says that it is meant for good."""
    plain, body = sentence.plain, _TOLD.sub("", sentence.body)
    opens = bool(OPENS.match(plain))
    certain = opens or lasts or bool(CERTAIN.search(plain))
    bare = _DURATION_FIRST.sub("", body)
    if _left_alone(sentence, bare, certain=certain, opens=opens):
        return None
    if HERE.search(plain):
        return _for_now(sentence, body)
    if ONCE.search(plain) or turn.role_play or _is_brief(turn):
        return None
    sure = _sure(turn, sentence, bare, certain=certain, opens=opens)
    if sure and not _PLAY.search(plain):
        return Finding(SignalKind.RULE, sentence.text, sure, Scope.SLOT)
    told = turn.answered and body != sentence.body and _manner(body) and (_to_you(body) or _NOT_ANY.match(body))
    return Finding(SignalKind.RULE, sentence.text, 0.45, Scope.CONVERSATION) if sure or told else None


def _left_alone(sentence: Sentence, bare: str, *, certain: bool, opens: bool) -> bool:
    """Whether a sentence is a question or a quotation, or about something or somebody else."""
    plain = sentence.plain
    return bool(
        re.fullmatch(r"⟨\d+⟩[.!?]*|\(.*\)", plain)  # a quotation, a stage direction
        or sentence.question
        or (plain.endswith("?") and not _lasting(plain))
        or (is_task(sentence) and not certain)
        or _OF_ME.match(bare)
        or re.match(r"\W*(?:thanks?|thank you|thx) (?:a lot )?for\b", plain)
        or (_OF_OTHERS.search(bare) and not (opens and _to_you(bare)))
    )


def _is_brief(turn: Turn) -> bool:
    """Whether a message is a brief for a task: what it lays down holds for that."""
    return turn.words > (_LONG if turn.answered else _LONG_OPENING)


def _sure(turn: Turn, sentence: Sentence, bare: str, *, certain: bool, opens: bool) -> float:
    """Return how sure it is a rule for good, 0 if it is none. ``bare``: without the duration that it begins with."""
    conditional = _CONDITIONAL.match(bare)
    to_you = _to_you(bare) or bool(conditional and _to_you(conditional["rest"]))
    manner = _manner(bare)
    about_you = manner or bool(_OF_ASSISTANT.search(bare))
    asked = to_you and about_you
    likely = bool(LIKELY.search(sentence.plain))
    no_subject = bool(_NOT_ANY.match(bare))
    if sentence.after_task and not opens:
        return 0.9 if certain and asked else 0.0
    grounds = (
        (0.95, opens and (asked or (about_you and not (_WORLD.match(bare) or _STATES.search(bare))))),
        (0.9, certain and (asked or (about_you and (no_subject or re.search(r"\bwhen you\b", bare))))),
        (0.85, likely and asked and not turn.pasted and not _of_a_work(bare)),
        (0.8, likely and turn.answered and no_subject and manner),
        (0.8, asked and not turn.pasted and _STANDING.match(bare)),
        (0.7, _ADDRESS.match(bare) or (_stops_a_habit(bare, manner) and not _of_a_work(bare))),
    )
    return next((sure for sure, holds in grounds if holds), 0.0)


def _for_now(sentence: Sentence, body: str) -> Finding | None:
    """Return a rule for this conversation."""
    rest = _LEADING_HERE.sub("", body)
    conditional = _CONDITIONAL.match(rest)
    rest = conditional["rest"] if conditional else rest
    about_you = rest != body or _manner(rest) or bool(_OF_ASSISTANT.search(rest))
    if sentence.question or sentence.after_task or not (_to_you(rest) or _YOU_ONLY.match(rest)) or not about_you:
        return None
    if is_task(sentence) and rest == body:
        return None
    return Finding(SignalKind.RULE, sentence.text, 0.45, Scope.CONVERSATION)


def _of_a_work(text: str) -> bool:
    """Whether it is about a piece of work, and holds for that."""
    return bool(_IN_A_WORK.search(text) or _REWORK.search(text))


def _to_you(text: str) -> bool:
    """Whether any clause of it asks the assistant for something."""
    return bool(_WHEN_ALWAYS.match(text)) or any(_TO_YOU.match(clause) for clause in _CLAUSE.split(text) if clause)


def _manner(text: str) -> bool:
    return bool(_FORM.search(text))


def _lasting(plain: str) -> bool:
    return bool(CERTAIN.search(plain) or LIKELY.search(plain) or re.search(r"\bstop\b", plain))


def _stops_a_habit(body: str, manner: bool) -> bool:
    """Whether it is "stop ...ing" or "no more ..." of something that replies do."""
    match = _STOP.match(body)
    if match is None:
        return False
    verb = body[: match.start("what")]
    if re.search(r"\b(?:skip|drop|lose|avoid)\b", verb):
        return False  # of one reply, as often as not
    what = match["what"]
    return bool((manner and _HABIT.match(what)) or _HABIT_THING.match(what) or _HABIT_ALONE.match(what))


@hookimpl
def nightschool_detectors() -> list[Detector]:
    """Supply the detector of rules."""
    return [Rules()]
