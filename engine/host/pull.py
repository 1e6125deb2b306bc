"""Fetching a base in a process of its own: the chat stays quick, and its memory is given back when it ends."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...schemas.errors import EngineError, ModelError, error_classes
from ..files import storage_errors
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
    with storage_errors(home.logs):
        home.logs.mkdir(parents=True, exist_ok=True)
        log = home.logs / _LOG
        with log.open("wb") as stream:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", _CHILD, str(home.root), spec),
                stdin=PIPE,  # held open: its end tells the process that nobody waits for it any more
                stdout=PIPE,
                stderr=stream,
            )
    try:
        last = await _listen(process, tell)
        code = await process.wait()
    finally:
        await _end(process)
    if "folder" in last:
        return Path(last["folder"])
    if "error" in last:
        raise error_classes().get(last["error"]["code"], ModelError)(last["error"]["message"])
    if code < 0:
        raise ModelError(
            f"Fetching {spec} was ended by the system (signal {-code}), most likely for want of memory; close other "
            "programs, or choose a smaller model."
        )
    raise EngineError(f"Fetching {spec} ended with code {code} before it was done; {log} says more.")


async def _listen(process: Process, tell: Callable[[str, float | None], None]) -> dict[str, Any]:
    """Pass progress on and return the last message of another kind, {} if none came."""
    last: dict[str, Any] = {}
    assert process.stdout is not None
    async for line in process.stdout:
        message = json.loads(line)
        if "stage" in message:
            tell(message["stage"], message["fraction"])
        else:
            last = message
    return last


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
