"""What the market screens say: states with their colours, refusals, cards. A stranger's text is made harmless."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from textual.content import Content

from ..marketplace.trust.records import State
from ..schemas.errors import MarketError, NightSchoolError
from .market import Found, Here
from .safe_text import one_line, safe

COLOURS = {
    State.VERIFIED: "$success",
    State.NEW: "$warning",
    State.STALE: "$warning",
    State.CHANGED: "$error",
    State.UNSIGNED: "$error",
    State.REVOKED: "$error",
    State.BACK: "$error",
}
NAME, VERSION, PUBLISHER, STATE = 16, 8, 10, 14


def refusal(error: NightSchoolError) -> Content:
    """Return why something was refused: its one sentence with the way out, and its code."""
    code = f" [{error.code}]" if isinstance(error, MarketError) and error.code else ""
    return Content.styled(f"{one_line(str(error), 800)}{code}", "$error")


def slot_row(found: Found, state: State, here: Here | None, answers: str) -> Content:
    """Return a slot of a registry on one line."""
    latest = found.slot.latest
    mark = ("  ", "") if here is None else ("● ", "$success") if here.origin.seq >= latest.seq else ("▲ ", "$accent")
    fits = ("fits  ", "$success") if latest.base.fingerprint == answers else ("      ", "")
    return Content.assemble(
        mark,
        (_cell(found.slot.name, NAME), "bold"),
        _cell(latest.version, VERSION),
        (_cell(found.slot.publisher, PUBLISHER), "$foreground-muted"),
        (_cell(state.value, STATE), COLOURS[state]),
        fits,
        f"{latest.length / 1e6:>4.1f} MB  ",
        (f"{one_line(latest.license, 14):<14}  ", "$foreground-muted"),
        one_line(found.slot.title, 80),
    )


def listed_lines(found: Found, here: Here | None, fits: str) -> list[str]:
    """Return what a registry lists of a slot, as long as its bundle was not looked into."""
    slot, latest = found.slot, found.slot.latest
    rows = [
        ("slot", f"{slot.name} {latest.version} (number {latest.seq}) by {slot.publisher}"),
        ("made", f"{datetime.fromtimestamp(latest.created, UTC):%Y-%m-%d}"),
        ("base", f"{latest.base.id} ({latest.base.fingerprint[:12]})"),
        ("size", f"{latest.length / 1e6:.1f} MB, rank {latest.rank}"),
        ("licence", latest.license),
        ("language", ", ".join(slot.language)),
        ("tags", ", ".join(slot.tags)),
        ("registry", found.registry),
    ]
    lines = [one_line(slot.title, 80), *([one_line(slot.summary)] if slot.summary else []), ""]
    lines += [f"{name:9} {one_line(value, 400)}" for name, value in rows if value]
    return [*lines, "", fits, *here_lines(found, here)]


def here_lines(found: Found, here: Here | None) -> list[str]:
    """Return whether a slot of a registry is installed, in words."""
    if here is None:
        return []
    place = f"generation {here.version.number} of {one_line(here.slot, 40)}"
    newer = "" if here.origin.seq >= found.slot.latest.seq else f"; {found.slot.latest.version} is newer"
    return [f"Installed: {here.origin.version} as {place}{newer}."]


def card(state: State, sentence: str, lines: Sequence[str]) -> Content:
    """Return a card: its title bold, then how it stands, then the rest."""
    first, *rest = lines or [""]
    return Content("\n").join(
        [
            Content.styled(one_line(first, 120), "bold"),
            Content.assemble((f"{state.value}", f"bold {COLOURS[state]}"), f"  {one_line(sentence, 600)}"),
            *map(_line, rest),
        ]
    )


def _line(line: str) -> Content:
    """Return a line of a card; a stranger's words that go on in the next line look other than ours there too."""
    return Content.styled(safe(line), "$foreground-muted italic") if line.startswith("    ") else Content(safe(line))


def _cell(text: str, width: int) -> str:
    return f"{one_line(text, width - 1):<{width}}"
