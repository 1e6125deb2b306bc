"""How far a wish reaches, by what the user says of it: for good, for this conversation, for this once.

Most wishes that sound like rules are meant once; so a reach is only believed where words mark it.
"""

from __future__ import annotations

import re

from ...schemas.records import Scope

REPLIES = (
    r"(?:repl(?:y|ies)|answers?|responses?|messages?|explanations?|outputs?|sentences? you write|things? you write)"
)
"""What an assistant gives, in a rule about all of them."""

CERTAIN = re.compile(
    r"(?:\bfrom (?:now|here) on(?:wards?)?(?: out)?\b|^\W*(?:\w+\W+){0,2}from now(?= ?[,:])|"
    r"\b(?:from|as of) (?:today|this (?:point|moment|day))(?: on(?:wards?)?| forward)?(?=[\s,.:;!–—-]|$)|"
    r"\b(?:going|moving) forward(?= ?(?:[,:;–—-]|please\b|always\b|use\b|don't\b))|^(?:\S++ ){1,14}(?:going|moving) "
    r"forward\W*$|\bhenceforth\b|\bhereafter\b|"
    rf"\b(?:in|for) (?:the )?future (?:reference|{REPLIES}|conversations?|chats?)\b|"
    r"^\W*(?:\w+\W+){0,3}(?:in|for) (?:the )?future\b(?! tense)|"
    r"^\W*(?:\w+\W+){0,2}(?:please|don't|do not|dont|never|always|can you|could you|give me|use|keep|write|answer|"
    r"reply|start|begin|end|finish|call me|say)\b[^,.]{1,80}\bin (?:the )?future\W*$|"
    rf"\b(?:all|any|every|your) future {REPLIES}|"
    r"\bfor (?:the )?next time\b|\bnext time (?:when )?you\b|\bnever (?:ever )?again\b|\bever again\b|"
    r"\bnot (?:now,? )?(?:and )?not ever\b|\bpermanently\b|\bfor good(?= ?(?:[,.;!]|$))|"
    r"\bby default, (?:please|always|use|answer|write)|\bas a general rule\b|^\W*as a rule\b|"
    r"\bmake (?:it|that|this) a (?:habit|"
    r"rule)\b|"
    r"\bget (?:in|into) the habit\b|\buntil further notice\b|\bno matter (?:what|how|which) (?:i|my)\b|"
    r"\b(?:(?:in|to|with|on|end|begin|start|finish|open|close|sign) all (?:of )?your|"
    r"(?:in|to|on|of|after|before|end|begin|start|finish|"
    r"open|close|sign)"
    rf" (?:every|each)(?: single)?(?: one)?(?: of)?(?: your)?) {REPLIES}\b|"
    rf"\b(?:end|begin|start|finish|open|close|sign|preface) all (?:the )?{REPLIES}\b|"
    rf"\b(?:end|start|beginning|bottom|top) of (?:all (?:of )?(?:your|the)|every|each)(?: single)? {REPLIES}\b|"
    rf"\b(?:every|each)(?: single)? {REPLIES} (?:you (?:send|give|write|make)|from you|of yours)\b|"
    rf"\ball (?:of )?your {REPLIES}(?= (?:should|must|need|have to|in\b|to\b|under|short|brief))|"
    r"\b(?:this|that) (?:goes|applies|holds|counts) for (?:every|all|each|any)\w*\b|\b(?:don't|do not|dont) ever\b)"
)
"""Says by itself that something is meant to last."""

_REQUEST = (
    r"(?:^|[,;:.!–—-] ?|\b(?:please|pls|kindly|and|so|but|to|ok|okay|you (?:must|should|need to|have to|shall|will|"
    r"can)|"
    r"(?:can|could|would|will) you|want|say|i said|remember|again|"
    r"(?:make sure|be sure|ensure|see to it)(?: that)? you|if you (?:could|would|can)|"
    r"forget to) )"
)
LIKELY = re.compile(
    rf"(?:{_REQUEST}(?:always|never)(?:, ever)? (?:please |ever )?(?!mind|been|had|seen|heard|gonna|thought|"
    r"knew|is|was|were|"
    r"has)\w+|"
    r"\b(?:always|at all times)\W*$|\bi (?:never|always) (?:want|prefer)\b|"
    r"\bi (?:hate|dislike|can't stand|don't like|do not like) it (?:when|if) you\b|"
    r"\b(?:start|begin|open|end|finish|close|sign|preface) (?:off )?(?:your |any )?(?:answers|replies|responses|"
    r"messages)\b|"
    r"(?:^|[,.;!] ?)(?:please )?(?:don't|do not|dont|stop|quit|no|i "
    r"(?:don't|do not|never) want)\b.{1,80}\b(?:any ?more|ever)\W*$|"
    r"\b(?:every|each)(?: single)? time (?:you|i (?:ask(?! you)|write|say|send|want|request|give))\b|"
    r"\b(?:every|each)(?: single)? time\W*$|^\W*(?:please )?(?:every|each)(?: single)? time ?,|"
    rf"\bmake (?:every|each|all)(?: of)?(?: your)? {REPLIES}\b(?! (?:a (?:bit|little) |much |even )?(?:\w+er|more|"
    r"less)\b)|"
    r"\bwhenever (?:you|i (?:ask|write|say|send|want|request|give))\b|"
    rf"\b(?:every|each|all)(?: single)?(?: of)?(?: my| your| the)? {REPLIES} (?:should|must|needs? to|has to|have to|"
    r"starts?|ends?|to (?:be|end|start|begin|have|include|contain))\b|"
    rf"\bremember to (?:\w++ ){{1,3}}{REPLIES}|\byour {REPLIES} (?:should|must|need to|have to) "
    r"(?:always|never|all)\b|"
    rf"^(?:please )?(?:answers|replies|responses|messages) (?:should|must|may|have to|need to)\b|"
    rf"\b(?:keep|limit|cap|restrict|hold|let) (?:every|each|all)(?: of)?(?: your)? {REPLIES}\b|"
    r"\b(?:answer|reply to|respond to) (?:(?:all|any|each)(?: of)? my|every)(?: \w+)? (?:questions?|prompts?|"
    r"requests?)\b|"
    rf"\bkeep all (?:of )?(?:your )?{REPLIES}|\b(?:must|should|shall) (?:call|address|refer to) me\b|\bkeep (?:that|"
    r"this) in mind\b|"
    rf"\bin (?:every|each) {REPLIES})"
)
"""Means duration where it stands in a short request about replies; elsewhere it means much else."""

OPENS = re.compile(
    r"^\W*(?:(?:ok(?:ay)?|no|hey|please|and|so|well|great|thanks|thank you|thx|also|but|btw|by the way|good|"
    r"right)\b[\s,.!:-]{0,9}+)*"
    r"(?:from (?:now|here|today|this (?:point|moment|day))\b|(?:going|moving) forward|henceforth|in (?:the )?future\b|"
    r"for (?:the )?future\b|for next time|next time\b(?! (?:i|we|he|she|they|there)\b)|"
    r"(?:for|in) (?:all|every|each|any)(?: of)?(?: your| my)?(?: future| following| coming)? "
    rf"(?:{REPLIES}|conversations?|chats?)\b)"
)
"""A sentence that begins with its duration."""

STANDS_FOR_GOOD = re.compile(
    r"^\W*(?:(?:and )?(?:please )?(?:remember|keep|bear|note) (?:that|this|it)(?: in mind)?(?: please)?(?: from "
    r"(?:now|here) on)?|"
    r"every(?: single)? time|always|not now,? (?:and )?not ever|ever|never ever|(?:this|that) (?:goes|applies|holds|"
    r"counts|is) "
    r"(?:for (?:every|all|each|any)\b.{0,40}|always)|(?:from|as of) (?:now|today)(?: on)?|for good|in every (?:reply|"
    r"answer|case)|"
    r"no matter what(?: i ask)?|no exceptions|without exception|i mean it)\W*$"
)
"""A sentence of its own that gives duration to its neighbour: "Every time."."""

HERE = re.compile(
    r"\b(?:(?:for|in|during|throughout|within) (?:the )?(?:(?:rest|remainder|whole|entire|duration) of )?(?:this|the|"
    r"our) "
    r"(?:whole |entire |current )?(?:chat|conversation|session|game|quiz|story|exercise|thread|discussion|project|"
    r"lesson|"
    r"role-?play|adventure|interview|debate|dialogue|exam|practice|test|rehearsal)|for (?:the )?(?:rest|remainder) of|"
    r"(?:for|in) the next (?:\w++ )?(?:questions?|messages?|turns?|minutes?|hour|prompts?|repl(?:y|ies)|answers?)|"
    r"while (?:we|i|you)(?:'re| are)?\b|until (?:i|we|you)\b|as long as (?:i|we|you)\b|"
    r"(?:for )?(?<!from )(?<!as of )today\b(?! on)|tonight|"
    r"for now|till (?:i|we|you)\b|in here|(?:this|that) time around)\b"
)
"""Says that something is meant for what is going on now."""

ONCE = re.compile(
    r"\b(?:this time|(?:in|for|of) (?:this|that|the last|your last|the next) (?:reply|answer|response|message|one|"
    r"question|text|"
    r"email|case)|just (?:once|this once)|for once|only now)\b"
)
"""Says that something is meant once."""


def reach(plain: str) -> Scope | None:
    """Return how far a sentence says that it reaches; None where it says nothing of that."""
    if ONCE.search(plain):
        return Scope.REPLY
    if HERE.search(plain):
        return Scope.CONVERSATION
    if CERTAIN.search(plain) or LIKELY.search(plain):
        return Scope.SLOT
    return None
