"""How good the generations of a slot are, and a word when the newest is corrected more than the one before."""

from __future__ import annotations

import logging
import math

from ...schemas.errors import NightSchoolError
from ...schemas.events import NoticeEvent
from ...schemas.messages import GetQuality, Rollback
from ...schemas.records import GenerationQuality, GenerationUse, Signal, SignalKind, StudyReport, Version, VersionKind
from ..settings import read_settings
from .rooms import Rooms, Tell
from .slot_service import SlotService

_log = logging.getLogger(__name__)

CORRECTING = frozenset({SignalKind.EDIT, SignalKind.CORRECTION, SignalKind.CORRECT_BARE, SignalKind.THUMB_DOWN})
LEAST_REPLIES = 12
"""Of each of the two generations that are compared."""
CLEARLY = 1.5
"""So many times as often must the newer one be corrected ..."""
BY_CHANCE = 0.05
"""... and so unlikely must that be if both were equally good (Fisher's exact test, one side)."""


class QualityService:
    """Handler of ``versions.quality``, and the look at a slot after each signal."""

    def __init__(self, rooms: Rooms, slots: SlotService) -> None:
        self._rooms = rooms
        self._slots = slots
        self._told: set[tuple[str, int]] = set()

    async def quality(self, request: GetQuality, tell: Tell) -> list[GenerationQuality]:
        """Return what is known of each generation."""
        used = {use.version: use for use in self._rooms.records.use(request.slot)}
        versions = reversed(self._rooms.store.versions(request.slot))
        return [_quality(version, used.get(version.number)) for version in versions]

    async def look(self, signal: Signal) -> None:
        """Say so, once, where the current generation is clearly corrected more often than the one it came from.

        With ``rollback_when_worse`` in the settings the slot goes back to that one by itself.
        """
        if signal.kind not in CORRECTING:
            return
        slot = self._rooms.records.conversation(signal.conversation).slot
        try:
            await self._look(slot)
        except NightSchoolError:
            _log.exception("the quality of slot %s is not known", slot)  # the signal is stored; it counts next time

    async def _look(self, slot: str) -> None:
        versions = {version.number: version for version in self._rooms.store.versions(slot)}
        current = next(version for version in versions.values() if version.current)
        if current.kind is not VersionKind.STUDY or current.parent is None or (slot, current.number) in self._told:
            return
        parent = versions[current.parent]
        if parent.adapter_sha256 is not None and parent.base != current.base:
            return  # what a base can do is no merit of what was learned on it
        used = self._rooms.records.use(slot)
        now = _together(used, versions, current)
        before = _together(used, versions, parent)
        if not worse(now, before):
            return
        self._told.add((slot, current.number))
        counts = (
            f"{now.corrected} of {now.replies} replies of generation {current.number} of {slot} were corrected, "
            f"{before.corrected} of {before.replies} of the one before"
        )
        if not read_settings(self._rooms.home).rollback_when_worse:
            self._tell(f"{counts}. Go back with f4, or `nightschool rollback {slot}`.")
            return
        await self._slots.rollback(Rollback(slot=slot, to=current.parent), lambda event: None)
        self._tell(f"{counts}; the slot went back to it.")

    def _tell(self, text: str) -> None:
        self._rooms.broadcast(NoticeEvent(level="warning", text=text))


def worse(now: GenerationUse, before: GenerationUse) -> bool:
    """Whether one generation is clearly corrected more often than another."""
    if min(now.replies, before.replies) < LEAST_REPLIES:
        return False
    if now.corrected * before.replies <= CLEARLY * before.corrected * now.replies:
        return False
    return _chance(now, before) < BY_CHANCE


def _chance(now: GenerationUse, before: GenerationUse) -> float:
    """Return how likely at least ``now.corrected`` are if corrections fall on the replies of both alike."""
    replies, corrected = now.replies + before.replies, now.corrected + before.corrected
    most = min(corrected, now.replies)
    ways = sum(
        math.comb(now.replies, count) * math.comb(before.replies, corrected - count)
        for count in range(now.corrected, most + 1)
    )
    return ways / math.comb(replies, corrected)


def _together(used: list[GenerationUse], versions: dict[int, Version], like: Version) -> GenerationUse:
    """Return the use of all generations that speak with the same adapter: a rollback is the one it went back to."""
    same = {number for number, version in versions.items() if version.adapter_sha256 == like.adapter_sha256}
    rows = [use for use in used if use.version in same]
    replies, corrected = sum(use.replies for use in rows), sum(use.corrected for use in rows)
    return GenerationUse(version=like.number, replies=replies, corrected=corrected)


def _quality(version: Version, use: GenerationUse | None) -> GenerationQuality:
    report = version.report
    return GenerationQuality(
        version=version.number,
        created=version.created,
        kind=version.kind,
        lessons=len(version.lessons),
        replies=use.replies if use else 0,
        corrected=use.corrected if use else 0,
        stick=_mean([outcome.after for outcome in report.outcomes]) if report else None,
        kept_kl=_gate(report, "kept_kl"),
        neutral_kl=_gate(report, "neutral_kl"),
        capability=_gate(report, "capability"),
    )


def _gate(report: StudyReport | None, name: str) -> float | None:
    return next((gate.value for gate in report.gates if gate.name == name), None) if report else None


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
