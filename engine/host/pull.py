"""Fetching a base in a process of its own: the chat stays quick, and its memory is given back when it ends."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...schemas.errors import EngineError, ModelError, error_classes
from ..child import run_child
from ..paths import Home
from ..wire.tail_asked import Pulled, Wanted

Told = Callable[[str, float | None], None]

_CHILD = "nightschool.engine.host.pull_child"
_TAIL_CHILD = "nightschool.engine.host.tail_child"
_LOG = "pull.log"


async def run_pull(spec: str, home: Home, tell: Told) -> Path:
    """Prepare a base as ``library.prepare`` does and return its folder.

    Cancelling the task ends the process; what it fetched stays, and the next pull goes on from there.

    Raises:
        NightSchoolError: What ``prepare`` raised; ``ModelError`` if the process was killed.
        StorageError: If its log cannot be written.
    """
    return Path(await _run(_CHILD, (str(home.root), spec), spec, home, tell))


async def run_tail_pull(wanted: Wanted, home: Home, tell: Told) -> Pulled:
    """Fetch a tail as ``wire.tail_pull.pull_tail`` does; cancelled and failing as :func:`run_pull`."""
    said = json.dumps({**dataclasses.asdict(wanted), "server": wanted.server.model_dump(mode="json")})
    found = await _run(_TAIL_CHILD, (str(home.root), said), "the tail", home, tell)
    return Pulled(**{**found, "folder": Path(found["folder"])})


async def _run(child: str, arguments: Sequence[str], spec: str, home: Home, tell: Told) -> Any:
    log = home.logs / _LOG
    ended = await run_child(child, arguments, log, lambda p: tell(p["stage"], p["fraction"]))
    if "result" in ended.last:
        return ended.last["result"]
    if "error" in ended.last:
        error = ended.last["error"]
        raise error_classes().get(error["code"], ModelError)(error["message"])
    if ended.code < 0:
        raise ModelError(
            f"Fetching {spec} was ended by the system (signal {-ended.code}), most likely for want of memory; close "
            "other programs, or choose a smaller model."
        )
    raise EngineError(f"Fetching {spec} ended with code {ended.code} before it was done; {log} says more.")
