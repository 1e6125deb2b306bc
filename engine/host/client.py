"""The engine's client: starts the engine process, asks it, hears it, and survives its death. Never imports torch.

engine = EngineClient(find_home())
await engine.start()
reply = await engine.call(SendMessage(conversation=1, text="Hello"), on_event=print)
await engine.close()
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from pydantic import ValidationError

from ...schemas.errors import EngineError, EngineLost, ProtocolError
from ...schemas.events import Event
from ...schemas.messages import Request, Shutdown
from ..files import storage_errors
from ..paths import Home
from .pipe import LONGEST_LINE, Ended, Told, dump_request, parse_answer, read_line

_log = logging.getLogger(__name__)

R = TypeVar("R")
Hear = Callable[[Event], None]

ENGINE = "nightschool.engine.host.process"
CLOSE_SECONDS = 10.0
"""How long an engine may take to finish what it writes before it is ended."""
LONGEST_LOG = 4_000_000


@dataclass
class _Pending:
    """A request that waits for its answer."""

    answer: asyncio.Future[Any]
    on_event: Hear | None


class EngineClient:
    """A conversation with one engine process; meets ``EngineLink`` of the app."""

    def __init__(self, home: Home, model: str = "", argv: list[str] | None = None) -> None:
        """Choose an engine; nothing is started.

        Args:
            home: The profile it works on.
            model: The base, as ``library.prepare`` takes it; empty: what the profile is set to.
            argv: Another command to run as the engine; ``--model`` is appended as for the usual one.
        """
        self.home = home
        self._argv = argv or [sys.executable, "-P", "-m", ENGINE]
        self._model = model
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._closing = False
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._listeners: list[Hear] = []
        self._lost: list[Callable[[str], None]] = []

    @property
    def pid(self) -> int | None:
        """Process id of the engine, where one runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self, *, wake: bool = True) -> None:
        """Spawn the engine process and return at once; it wakes in the background and tells ``engine.state``.

        Args:
            wake: Whether it is to load a base.

        Raises:
            EngineError: If it cannot be spawned.
            StorageError: If its log cannot be written.
        """
        if self.pid is not None:
            return
        self._closing = False
        with storage_errors(self.home.root), self._open_log() as log:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._argv,
                    *(["--model", self._model] if self._model else []),
                    *([] if wake else ["--asleep"]),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, "NIGHTSCHOOL_HOME": str(self.home.root), "PYTHONUTF8": "1"},
                    limit=LONGEST_LINE,
                    start_new_session=True,  # ctrl+c in the terminal is the app's to understand
                )
            except OSError as error:
                reason = f"{self._argv[0]}: {error.strerror or error}"
                raise EngineError(f"The engine cannot be started ({reason}); reinstall Night School.") from error
        self._reading = asyncio.create_task(self._read(self._process))

    async def call(self, request: Request[R], on_event: Hear | None = None) -> R:
        """Ask, and wait for the answer; ``on_event`` hears what is told on the way.

        Raises:
            NightSchoolError: The class that the engine raised; ``EngineLost`` if it ended before it answered.
        """
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None or process.stdin.is_closing():
            raise EngineLost("The engine is not running; start it again.")
        number = next(self._numbers)
        line = dump_request(number, request)
        pending = _Pending(asyncio.get_running_loop().create_future(), on_event)
        self._pending[number] = pending
        try:
            process.stdin.write(line)
            result = await pending.answer
        finally:
            self._pending.pop(number, None)
        try:
            return request.result_type().validate_python(result)  # type: ignore[no-any-return]
        except ValidationError as error:
            raise ProtocolError(
                f"The engine answered {request.method} with something else; restart Night School."
            ) from error

    def listen(self, callback: Hear) -> None:
        """Hear what the engine tells everybody."""
        self._listeners.append(callback)

    def when_lost(self, callback: Callable[[str], None]) -> None:
        """Hear, with one sentence, that the engine process ended without being asked to."""
        self._lost.append(callback)

    async def restart(self, model: str | None = None) -> None:
        """Spawn a new engine process after a loss, or in place of the one that runs; listeners stay.

        ``model`` is the base from now on, as for the class; None leaves it as it was.
        """
        self._model = self._model if model is None else model
        await self.close()
        await self.start()

    async def close(self) -> None:
        """Ask the engine to end and wait until it has; one that does not is ended."""
        self._closing = True
        process, reading = self._process, self._reading
        if process is None or reading is None:
            return
        if process.returncode is None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(dump_request(next(self._numbers), Shutdown()))
            process.stdin.close()
        for end in (None, process.terminate, process.kill):
            if end is not None and process.returncode is None:
                end()
            done, _ = await asyncio.wait({reading}, timeout=CLOSE_SECONDS if end is None else 3.0)
            if done:
                break
        self._process = self._reading = None

    # -- what the engine says -----------------------------------------------------------------------------------------

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hand out every line until the engine ends; then say so to everybody who waits."""
        assert process.stdout is not None
        spoilt = ""
        try:
            while (line := await read_line(process.stdout)) is not None:
                self._hear(parse_answer(line))
        except ProtocolError as error:
            spoilt = str(error)
            process.kill()
        code = await process.wait()
        if code != 0:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a study that an engine left behind would work for nobody
        reason = spoilt or _reason(code, self.home)
        for pending in list(self._pending.values()):
            if not pending.answer.done():
                pending.answer.set_exception(EngineLost(f"The engine ended before it answered: {reason}"))
        if not self._closing:
            for callback in self._lost:
                callback(reason)

    def _hear(self, said: Told | Ended) -> None:
        pending = self._pending.get(said.id) if said.id is not None else None
        if isinstance(said, Told):
            hears = self._listeners if said.id is None else [pending.on_event] if pending and pending.on_event else []
            for hear in hears:
                try:
                    hear(said.event)
                except Exception:  # noqa: BLE001 (a listener's mistake must not leave every request unanswered)
                    _log.exception("a listener failed at %s", said.event.kind)
        elif pending is None:
            if said.error is not None and said.id is None:
                _log.warning("the engine refused a line: %s", said.error)
        elif not pending.answer.done():
            if said.error is not None:
                pending.answer.set_exception(said.error)
            else:
                pending.answer.set_result(said.result)

    def _open_log(self) -> IO[bytes]:
        """Open the engine's log for what it writes on stderr; one older log is kept."""
        self.home.logs.mkdir(parents=True, exist_ok=True)
        path = self.home.logs / "engine.log"
        if path.exists() and path.stat().st_size > LONGEST_LOG:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")


def _reason(code: int, home: Home) -> str:
    """Return why an engine ended, in one sentence."""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        return f"It was killed ({name})."
    return f"It ended with code {code}; {home.logs / 'engine.log'} says more."
