"""What the engine tells while it works: the events of the engine protocol (``messages/``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from .messages import EngineStatus
from .providers import TrafficFacts
from .records import Lesson, Message, Record, Signal, Study


class StateEvent(Record):
    """The engine's state changed (to everybody)."""

    kind: Literal["engine.state"] = "engine.state"
    status: EngineStatus


class MessageEvent(Record):
    """A message was stored."""

    kind: Literal["message.added"] = "message.added"
    message: Message


class DeltaEvent(Record):
    """More of the reply: whole characters only, never half of one."""

    kind: Literal["reply.delta"] = "reply.delta"
    conversation: int
    text: str


class ComparedEvent(Record):
    """More of what one of several slots says; ``place``: its number in the request."""

    kind: Literal["compare.delta"] = "compare.delta"
    place: int
    text: str


class PreviewEvent(Record):
    """More of a reply in a preview.

    Attributes:
        row: Number of the question.
        prompt: The question itself.
        place: 0: the generation in effect speaks, 1: the other one.
    """

    kind: Literal["versions.preview.delta"] = "versions.preview.delta"
    row: int
    prompt: str
    place: int
    text: str


class TrafficEvent(Record):
    """What the reply costs on the way to a provider elsewhere, now and then and once at its end."""

    kind: Literal["reply.traffic"] = "reply.traffic"
    conversation: int
    traffic: TrafficFacts


class SignalEvent(Record):
    """A signal was noted, with the lesson it gave, if any."""

    kind: Literal["signal.noted"] = "signal.noted"
    signal: Signal
    lesson: Lesson | None = None


class AuditEvent(Record):
    """Where an audit is."""

    kind: Literal["versions.audit.progress"] = "versions.audit.progress"
    stage: str
    fraction: float = Field(ge=0.0, le=1.0)


class StudyEvent(Record):
    """Where a study is (to everybody). ``fraction`` is of the whole study; loss and kl as in ``CurvePoint``."""

    kind: Literal["study.progress"] = "study.progress"
    study: int
    slot: str
    stage: str
    fraction: float = Field(ge=0.0, le=1.0)
    step: int = 0
    steps: int = 0
    loss: float | None = None
    kl: float | None = None
    seconds_left: float | None = None


class StudyEndedEvent(Record):
    """A study ended (to everybody)."""

    kind: Literal["study.ended"] = "study.ended"
    study: Study


class PullEvent(Record):
    """How far a base or an adapter is on its way here, or a version to the hub; ``fraction`` None: not known."""

    kind: Literal["model.pull"] = "model.pull"
    spec: str
    stage: str
    fraction: float | None = None


class ImportEvent(Record):
    """How far an import, its preview or an export is; ``conversations``: the new ones so far."""

    kind: Literal["import.progress"] = "import.progress"
    file: str
    stage: str
    fraction: float = Field(ge=0.0, le=1.0)
    conversations: int = 0


class NoticeEvent(Record):
    """Something the user should read once (to everybody)."""

    kind: Literal["notice"] = "notice"
    level: Literal["info", "warning", "error"]
    text: str


Event = Annotated[
    StateEvent
    | MessageEvent
    | DeltaEvent
    | AuditEvent
    | ComparedEvent
    | PreviewEvent
    | TrafficEvent
    | SignalEvent
    | StudyEvent
    | StudyEndedEvent
    | PullEvent
    | ImportEvent
    | NoticeEvent,
    Field(discriminator="kind"),
]

EVENTS: TypeAdapter[Event] = TypeAdapter(Event, config=ConfigDict(defer_build=True))
