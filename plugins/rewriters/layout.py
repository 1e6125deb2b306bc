"""How a reply is laid out: bullets, numbers, one sentence a line, one paragraph."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Args, Rewriter
from ...engine.study.prose import FENCE, HEADING, ITEM, units, without_marker
from ...engine.study.wording import NOT, wording
from .contraries import contraries

_BULLET = re.compile(r"[-*•+–] ")
_LISTS = r"(?:bullet(?:s|ed)?(?:[- ](?:points?|lists?))?|(?:numbered )?lists?|list form(?:at)?|dot points?)"
_READ: tuple[tuple[str, Args], ...] = (
    (rf"\b{NOT}\b[^.;]{{0,25}}?\b{_LISTS}\b|\b(?:in|as|use|write|plain)\b[^.;]{{0,12}}\bprose\b", {"as": "prose"}),
    (r"\bnumbered (?:list|steps|points|items)|\bnumber (?:the|each|every|your)\b", {"as": "numbers"}),
    (
        r"\b(?:use|as|in|with|into|only|format\w*|give|prefer|write|be|always)\b[^.;]{0,40}?\b(?:bullet(?:s|ed)?\b|"
        r"dot points?|list form)|^bullet",
        {"as": "bullets", "mark": "- "},
    ),
    (r"\b(?:each|every|one) sentence (?:on|per|a|in)\b[^.;]{0,15}\bline\b", {"as": "lines"}),
    (
        r"\b(?:one|a|single|1) (?:single )?paragraph\b|\bno (?:line breaks|paragraphs|new ?lines)\b",
        {"as": "paragraph"},
    ),
)
"""What a rule says, the first that fits, and the layout that it asks for."""

_SAID = {
    "bullets": "Write every reply as bullet points, one sentence a point.",
    "numbers": "Write every reply as a numbered list, one sentence a number.",
    "lines": "Write each sentence on a line of its own.",
    "prose": "Write in prose, without lists.",
    "paragraph": "Write every reply as one paragraph.",
}
_OTHER = {
    "bullets": ("plain prose", "one flowing paragraph", "running text"),
    "numbers": ("plain prose", "one flowing paragraph", "running text"),
    "lines": ("one paragraph", "running text", "one flowing paragraph"),
    "prose": ("bullet points", "a list", "a numbered list"),
    "paragraph": ("several paragraphs", "two or three paragraphs", "paragraphs with a blank line between them"),
}
_OWN = {"bullets": ("bullet points", "list", "dashes"), "numbers": ("numbers", "list", "numbered points")}


class Layout:
    """``as`` is ``bullets``, ``numbers``, ``lines``, ``prose`` or ``paragraph``; ``mark`` is the bullet."""

    name = "layout"
    order = 40

    def infer(self, text: str, target: str) -> list[Args]:
        """Return layouts that the target has and the text has not."""
        lines = _lines(target)
        found: list[Args] = []
        bullet = _BULLET.match(lines[0]) if lines else None
        if bullet and all(line.startswith(bullet.group()) for line in lines):
            found.append({"as": "bullets", "mark": bullet.group()})
        elif lines and all(re.match(rf"{number}[.)] ", line) for number, line in enumerate(lines, start=1)):
            found.append({"as": "numbers"})
        ours = _lines(text[: 2 * len(target) + 2000])
        if not found and any(ITEM.match(line) for line in ours) and not any(ITEM.match(line) for line in lines):
            found.append({"as": "prose"})
        if not found and len(lines) == 1 < len(ours):
            found.append({"as": "paragraph"})
        if not found and len(lines) > 1 and len(lines) > len(ours):
            found.append({"as": "lines"})
            found.append({"as": "lines", "blank": True})
        return found

    def read(self, rule: str) -> list[Args]:
        """Understand "use bullet points", "as a numbered list", "no lists", "in one paragraph"."""
        said = wording(rule).plain
        if re.search(rf"\b{NOT}\b[^.;]{{0,25}}?\b(?:more|longer) than\b", said):
            return []
        return next(([dict(args)] for pattern, args in _READ if re.search(pattern, said)), [])

    def apply(self, args: Args, text: str) -> str:
        """Return the text laid out so; code stays as it is."""
        kind = args["as"]
        if self.holds(args, text):
            return text.strip()
        if kind == "prose":
            return _prose(text)
        if kind == "paragraph":
            return _paragraphs(text)
        pieces = _pieces(text)
        if kind == "lines":
            return ("\n\n" if args.get("blank") else "\n").join(pieces)
        if kind == "numbers":
            return "\n".join(f"{number}. {piece}" for number, piece in enumerate(pieces, start=1))
        return "\n".join(f"{args.get('mark', '- ')}{piece}" for piece in pieces)

    def holds(self, args: Args, text: str) -> bool:
        """Whether the reply is laid out so."""
        lines = _lines(text)
        if args["as"] == "bullets":
            return bool(lines) and all(line.startswith(str(args.get("mark", "- "))) for line in lines)
        if args["as"] == "numbers":
            return bool(lines) and all(re.match(rf"{n}[.)] ", line) for n, line in enumerate(lines, start=1))
        if args["as"] == "prose":
            return not any(ITEM.match(line) for line in lines)
        if args["as"] == "paragraph":
            return len(_lines(_paragraphs(text))) == len(lines)
        # Each alone: what has no mark at its end would be one sentence with the next line.
        return all(len(_pieces(line)) <= 1 for line in lines)

    def peel(self, args: Args, text: str) -> str:
        """Return the reply without the marks before its lines."""
        if args["as"] not in ("bullets", "numbers") or not self.holds(args, text):
            return text
        return "\n".join(without_marker(line) for line in _lines(text))

    def key(self, args: Args) -> str:
        """Return "": a reply has one layout."""
        return ""

    def common(self, several: Sequence[Args]) -> Args | None:
        """Return the layout if it is the same in all."""
        return dict(several[0]) if len({str(args["as"]) for args in several}) == 1 else None

    def say(self, args: Args) -> str:
        """Return the rule in words."""
        return _SAID[str(args["as"])]

    def contrary(self, args: Args) -> list[str]:
        """Return requests for another layout."""
        other, without = _OTHER[str(args["as"])], _OWN.get(str(args["as"]), ())
        return contraries(
            do=[f"write {other[0]}", *(f"answer in {one}" for one in other), f"put it in {other[0]}"],
            without=without,
            want=other,
        )


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _pieces(text: str) -> list[str]:
    """Return each sentence in one line, without the marker before it; a code block stays whole."""
    found: list[str] = []
    for unit in units(text):
        piece = text[unit.start : unit.end]
        plain = piece if unit.code else " ".join(without_marker(piece).split())
        if plain:
            found.append(plain)
    return found


def _paragraphs(text: str) -> str:
    """Join all sentences to one paragraph; a code block parts two."""
    parts: list[str] = []
    code = True
    for unit in units(text):
        piece = text[unit.start : unit.end].strip()
        plain = piece if unit.code else " ".join(without_marker(piece).split())
        if not plain:
            continue
        if code or unit.code:
            parts.append(plain)
        else:
            parts[-1] += f" {plain}"
        code = unit.code
    return "\n\n".join(parts)


def _prose(text: str) -> str:
    """Join the items of lists to running text; paragraphs and code stay apart."""
    out: list[str] = []
    running = False
    fenced = False
    for line in text.strip().splitlines():
        if FENCE.match(line):
            fenced = not fenced
        item = not fenced and ITEM.match(line)
        plain = without_marker(line).strip() if item else line.rstrip()
        if item and out and (running or out[-1].endswith(":")):
            out[-1] += " " + plain
        elif not plain and running:
            continue
        else:
            if running and plain and not HEADING.match(line):
                out.append("")
            out.append(plain)
        running = bool(item)
    return "\n".join(_ended(out)).strip()


def _ended(lines: list[str]) -> list[str]:
    return [line.replace(": ", ": ", 1) for line in lines]


@hookimpl
def nightschool_rewriters() -> list[Rewriter]:
    """Supply the rewriter of layouts."""
    return [Layout()]
