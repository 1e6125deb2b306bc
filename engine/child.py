"""A process that works for the engine: a study, a download. Both sides of it.

It says how far it is as JSON lines on its standard output, the last of which is the result or the error, and it ends
when the engine does, however that went:

    {"progress": {...}}        {"result": ...}        {"error": {"code": "ModelDamaged", "message": "..."}}

On its standard input one byte asks it to rest, another to go on. It rests where it next says how far it is; a signal
would stop it at once, but then it could not see the engine die.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ..schemas.errors import NightSchoolError
from .files import storage_errors

Tell = Callable[[dict[str, Any]], None]

_REST, _GO_ON = b".", b">"
_NICENESS = 5  # beside the engine's own
_LINE = 8 * 2**20  # bytes of the longest line: a report with its samples


@dataclass(frozen=True)
class Ended:
    """How a child ended: ``last``, its result or error as it said it, {} if it said neither, and its exit ``code``."""

    last: dict[str, Any]
    code: int


class Pace:
    """Lets a child rest while others need the machine; also one that begins later."""

    def __init__(self) -> None:
        self.resting = False
        self._child: asyncio.StreamWriter | None = None

    def rest(self) -> None:
        """Have the child rest as soon as it can."""
        self._say(resting=True)

    def go_on(self) -> None:
        """Have it work again."""
        self._say(resting=False)

    def lead(self, child: asyncio.StreamWriter | None) -> None:
        """Take over a child that has begun; None: it has ended."""
        self._child = child
        if self.resting:
            self._write()

    def _say(self, *, resting: bool) -> None:
        if resting != self.resting:
            self.resting = resting
            self._write()

    def _write(self) -> None:
        if self._child is not None and not self._child.is_closing():
            self._child.write(_REST if self.resting else _GO_ON)


async def run_child(module: str, arguments: Sequence[str], log: Path, tell: Tell, pace: Pace | None = None) -> Ended:
    """Run a module of ours as a child and wait for its end; what it prints goes to ``log``.

    Cancelling the task kills it.

    Raises:
        StorageError: If the log cannot be written.
    """
    with storage_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", module, *arguments),
                stdin=PIPE,  # held open: its end tells the child that nobody waits for it any more
                stdout=PIPE,
                stderr=stream,
                limit=_LINE,
            )
    pace = pace or Pace()
    pace.lead(process.stdin)
    try:
        last = await _listen(process, tell)
        return Ended(last, await process.wait())
    finally:
        pace.lead(None)
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def be_child(work: Callable[[Tell], Any]) -> int:
    """Do a child's work, tell how far it is and what it gives, and return the exit code.

    ``work`` is given what tells progress, and returns what JSON can hold.
    """
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints goes to the log
    working = threading.Event()
    working.set()
    threading.Thread(target=_heed_the_engine, args=(working,), daemon=True).start()
    os.nice(_NICENESS)

    def tell(progress: dict[str, Any]) -> None:
        _say(lines, {"progress": progress})
        working.wait()

    try:
        result = work(tell)
    except NightSchoolError as error:
        _say(lines, {"error": {"code": type(error).__name__, "message": str(error)}})
        return error.exit_code
    _say(lines, {"result": result})
    return 0


async def _listen(process: Process, tell: Tell) -> dict[str, Any]:
    last: dict[str, Any] = {}
    assert process.stdout is not None
    async for line in process.stdout:
        message = json.loads(line)
        if "progress" in message:
            tell(message["progress"])
        else:
            last = message
    return last


def _heed_the_engine(working: threading.Event) -> None:
    """Rest and go on as told; end when standard input closes, which it does when the engine is gone however it went."""
    while said := os.read(sys.stdin.fileno(), 1):
        if said == _REST:
            working.clear()
        elif said == _GO_ON:
            working.set()
    os._exit(1)


def _say(lines: TextIO, message: dict[str, Any]) -> None:
    lines.write(json.dumps(message) + "\n")
    lines.flush()
