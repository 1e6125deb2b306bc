"""What the handlers of requests share: the profile's records, slots and plugins, the model, and a voice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...schemas.cards import BaseCard
from ...schemas.errors import BaseMismatch, Busy, ModelNotFound, StudyRunning
from ...schemas.events import Event
from ...schemas.messages import EngineStatus
from ...schemas.records import Slot, Version
from ..base.installed import Installed, find_installed, whole_spec
from ..child import Pace
from ..paths import Home
from ..records import Records
from ..slots.blend import Blend, Voice, check_weights
from ..slots.store import SlotStore
from .model_thread import ModelThread
from .plugins import PluginHost

Tell = Callable[[Event], None]
"""Tells the one who asked."""

Handler = Callable[[Any, Tell], Awaitable[Any]]


@dataclass
class Answering:
    """A conversation that is being worked on, until it is done or somebody stops it."""

    stopped: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Rooms:
    """Everything a handler may use. Used in the engine's main loop only.

    Attributes:
        broadcast: Tells everybody.
        status: How far the engine is.
        answering: The conversations that are being answered or edited, by number.
        studying: Whether a study is under way. One of which the database says so alone could not be noted as ended.
        pace: Of the study, which rests while any of them is.
        quiet_since: When the last of them ended, on the monotonic clock.
    """

    home: Home
    records: Records
    store: SlotStore
    plugins: PluginHost
    model: ModelThread
    broadcast: Tell
    status: Callable[[], EngineStatus]
    answering: dict[int, Answering] = field(default_factory=dict)
    studying: bool = False
    pace: Pace = field(default_factory=Pace)
    quiet_since: float = field(default_factory=time.monotonic)

    def begin(self, conversation: int) -> Answering:
        """Claim a conversation; ``end`` gives it back.

        Raises:
            Busy: If it is being answered.
        """
        if conversation in self.answering:
            raise Busy("This conversation is already being answered; wait for the reply or cancel it.")
        self.answering[conversation] = Answering()
        self.pace.rest()
        return self.answering[conversation]

    def end(self, conversation: int) -> None:
        """Give a conversation back."""
        self.answering.pop(conversation, None)
        if not self.answering:
            self.pace.go_on()
            self.quiet_since = time.monotonic()

    def studied(self) -> frozenset[int]:
        """Return the lessons that the running study teaches; until it ends they stay as they are."""
        return frozenset(lesson for study in self.records.running_studies() for lesson in study.lessons)

    def leave_studied(self, lesson: int) -> None:
        """Refuse to change a lesson while it is taught.

        Raises:
            StudyRunning: If it is.
        """
        if lesson in self.studied():
            raise StudyRunning("This lesson is being studied; wait for the end of the study, or cancel it first.")

    def base_named(self, spec: str) -> Installed:
        """Return the base on this machine that ``spec`` means.

        Raises:
            ModelNotFound: If it is not here.
        """
        found = find_installed(spec, self.home)
        if found is None:
            raise ModelNotFound(f"{spec} is not on this machine; fetch it first with `nightschool models pull {spec}`.")
        return found

    def slot(self, name: str) -> Slot:
        """Return a slot with the number of lessons that wait in it.

        Raises:
            NotFound: If there is none of this name.
        """
        return self.store.slot(name).model_copy(update={"waiting": self.records.waiting().get(name, 0)})

    def hidden(self) -> frozenset[str]:
        """Return the slots that were deleted: nothing of them is shown until they come back."""
        return frozenset(slot.name for slot in self.store.list(deleted=True) if slot.deleted is not None)

    def voice(self, slot: str, base: BaseCard) -> tuple[Version, Path | None]:
        """Return the generation in effect and the folder of its adapter, None for the plain base.

        Raises:
            BaseMismatch: If it was learned on another base than ``base``, or the slot names another.
            ModelNotFound: If the slot names a base that is not on this machine any more.
            Damaged: If its files do not read back.
        """
        named = self.store.slot(slot).base
        if named and (card := self.base_named(named).card) is not None and card.fingerprint != base.fingerprint:
            raise BaseMismatch(
                f"Slot {slot} answers with {card.name} alone and {base.name} is loaded; start Night School with "
                f'`--model {named}`, or let the slot answer with any: `nightschool slots set {slot} --base ""`.'
            )
        version = self.store.current(slot)
        self.check_base(slot, version, base)
        return version, self.store.adapter_folder(slot)

    @staticmethod
    def check_base(slot: str, version: Version, base: BaseCard) -> None:
        """Refuse a generation on another base than it was learned on.

        Raises:
            BaseMismatch: If it was.
        """
        if version.adapter_sha256 is not None and version.base != base.fingerprint:
            raise BaseMismatch(
                f"Slot {slot} learned on another base ({version.base[:12]}) than {base.name} ({base.short}); have it "
                f"learn here too (`nightschool slots teach {slot} --base {whole_spec(base)}`), start Night School with "
                "that base, or roll the slot back to 0."
            )

    def spoken(self, slot: str, base: BaseCard, blend: Mapping[str, float] | None) -> tuple[Version, Voice]:
        """Return the generation in effect and what a slot speaks with: its own adapter, or a blend.

        Args:
            slot: Of the conversation.
            base: That is loaded.
            blend: Weights by slot, for one reply; None: as the slot is set.

        Raises:
            NotFound: If a slot of the blend is gone.
            UsageError: If no blend can have such weights.
            BaseMismatch, ModelNotFound, Damaged: As of :meth:`voice`, for the slots that speak.
        """
        weights = self.store.slot(slot).blend if blend is None else blend
        if not weights:
            return self.voice(slot, base)
        check_weights(weights)
        found = [(self.voice(name, base)[1], weight) for name, weight in sorted(weights.items())]
        parts = tuple((folder, weight) for folder, weight in found if folder is not None and weight)
        return self.store.current(slot), Blend(parts) if parts else None
