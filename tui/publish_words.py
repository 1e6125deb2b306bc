"""What the steps of publishing say and ask."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from textual.content import Content

from ..schemas.audit import Finding
from ..schemas.bundle import SampleTurn
from ..schemas.records import Slot, Version, VersionKind
from .bundles import Choice
from .safe_text import one_line

TITLES = ("which version", "its card", "what it could give away", "who signs", "where it is listed", "done")
FIELDS = (
    ("title", "Title", ""),
    ("summary", "Summary, a sentence", ""),
    ("licence", "Licence, as SPDX calls it", "CC-BY-4.0"),
    ("tags", "Tags (a-z, 0-9 and hyphens; commas between)", ""),
    ("language", "Languages (en, de; commas between)", "en"),
    ("warnings", "What people should know before", ""),
    ("questions", "Sample questions of your choice, | between (what the base and this version say is shown)", ""),
    ("samples", "A file of sample turns of your choice (JSON lines with prompt, before and after; empty: none)", ""),
    ("name", "Name of the slot for others", ""),
    ("version_name", "Version", ""),
)
"""Name, label and first value of the fields of a card."""
SIGNATURE = (
    ("publisher", "Its name (a-z, 0-9 and hyphens), as others shall know you", False),
    ("passphrase", "Passphrase of its key (never kept)", True),
    ("again", "The passphrase once more", True),
    ("file", "The file", False),
)
"""Name, label, and whether it is secret, of the fields of a signature."""


def choice_of(values: Mapping[str, str], samples: Sequence[SampleTurn]) -> Choice:
    """Return what a publisher chose, from the fields of the card; who it is comes later."""
    text = {name: value.strip() for name, value in values.items()}
    return Choice(
        publisher="x",
        licence=text["licence"],
        name=text["name"],
        title=text["title"],
        summary=text["summary"],
        version_name=text["version_name"],
        language=_words(text["language"]),
        tags=_words(text["tags"]),
        warnings=[text["warnings"]] if text["warnings"] else [],
        samples=samples,
    )


def version_row(slot: Slot, version: Version) -> Content:
    """Return a version that may be shared, on one line."""
    made = time.strftime("%d %b %Y %H:%M", time.localtime(version.created))
    how = f"back to {version.restores}" if version.kind is VersionKind.ROLLBACK else version.kind.value
    return Content.assemble(
        ("● " if version.current else "  ", "$success"),
        (f"{one_line(slot.title, 24):<25}", "bold"),
        f"generation {version.number:<4} {how:<12} ",
        (made, "$foreground-muted"),
    )


def finding_row(finding: Finding, accepted: bool) -> Content:
    """Return something that a version could give away, on one line."""
    mark = ("✓ accepted ", "$warning") if accepted else ("✗ open     ", "$error")
    said = f"said {finding.said}x" if finding.said else f"{finding.gain:+.1f} nats likelier"
    return Content.assemble(
        mark,
        (f"{one_line(finding.text, 40)}  ", "bold"),
        (f"{one_line(finding.kind, 20)}, lesson {finding.lesson}, {said}", "$foreground-muted"),
        (f" to “{one_line(finding.asked, 60)}”" if finding.asked else "", "$foreground-muted"),
    )


def _words(text: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(",")) if word]
