"""How long a rule is meant to count, where its words name an end: "until Friday", "for the next two weeks".

An end is the end of the day that is named, in the machine's own time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from ...schemas.records.record import LAST_MOMENT
from .wording import NUMBERS, QUOTED

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LENGTHS = {"day": 1, "week": 7, "fortnight": 14, "month": 30, "year": 365}
_FEASTS = {"christmas": (12, 25), "new year": (1, 1), "new year's": (1, 1), "new year's eve": (12, 31)}

_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_YEAR = r"(?:,? (?P<year>20\d\d))?"
_COUNT = rf"for (?:the )?(?:next |coming )?(?P<count>\d{{1,3}}|{'|'.join(NUMBERS)})(?: of)? "
_UNIT = "|".join(_LENGTHS)
_SPANS = (
    r"for (?:the rest of (?:the|this)|this) (?P<rest>week|month|year)",
    rf"for the (?:next|coming) (?P<one>{_UNIT})",
    rf"{_COUNT}(?P<unit>{_UNIT})s",
)
# "For a month plan" and "for the year it was built" are no spans, so these need the end of their clause.
_SHORT_SPANS = (r"for the (?P<rest>week|month|year)", rf"{_COUNT}(?P<unit>{_UNIT})")
_FIRST = r"(?:^\s*|(?<=[,;:.!?] )|(?<=\b(?:and|but) )|(?<=\b(?:just|only) )|(?<=\bplease )|(?<=\bfrom now on ))"
_ASKED = ("ask", "asks", "asked", "asking", "want", "wants", "need", "needs")
_NOT_ASKED = "".join(rf"(?<!\b{word} )" for word in _ASKED)
_UNTIL = r"(?:until|till|'til|up to|through)(?: the)?"
_FORMS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b{_UNTIL} (?P<iso>20\d\d-\d\d-\d\d)\b",
        rf"\b{_UNTIL} {_DAY}(?: of)? {_MONTH}{_YEAR}\b",
        rf"\b{_UNTIL} {_MONTH} {_DAY}{_YEAR}\b",
        rf"\b{_UNTIL} end of (?:the |this )?(?P<end>week|month|year)\b",
        rf"\b{_UNTIL} end of {_MONTH}\b(?P<whole>)",
        rf"\b{_UNTIL} (?:next )?(?P<weekday>{'|'.join(_DAYS)})\b",
        rf"\b{_UNTIL} (?P<tomorrow>tomorrow)\b",
        rf"\b{_UNTIL} (?P<feast>{'|'.join(sorted(_FEASTS, key=len, reverse=True))})\b",
        rf"\b{_UNTIL} {_MONTH}\b(?! \d)",
        *(rf"{_FIRST}{span}\b(?!['’-])" for span in _SPANS),
        *(rf"{_FIRST}{span}(?=\s*(?:[,;:]|$))" for span in _SHORT_SPANS),
        *(rf"{_NOT_ASKED}\b{span}(?=,?(?: please)?[\s.!]*$)" for span in (*_SPANS, *_SHORT_SPANS)),
    )
)
_SAID_OF_SOMETHING_ELSE = re.compile(
    rf"{QUOTED.pattern}|(?:^|(?<=[,;:.!?] ))"
    r"(?:when(?:ever)?|if|in case|while|(?:every|each|any) ?time|as soon as)\b[^,;:]*(?=[,;:](?! please))",
    re.IGNORECASE,
)
"""Quotations, and conditions that lead up to a rule."""


@dataclass(frozen=True)
class Until:
    """An end in words: the rest of the sentence, and the moment, in seconds since the epoch."""

    rest: str
    end: float


def read_until(text: str, now: float) -> Until | None:
    """Return the end that a sentence names, as somebody means it who says it at ``now``; None where it names none."""
    today = datetime.fromtimestamp(now).date()
    own = _SAID_OF_SOMETHING_ELSE.sub(lambda match: "·" * len(match[0]), text)
    for form in _FORMS:
        match = form.search(own)
        if match is None:
            continue
        try:
            last = _last_day({name: value for name, value in match.groupdict().items() if value is not None}, today)
        except ValueError:
            continue  # the 31st of February
        rest = f"{text[: match.start()].rstrip(' ,')} {text[match.end() :].lstrip(' ,')}".strip()
        return Until(rest, datetime.combine(last + timedelta(days=1), time.min).timestamp())
    return None


def read_end(text: str, now: float) -> float | None:
    """Return the moment that a user enters: "30d", "2 weeks", "2026-12-24", "until Friday"; None where it is none.

    Nor is what lies beyond ``LAST_MOMENT``.
    """
    plain = " ".join(text.split())
    if match := re.fullmatch(r"(?i)(\d{1,4}) ?(d|w|m|y)(?:ays?|eeks?|onths?|ears?)?", plain):
        unit = {"d": "day", "w": "week", "m": "month", "y": "year"}[match[2].lower()]
        end = now + int(match[1]) * _LENGTHS[unit] * 86400.0
    elif found := read_until(plain, now) or read_until(f"until {plain}", now) or read_until(f"for {plain}", now):
        end = found.end
    else:
        return None
    return end if end < LAST_MOMENT else None


def _last_day(said: dict[str, str], today: date) -> date:
    """Return the last day that counts, from the named parts of a match."""
    if "iso" in said:
        return date.fromisoformat(said["iso"])
    if "feast" in said:
        return _coming(today, *_FEASTS[said["feast"].lower()])
    if period := said.get("end") or said.get("rest"):
        return _end_of(period.lower(), today)
    if "month" in said:
        return _in_month(said, _MONTHS.index(said["month"].lower()) + 1, today)
    return today + timedelta(days=_days_ahead(said, today))


def _days_ahead(said: dict[str, str], today: date) -> int:
    if "weekday" in said:
        return (_DAYS.index(said["weekday"].lower()) - today.weekday() - 1) % 7 + 1
    if "count" in said:
        count = said["count"].lower()
        return (int(count) if count.isdigit() else NUMBERS[count]) * _LENGTHS[said["unit"].lower()]
    return _LENGTHS[said["one"].lower()] if "one" in said else 0  # what counts until tomorrow ends with today


def _in_month(said: dict[str, str], month: int, today: date) -> date:
    if "year" in said:
        return date(int(said["year"]), month, int(said["day"]))
    if "day" in said:
        return _coming(today, month, int(said["day"]))
    if "whole" in said:
        return _end_of("month", date(today.year + (month < today.month), month, 1))
    return _coming(today, month, 1) - timedelta(days=1)  # until March: February is the last


def _coming(today: date, month: int, day: int) -> date:
    """Return the next day of this name, today counting."""
    this_year = date(today.year, month, day)
    return this_year if this_year >= today else date(today.year + 1, month, day)


def _end_of(period: str, day: date) -> date:
    if period == "week":
        return day + timedelta(days=6 - day.weekday())
    if period == "year":
        return date(day.year, 12, 31)
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return following - timedelta(days=1)
