"""Lessons as compositions of rewriter steps: applied, checked, merged, said, and inferred from an edit.

Steps are applied in the order of their rewriters: marks, terms, length, case, layout, closing, opening. Inference is a
small best-first search: a step that adds something at an end is peeled off the edited reply, any other is applied to
the model's own, until the two are the same.
"""

from __future__ import annotations

import heapq
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from ...schemas.records import Step
from .contracts import Args, ExchangesWords, RespellsText, Rewriter
from .prose import WORD

_DEPTH = 5
_EXPANSIONS = 40
_LARGE = 12_000  # characters above which fewer nodes are looked at
_SAME_WORDS = 0.6  # share of an edited reply's words that an approximate explanation must give
_STEP_COST = 0.02


@dataclass(frozen=True)
class Explanation:
    """What an edit does. ``confidence`` is 1 where applying the steps gives the edited reply to the letter."""

    steps: list[Step]
    confidence: float


def apply(rewriters: Sequence[Rewriter], steps: Sequence[Step], text: str) -> str:
    """Return a reply as the steps want it, without outer white space."""
    for rewriter, args in _ordered(rewriters, steps):
        text = rewriter.apply(args, text)
    return text.strip()


def holds(rewriters: Sequence[Rewriter], steps: Sequence[Step], text: str) -> bool:
    """Whether a finished reply follows every step.

    What outer steps add (an opening, a closing, bullets) is taken off before inner ones look, so that a signature is
    no second sentence and "Captain," no capital in a text of small letters.
    """
    text = text.strip()
    for rewriter, args in reversed(_ordered(rewriters, steps)):
        if not rewriter.holds(args, text):
            return False
        text = rewriter.peel(args, text)
    return True


def follows(rewriters: Sequence[Rewriter], steps: Sequence[Step], step: Step, text: str) -> bool:
    """Whether a reply follows one step, seen under the outer ones that it follows too."""
    by_name = _by_name(rewriters)
    order = by_name[step.rewriter].order
    for rewriter, args in reversed(_ordered(rewriters, steps)):
        if rewriter.order > order and rewriter.holds(args, text):
            text = rewriter.peel(args, text)
    return by_name[step.rewriter].holds(step.args, text)


def merge(rewriters: Sequence[Rewriter], old: Sequence[Step], new: Sequence[Step]) -> list[Step]:
    """Return the steps of two lessons together; where both settle the same thing, the newer one does."""
    merged = {_key(rewriters, step): step for step in old if not any(undoes(step, later) for later in new)}
    for step in new:
        merged[_key(rewriters, step)] = step
    return list(merged.values())


def undoes(old: Step, new: Step) -> bool:
    """Whether one step exchanges two words, and the other exchanges them back."""
    ways = [tuple(str(step.args.get(name, "")).strip().lower() for name in ("from", "to")) for step in (old, new)]
    return old.rewriter == new.rewriter and ways[0] == ways[1][::-1] and "" not in ways[0]


def say(rewriters: Sequence[Rewriter], steps: Sequence[Step]) -> str:
    """Return the steps as sentences that a user can read; what comes first in a reply is said first."""
    return " ".join(rewriter.say(args) for rewriter, args in reversed(_ordered(rewriters, steps)))


def exchanges(rewriters: Sequence[Rewriter], steps: Sequence[Step]) -> list[tuple[str, str]]:
    """Return the pairs of words that the steps exchange wherever they would be said."""
    able = [(one, args) for one, args in _ordered(rewriters, steps) if isinstance(one, ExchangesWords)]
    return [pair for rewriter, args in able for pair in rewriter.exchanges(args)]


def respell(rewriters: Sequence[Rewriter], steps: Sequence[Step], text: str) -> str:
    """Return a piece of text as the steps spell every word."""
    for rewriter, args in _ordered(rewriters, steps):
        if isinstance(rewriter, RespellsText):
            text = rewriter.respell(args, text)
    return text


def respells(rewriters: Sequence[Rewriter], steps: Sequence[Step]) -> bool:
    """Whether the steps spell every word otherwise, as a case of letters does."""
    return any(respell(rewriters, steps, text) != text for text in ("tEsT", "TeSt"))


def contrary(rewriters: Sequence[Rewriter], steps: Sequence[Step]) -> list[tuple[str, Step]]:
    """Return templates with ``{prompt}`` that ask for the opposite of one step each, the steps taking turns."""
    by_name = _by_name(rewriters)
    lists = [
        [(text, step) for text in by_name[step.rewriter].contrary(step.args)]
        for step in reversed(_sorted(rewriters, steps))
    ]
    turns = [pair for row in itertools.zip_longest(*lists) for pair in row if pair is not None]
    return list({text: (text, step) for text, step in reversed(turns)}.values())[::-1]


def infer(rewriters: Sequence[Rewriter], before: str, after: str) -> list[Step] | None:
    """Return the shortest composition that explains an edit, [] if nothing changed, None if there is none."""
    found = explain(rewriters, before, after)
    return None if found is None else found.steps


def infer_all(rewriters: Sequence[Rewriter], pairs: Sequence[tuple[str, str]]) -> list[Step] | None:
    """Return the composition that explains several edits made for one rule; ``pairs`` are (before, after)."""
    found = explain_all(rewriters, pairs)
    return None if found is None else found.steps


def explain(rewriters: Sequence[Rewriter], before: str, after: str) -> Explanation | None:
    """Return what explains an edit, exactly or but for some words, or None."""
    text, target = before.strip(), after.strip()
    if not target:
        return None
    if text == target:
        return Explanation([], 1.0)
    exact, near, nodes = _search(rewriters, text, target)
    if exact is not None:
        return Explanation(_needed(rewriters, exact, text, target), 1.0)
    if near is not None:
        return Explanation(_needed(rewriters, near, text, target), 0.95)
    if _same(text, target):
        return Explanation([], 1.0)
    return _approximate(rewriters, text, target, nodes)


def guess(rewriters: Sequence[Rewriter], before: str, after: str) -> list[Step]:
    """Return what a free rewording might be meant to show: a length, case or layout that the model's reply had not."""
    steps: list[Step] = []
    for rewriter in rewriters:
        if rewriter.order >= _OUTER or not after.strip():
            continue
        for args in rewriter.infer(before.strip(), after.strip()):
            shapes = rewriter.order >= _WHOLE
            if shapes and rewriter.holds(args, after) and not rewriter.holds(args, before):
                steps.append(Step(rewriter=rewriter.name, args=args))
                break
    return _sorted(rewriters, steps)


def explain_all(rewriters: Sequence[Rewriter], pairs: Sequence[tuple[str, str]]) -> Explanation | None:
    """Return what explains several edits made for one rule: the steps found in any that all of them follow."""
    each = [found for before, after in pairs if (found := explain(rewriters, before, after)) is not None]
    if not each:
        return None
    if len(pairs) == 1:
        return each[0]
    by_name = _by_name(rewriters)
    groups: dict[tuple[str, str], list[Step]] = {}
    for found in each:
        for step in found.steps:
            groups.setdefault(_key(rewriters, step), []).append(step)
    steps: list[Step] = []
    for group in groups.values():
        args = by_name[group[0].rewriter].common([step.args for step in group])
        if args is not None:
            steps.append(Step(rewriter=group[0].rewriter, args=args))
    steps = [step for step in steps if all(follows(rewriters, steps, step, after) for _, after in pairs)]
    if not steps:
        return None
    exact = sum(_same(apply(rewriters, steps, before), after) for before, after in pairs)
    return Explanation(_sorted(rewriters, steps), 0.7 + 0.3 * exact / len(pairs))


# -- the search -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Node:
    """A partial explanation: the steps, the model's reply after the inner ones, the edit without the outer ones."""

    steps: tuple[Step, ...]
    text: str
    target: str
    distance: float


def _search(
    rewriters: Sequence[Rewriter], text: str, target: str
) -> tuple[list[Step] | None, list[Step] | None, list[_Node]]:
    """Return an exact explanation, one exact but for white space, and the nodes seen."""
    full = text
    if len(text) > _LARGE and len(target) < len(text) // 3:
        text = text[: 3 * len(target) + 4000]  # a cut: what lies far behind it explains nothing
    limit = _EXPANSIONS if len(text) + len(target) < _LARGE else 6
    start = _Node((), text, target, _distance(text, target))
    queue: list[tuple[float, int, _Node]] = [(start.distance, 0, start)]
    count = itertools.count(1)
    seen: set[str] = set()
    nodes = [start]
    near: list[Step] | None = None
    while queue and limit > 0:
        _, _, node = heapq.heappop(queue)
        if len(node.steps) >= _DEPTH:
            continue
        limit -= 1
        for child in _children(rewriters, full if text is full else text, node):
            name = _canonical(child.steps)
            if name in seen:
                continue
            seen.add(name)
            nodes.append(child)
            if child.distance < 0.02 or _same(child.text.lower(), child.target.lower()):
                result = apply(rewriters, child.steps, full)
                if result == target:
                    return list(child.steps), near, nodes
                if near is None and _same(result, target):
                    near = list(child.steps)
            heapq.heappush(queue, (child.distance + _STEP_COST * len(child.steps), next(count), child))
    return None, near, nodes


def _children(rewriters: Sequence[Rewriter], text: str, node: _Node) -> list[_Node]:
    """Return the node's explanations with one step more."""
    children: list[_Node] = []
    taken = {_key(rewriters, step) for step in node.steps}
    for rewriter in sorted(rewriters, key=lambda rewriter: rewriter.order):
        for args in rewriter.infer(node.text, node.target):
            step = Step(rewriter=rewriter.name, args=args)
            if _key(rewriters, step) in taken:
                continue
            target, ours = rewriter.peel(args, node.target), node.text
            if rewriter.order >= _OUTER and _is_own(node.target, target, text):
                continue
            steps = (*node.steps, step)
            if rewriter.order < _OUTER:
                target = node.target
                ours = apply(rewriters, [s for s in steps if _by_name(rewriters)[s.rewriter].order < _OUTER], text)
            if target != node.target or ours != node.text:
                children.append(_Node(steps, ours, target, _distance(ours, target)))
    return children


def _is_own(target: str, peeled: str, text: str) -> bool:
    """Whether what a step would take off the target are the model's own words: all, or most of a longer text."""
    theirs, rest = ([m.group().lower() for m in WORD.finditer(part)] for part in (target, peeled))
    added = theirs[len(rest) :] if theirs[: len(rest)] == rest else theirs[: len(theirs) - len(rest)]
    own = [m.group().lower() for m in WORD.finditer(text)]
    if len(added) <= 2:
        return bool(added) and added in (own[: len(added)], own[-len(added) :])
    if f" {' '.join(added)} " in f" {' '.join(own)} ":
        return True
    long = [word for word in added if len(word) > 3]
    return len(added) >= 4 and sum(word in own for word in long) * 5 >= len(long) * 3


_WHOLE = 30  # rewriters from here on shape the reply as a whole: length, case, layout
_OUTER = 45  # from here on they only add at the ends of a reply


def _approximate(rewriters: Sequence[Rewriter], text: str, target: str, nodes: Sequence[_Node]) -> Explanation | None:
    """Return the best explanation that leaves some words free, if only the edited reply follows it."""
    best: tuple[float, _Node, float] | None = None
    for node in sorted(nodes, key=lambda node: node.distance + _STEP_COST * len(node.steps))[:8]:
        if not node.steps or not holds(rewriters, node.steps, target):
            continue
        if any(holds(rewriters, [step], text) for step in node.steps):
            continue
        alike = _alike(node.text, node.target)
        score = alike - 2 * _STEP_COST * len(node.steps)
        if alike >= _SAME_WORDS and (best is None or score > best[0]):
            best = (score, node, alike)
    if best is None:
        return None
    _, node, alike = best
    return Explanation(
        _needed(rewriters, node.steps, text, target), round(0.5 + 0.4 * (alike - _SAME_WORDS) / (1 - _SAME_WORDS), 3)
    )


_PIECE = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_|\n+")


def _distance(text: str, target: str) -> float:
    """Return how far two texts are apart, 0..1, as bags of words and marks: rough, but linear in their length."""
    if text == target:
        return 0.0
    ours, theirs = Counter(_PIECE.findall(text)), Counter(_PIECE.findall(target))
    total = ours.total() + theirs.total()
    cased = 1 - 2 * (ours & theirs).total() / max(total, 1)
    low, high = _lowered(ours), _lowered(theirs)
    return 0.5 * cased + 0.5 * (1 - 2 * (low & high).total() / max(total, 1))


def _lowered(pieces: Mapping[str, int]) -> Counter[str]:
    lowered: Counter[str] = Counter()
    for piece, count in pieces.items():
        lowered[piece.lower()] += count
    return lowered


def _alike(text: str, target: str) -> float:
    """Return the share of the target's words that stand in the text in the same order."""
    ours, theirs = text.lower().split()[:1500], target.lower().split()[:1500]
    if not theirs:
        return 0.0
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(len(theirs), len(ours))


def _same(one: str, other: str) -> bool:
    """Whether two texts differ in white space only."""
    return one.split() == other.split()


def _needed(rewriters: Sequence[Rewriter], steps: Sequence[Step], text: str, target: str) -> list[Step]:
    """Return the steps in order, without those that change nothing for the better."""
    kept = list(steps)
    reached = _distance(apply(rewriters, kept, text), target)
    for step in steps:
        rest = [other for other in kept if other is not step]
        if rest and _distance(apply(rewriters, rest, text), target) <= reached:
            kept = rest
    return _sorted(rewriters, kept)


# -- steps ------------------------------------------------------------------------------------------------------------


def _by_name(rewriters: Sequence[Rewriter]) -> dict[str, Rewriter]:
    return {rewriter.name: rewriter for rewriter in rewriters}


def _ordered(rewriters: Sequence[Rewriter], steps: Sequence[Step]) -> list[tuple[Rewriter, Args]]:
    """Return the steps with their rewriters, in the order of application.

    Raises:
        KeyError: If no rewriter of that name is loaded.
    """
    by_name = _by_name(rewriters)
    return sorted(((by_name[step.rewriter], step.args) for step in steps), key=lambda pair: pair[0].order)


def _sorted(rewriters: Sequence[Rewriter], steps: Sequence[Step]) -> list[Step]:
    by_name = _by_name(rewriters)
    return sorted(steps, key=lambda step: by_name[step.rewriter].order)


def _key(rewriters: Sequence[Rewriter], step: Step) -> tuple[str, str]:
    return step.rewriter, _by_name(rewriters)[step.rewriter].key(step.args)


def _canonical(steps: Sequence[Step]) -> str:
    return json.dumps(sorted((step.rewriter, json.dumps(step.args, sort_keys=True)) for step in steps))
