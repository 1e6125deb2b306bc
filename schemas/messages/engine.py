"""What is asked of the engine itself."""

from __future__ import annotations

from typing import Literal

from ..cards import BaseCard
from ..records import (
    Record,
)
from .request import Request


class EngineStatus(Record):
    """How far the engine is: ``waking`` (with a stage and, where known, a share done), ``ready`` or ``failed``.

    When it is ready, ``device`` is what computes, and ``note`` what the user must know of that, if anything.
    An engine that was started to do without a base is ``asleep`` and stays so.
    """

    state: Literal["waking", "ready", "failed", "asleep"]
    stage: str = ""
    fraction: float | None = None
    base: BaseCard | None = None
    device: str = ""
    note: str = ""
    error: str = ""
    error_code: str = ""


class Check(Record):
    """One line of the doctor: what was looked at, whether it is well, and what to do if not."""

    name: str
    ok: bool
    text: str


class GetStatus(Request[EngineStatus]):
    """How far the engine is. Answered at once, also while the model loads."""

    method = "engine.status"


class Doctor(Request[list[Check]]):
    """Look at model, files, database, plugins and machine."""

    method = "engine.doctor"


class Shutdown(Request[None]):
    """Finish what is being written, then end."""

    method = "engine.shutdown"
