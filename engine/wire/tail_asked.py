"""What a pull of a tail is asked for, and what it gives. Imports no torch, so that the engine's main loop may."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..settings import ServerSettings


@dataclass(frozen=True)
class Wanted:
    """What to fetch.

    Attributes:
        server: Which has the base.
        cut: How many blocks; None: the usual number, as far as the server offers it.
        hub: ``owner/name[@revision]`` to take the weights from; empty: from the server.
        fingerprint: Which it must be, or how that begins; empty: the server is believed.
    """

    server: ServerSettings
    cut: int | None = None
    hub: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class Pulled:
    """What came of it: the folder, its blocks, and bytes: that were moved, of the tail's weights, of all weights."""

    folder: Path
    upper: int
    moved: int
    tail: int
    whole: int
