"""What importers share: times, texts and turns as a transcript holds them, whatever the file said."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import ValidationError

from ...schemas.exchange import Skipped, Transcript, TranscriptTurn
from ...schemas.records import Role
from ...schemas.records.record import LAST_MOMENT

EMPTY = "nothing was said in it"
ODD = "damaged: not a conversation as it should be"
LONGEST_ID = 200


def transcript(
    turns: Iterable[TranscriptTurn], *, id: object = "", title: object = "", created: object = None,
    updated: object = None,
) -> Transcript | Skipped:  # fmt: skip
    """Return a conversation from its turns in order and from what the file says of it, which may be anything.

    Turns without words are left out, and what one side says in several turns is one, as chat templates want it.
    """
    said = joined(turns)
    name = text_of(title)
    if not said:
        return Skipped(reason=EMPTY, title=name[:LONGEST_ID])
    try:
        return Transcript(
            id=text_of(id)[:LONGEST_ID], title=name, created=moment(created), updated=moment(updated), turns=said
        )
    except ValidationError:
        return Skipped(reason=ODD, title=name[:LONGEST_ID])


def turn(role: Role, text: object, *, id: object = "", created: object = None) -> TranscriptTurn:
    """Return a turn; what is no text is none."""
    return TranscriptTurn(role=role, text=text_of(text), id=text_of(id)[:LONGEST_ID], created=moment(created))


def joined(turns: Iterable[TranscriptTurn]) -> list[TranscriptTurn]:
    """Return the turns that hold words, those of one side after another as one."""
    said: list[TranscriptTurn] = []
    for one in turns:
        if not one.text.strip():
            continue
        if said and said[-1].role is one.role:
            text = f"{said[-1].text}\n\n{one.text}"
            said[-1] = said[-1].model_copy(update={"text": text})
        else:
            said.append(one)
    return said


def text_of(value: object) -> str:
    """Return a text without halves of characters; what is none is empty."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def moment(value: object) -> float | None:
    """Return seconds since the epoch from a number of seconds or an ISO 8601 time; None where it is neither."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            seconds = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and 0.0 < seconds < LAST_MOMENT else None
