"""From a signal to a lesson: what an edit does, what a rule asks, what the user's words correct.

A lesson that has steps can be taught and checked. One without stays visible with a reason and a way out, and one that
asks for blind obedience is rejected. Knows no rewriter or detector by name; plugins supply both.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...schemas.records import Evidence, LessonState, Provenance, Scope, SignalKind, Step
from . import compose
from .contracts import Detector, Finding, Rewriter
from .draft import MAYBE_HERE, MAYBE_ONCE, SURE, TEACHING, LessonDraft, settled
from .prose import WORD
from .refusal import refusal
from .until import read_until
from .wording import FILLER, split_condition

if TYPE_CHECKING:
    from ..host.plugins import PluginHost

_NO_FORM = "Night School can't teach this yet: edit a reply the way you want it, and it learns from that."
_NOT_STYLE = (
    "This edit changes what the reply says, not how it says it: correct the way of answering, and it is learned."
)
_UNCLEAR = "This edit rewords too much to find a rule in it: say the rule in a sentence, or edit less of the reply."
_LOOKS_LIKE_CONTENT = "This may be about this one reply: approve it if every reply should be so."
_GUESSED = "Night School reads it as: {rule} Approve it if that is right, or edit the rule."


def find_corrections(
    plugins: PluginHost, prompt: str, reply: str, said: str, when: float | None = None
) -> list[LessonDraft]:
    """Return what the user's next message teaches or says of the reply; both are empty at the first turn.

    A draft without a rule is a signal to be noted: praise, doubt, or a correction of content, which is about one reply.
    ``when`` it was said counts where it names an end; None: now.
    """
    drafts: list[LessonDraft] = []
    detectors: list[Detector] = plugins.collect("nightschool_detectors")
    for detector in detectors:
        for finding in detector.find(prompt, reply, said):
            draft = _draft_of(plugins, finding, Evidence(prompt=prompt, before=reply, said=said), when)
            if all((draft.text, bool(draft.rule)) != (other.text, bool(other.rule)) for other in drafts):
                drafts.append(draft)
    return drafts


def _draft_of(plugins: PluginHost, finding: Finding, evidence: Evidence, when: float | None) -> LessonDraft:
    """Return what one finding teaches: for good, for once, or nothing by itself."""
    noted = LessonDraft(finding.kind, finding.rule, "", scope=finding.scope, confidence=finding.confidence)
    if finding.kind not in TEACHING:
        return noted
    draft = lesson_from_rule(plugins, finding.rule, when)
    draft = replace(draft, kind=finding.kind, text=finding.rule, evidence=[evidence], scope=finding.scope)
    draft = replace(draft, provenance=finding.provenance)
    if draft.state is LessonState.REJECTED:
        return draft
    if not draft.steps and finding.kind is not SignalKind.RULE:
        return noted
    sure = min(finding.confidence, draft.confidence) if draft.steps else finding.confidence
    reason = draft.reason
    if draft.steps and not reason and (finding.scope is not Scope.SLOT or finding.confidence < SURE):
        reason = MAYBE_HERE if finding.scope is Scope.CONVERSATION else MAYBE_ONCE
    return settled(replace(draft, confidence=sure, reason=reason))


def lesson_from_edit(plugins: PluginHost, prompt: str, before: str, after: str) -> LessonDraft:
    """Return what one edited reply teaches."""
    return lesson_from_edits(plugins, [(prompt, before, after)])


def lesson_from_edits(plugins: PluginHost, edits: Sequence[tuple[str, str, str]]) -> LessonDraft:
    """Return what several edits made for one rule teach; each is (prompt, before, after)."""
    rewriters: list[Rewriter] = plugins.collect("nightschool_rewriters")
    evidence = [Evidence(prompt=prompt, before=before, after=after) for prompt, before, after in edits]
    draft = LessonDraft(SignalKind.EDIT, edits[-1][2], "", evidence=evidence, provenance=Provenance.EDITED)
    found = compose.explain_all(rewriters, [(before, after) for _, before, after in edits])
    if found is None and (guess := compose.guess(rewriters, edits[-1][1], edits[-1][2])):
        rule = compose.say(rewriters, guess)
        return replace(draft, rule=rule, steps=guess, scope=Scope.REPLY, confidence=0.4, reason=_LOOKS_LIKE_CONTENT)
    if found is None:
        return replace(draft, rule="Answer as in the edited reply.", reason=_UNCLEAR)
    if not found.steps:
        return replace(draft, rule="Answer as in the edited reply.", reason=_NOT_STYLE)
    steps = [_general(rewriters, step) for step in found.steps]
    steps = [step for step in steps if not all(_swaps_content(step, before, after) for _, before, after in edits)]
    if not steps:
        return replace(draft, rule=compose.say(rewriters, found.steps), reason=_NOT_STYLE)
    draft = replace(draft, rule=compose.say(rewriters, steps), steps=steps, confidence=found.confidence)
    if len(edits) == 1 and any(_about_this_reply(step, edits[0][0], edits[0][1]) for step in steps):
        sure = min(draft.confidence, 0.4)
        draft = replace(draft, scope=Scope.REPLY, confidence=sure, reason=_LOOKS_LIKE_CONTENT)
    return settled(draft)


def lesson_from_rule(plugins: PluginHost, rule: str, said_at: float | None = None) -> LessonDraft:
    """Return what a rule in words asks for; ``said_at``: when, for an end that it names (None: now)."""
    draft = LessonDraft(SignalKind.RULE, rule, rule.strip())
    refused = refusal(rule)
    if refused is not None:
        return replace(draft, state=LessonState.REJECTED, reason=refused)
    until = read_until(rule, time.time() if said_at is None else said_at)
    draft = replace(draft, expires=until.end if until else None)
    when, rest = split_condition(until.rest if until else rule)
    rewriters: list[Rewriter] = plugins.collect("nightschool_rewriters")
    steps: list[Step] = []
    guessed = False
    for rewriter in rewriters:
        for args in rewriter.read(rest):
            guessed = guessed or bool(args.get("guess"))
            plain = {name: value for name, value in args.items() if name != "guess"}
            steps.append(Step(rewriter=rewriter.name, args=plain))
    if not steps:
        return replace(draft, when=when, reason=_NO_FORM)
    draft = replace(draft, when=when, steps=steps, confidence=0.4 if guessed else 0.95)
    said = compose.say(rewriters, steps)
    if guessed or _names_no_words(steps, rest):
        draft = replace(draft, reason=_GUESSED.format(rule=said))
    return settled(draft)


def combine(edit: LessonDraft, said: LessonDraft) -> LessonDraft | None:
    """Return one lesson for an edit and the words said about the same reply, or None if they ask for different things.

    The words give rule and condition; the edit gives the exact form, where it is one way of doing what they say.
    """
    if not edit.steps or not said.steps or LessonState.REJECTED in (edit.state, said.state):
        return None
    shown = {step.rewriter: step for step in edit.steps}
    asked = {step.rewriter: step for step in said.steps}
    both = shown.keys() & asked.keys()
    if not both or not all(_is_form_of(shown[name], asked[name]) for name in both):
        return None
    steps = [*edit.steps, *(step for step in said.steps if step.rewriter not in shown)]
    evidence = [Evidence(prompt=e.prompt, before=e.before, after=e.after, said=said.text) for e in edit.evidence]
    confidence = max(edit.confidence, said.confidence)
    scope = Scope.SLOT if Scope.SLOT in (edit.scope, said.scope) else said.scope
    both_say = replace(said, steps=steps, evidence=evidence, confidence=confidence, reason="")
    return settled(replace(both_say, scope=scope, provenance=Provenance.EDITED))


_COMMON = (
    "the and for you your that this with are was not but what how why who when where can could would from "
    "about into have has had will its it's is to of in on at a an or as by be do does i me my we they more "
    "most some any tell explain give name please like know want need help think question answer reply example "
    "say"
)
_FUNCTION_WORDS = frozenset(_COMMON.split())


def _general(rewriters: Sequence[Rewriter], step: Step) -> Step:
    """Return what a step shown once means for every reply."""
    rewriter = next(rewriter for rewriter in rewriters if rewriter.name == step.rewriter)
    args = rewriter.common([step.args])
    return step if args is None else Step(rewriter=step.rewriter, args=args)


def _swaps_content(step: Step, before: str, after: str) -> bool:
    """Whether a step only changes a fact or a word of this reply: a name, a number, a word that occurs once."""
    if not {"from", "to"} <= step.args.keys():
        return False
    old, new = str(step.args["from"]), str(step.args["to"])
    places = [match.group() for match in re.finditer(rf"(?i)(?<!\w){re.escape(old)}(?!\w)", before)]
    if any(letter.isdigit() for letter in old + new):
        return True
    common = old.lower() in _FUNCTION_WORDS or bool(FILLER.search(old.lower()))
    if _capital_inside(old, before) or (places and not common and all(place[:1].isupper() for place in places)):
        return True  # a name
    if len(places) >= 2 or "'" in old or "’" in old:
        return False
    if not new:
        return not FILLER.search(old.lower())
    return not _is_plain_word(new) or len(old.split()) > 1 or len(new.split()) > 1


def _capital_inside(old: str, before: str) -> bool:
    """Whether a word has its capital inside a sentence, as a name has."""
    match = re.search(rf"(?i)(?<!\w){re.escape(old)}(?!\w)", before)
    if match is None or not match.group()[:1].isupper():
        return False
    return not re.search(r"(?:^|[.!?:]\s|\n\s*(?:[-*•]\s*)?)$", before[: match.start()])


def _is_plain_word(word: str) -> bool:
    return bool(re.fullmatch(r"[a-z'’ -]+", word))


def _about_this_reply(step: Step, prompt: str, before: str) -> bool:
    """Whether a text that a step adds speaks of this prompt or reply, or gives figures."""
    if "text" not in step.args:
        return False
    text = str(step.args["text"])
    words = _content_words(text)
    repeated = words & _content_words(before)
    much = len(repeated) >= 2 and len(repeated) * 2 > len(words)
    running = len(text.split()) >= 5 and "\n" not in text  # not a title or a signature
    on_topic = running and bool(words & _content_words(prompt))
    return bool(re.search(r"\d", text)) or on_topic or much or len(text.split()) > 40


def _content_words(text: str) -> set[str]:
    return {m.group().lower() for m in WORD.finditer(text) if len(m.group()) > 2} - _FUNCTION_WORDS


def _names_no_words(steps: Sequence[Step], rule: str) -> bool:
    """Whether a step adds words that the rule does not name, so that the user should see which."""
    plain = " ".join(m.group().lower() for m in WORD.finditer(rule))
    added = [str(step.args["text"]) for step in steps if "text" in step.args]
    return any(" ".join(m.group().lower() for m in WORD.finditer(text)) not in plain for text in added)


def _is_form_of(shown: Step, asked: Step) -> bool:
    """Whether what an edit shows is one way of what the words ask: the same, or a longer opening or closing."""
    if "text" in shown.args and "text" in asked.args:
        one, other = str(shown.args["text"]).strip(), str(asked.args["text"]).strip()
        return one.startswith(other) or one.endswith(other)
    names = shown.args.keys() & asked.args.keys() - {"whole", "mark"}
    return all(shown.args[name] == asked.args[name] for name in names)
