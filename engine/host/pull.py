"""Fetching a base in a process of its own: the chat stays quick, and its memory is given back when it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...schemas.errors import EngineError, ModelError, error_classes
from ..child import run_child
from ..paths import Home

_CHILD = "nightschool.engine.host.pull_child"
_LOG = "pull.log"


async def run_pull(spec: str, home: Home, tell: Callable[[str, float | None], None]) -> Path:
    """Prepare a base as ``library.prepare`` does and return its folder.

    Cancelling the task ends the process; what it fetched stays, and the next pull goes on from there.

    Raises:
        NightSchoolError: What ``prepare`` raised; ``ModelError`` if the process was killed.
        StorageError: If its log cannot be written.
    """
    log = home.logs / _LOG
    ended = await run_child(_CHILD, (str(home.root), spec), log, lambda p: tell(p["stage"], p["fraction"]))
    if "result" in ended.last:
        return Path(ended.last["result"])
    if "error" in ended.last:
        error = ended.last["error"]
        raise error_classes().get(error["code"], ModelError)(error["message"])
    if ended.code < 0:
        raise ModelError(
            f"Fetching {spec} was ended by the system (signal {-ended.code}), most likely for want of memory; close "
            "other programs, or choose a smaller model."
        )
    raise EngineError(f"Fetching {spec} ended with code {ended.code} before it was done; {log} says more.")
