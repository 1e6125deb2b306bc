"""What the app knows at a moment: engine, slots, conversations, the reply and the study under way.

Plain data, no Textual: the screens read it and draw; only ``ChatScreen`` and the app write it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ..schemas.errors import NightSchoolError
from ..schemas.events import ImportEvent, PullEvent, StudyEvent, TrafficEvent
from ..schemas.messages import EngineStatus
from ..schemas.records import Conversation, Lesson, Signal, Slot
from ..schemas.sharing import BundleTaken


@dataclass
class Undo:
    """One step that can be taken back: what it was, in words, and how."""

    label: str
    act: Callable[[], Awaitable[None]]


@dataclass
class Mark:
    """A signal with the lesson it gave; shown beside its message."""

    signal: Signal
    lesson: Lesson | None


@dataclass
class Taking:
    """Something that is taken from a registry: how far it is, and how it ended."""

    name: str
    version: str
    stage: str = "Beginning"
    share: float = 0.0
    notes: list[str] = field(default_factory=list)
    stop: Callable[[], None] | None = None
    """What ends it early."""
    kept: BundleTaken | None = None
    error: NightSchoolError | None = None
    stopped: bool = False


@dataclass
class Session:
    """The state behind the screens."""

    engine: EngineStatus = field(default_factory=lambda: EngineStatus(state="waking", stage="starting"))
    lost: str = ""
    """Why the engine was lost, until it is ready again."""
    slots: list[Slot] = field(default_factory=list)
    slot_name: str = ""
    conversations: list[Conversation] = field(default_factory=list)
    conversation: Conversation | None = None
    """None: a new one, made when the first message is sent."""
    replying: bool = False
    undos: list[Undo] = field(default_factory=list)
    study: StudyEvent | None = None
    """The last word of the running study; None while none runs."""
    pull: PullEvent | None = None
    """How far the fetching of a model is; None while none is fetched."""
    importing: ImportEvent | None = None
    """How far an import is; None while nothing is imported."""
    taking: Taking | None = None
    """What is taken from a registry; None while nothing is."""
    offer: str = ""
    """What a bigger model would give on this machine, in words; empty: nothing is to be said."""
    traffic: TrafficEvent | None = None
    """What the reply that is written, or was last, costs on the way to a provider elsewhere; None: it computes here."""
    plugin_commands: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Title and help of the palette's lines that plugins supply, by the names of their commands."""
    curve: list[StudyEvent] = field(default_factory=list)
    """What the running study told with a loss, in order."""

    @property
    def slot(self) -> Slot | None:
        """The selected slot."""
        return next((slot for slot in self.slots if slot.name == self.slot_name), None)

    @property
    def ready(self) -> bool:
        """Whether the engine can answer."""
        return self.engine.state == "ready" and not self.lost

    def title_of(self, name: str) -> str:
        """Return a slot's title, or its name where the slot is not known."""
        return next((slot.title for slot in self.slots if slot.name == name), name)

    def hear_study(self, event: StudyEvent) -> None:
        """Remember where a study is; the curve begins anew with every study."""
        if self.study is not None and self.study.study != event.study:
            self.curve.clear()
        self.study = event
        if event.loss is not None:
            self.curve.append(event)

    def end_study(self) -> None:
        """Forget the running study."""
        self.study = None
        self.curve.clear()
