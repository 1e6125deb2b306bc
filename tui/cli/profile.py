"""What the options before the command chose. Imports nothing heavy: help needs no engine and no records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...engine.paths import Home

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from ..engine_link import EngineLink

    Connect: TypeAlias = Callable[[Home, str], EngineLink]
    """Gives the engine of a profile, not started yet, from the profile and the model that were asked for."""


LOAD_PLUGINS = "NIGHTSCHOOL_LOAD_PLUGINS"
"""As ``engine/plug/standing.py`` reads it, in every process that is started from here."""


def connect_engine(home: Home, model: str) -> EngineLink:
    """Return the real engine."""
    from ...engine.host.client import EngineClient

    return EngineClient(home, model)


class OutputClosed(Exception):
    """Whoever read stdout has left."""


@dataclass(frozen=True)
class Profile:
    """A profile, and the model and the slot to begin with."""

    home: Home
    model: str
    slot: str | None
    connect: Connect
