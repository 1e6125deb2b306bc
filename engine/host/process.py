"""The engine process: ``python -m nightschool.engine.host.process [--model BASE] [--asleep]``, spoken to over a pipe.

It says at once that it wakes, opens the profile, loads the base in the background (not with ``--asleep``), and ends
when its stdin closes, so that it never outlives the app. Whatever a library prints goes to stderr, which is the log:
the pipe is ours alone.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import logging
import os
import signal
import sys
from typing import Any

from ...schemas.errors import EngineError, NightSchoolError, ProtocolError
from ...schemas.events import Event, NoticeEvent, StateEvent
from ...schemas.messages import EngineStatus, GetStatus, Request, Shutdown
from ..heap import keep_few_kernels, return_large_blocks
from ..paths import Home, find_home
from ..threads import share_cores
from . import pipe
from .plugins import PluginHost, PluginProblem
from .profile import Profile, open_profile
from .service import Service

_log = logging.getLogger(__name__)

NICENESS = 5
FLUSH_SECONDS = 2.0


def main(argv: list[str] | None = None) -> None:
    """Run the engine until its stdin closes or it is told to end."""
    parser = argparse.ArgumentParser(prog="nightschool-engine")
    parser.add_argument("--model", default="")
    parser.add_argument("--asleep", action="store_true")
    arguments = parser.parse_args(argv)
    incoming, outgoing = _take_pipe()
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl+c is the app's
    os.nice(NICENESS)  # the app's keys come first
    share_cores()
    return_large_blocks()
    keep_few_kernels()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    code = 0
    try:
        asyncio.run(Engine(find_home(), arguments.model, asleep=arguments.asleep).run(incoming, outgoing))
    except Exception:  # noqa: BLE001 (the last word of the process: it goes to the log, not into torch's teardown)
        _log.exception("the engine failed")
        code = 1
    sys.stderr.flush()
    os._exit(code)  # the model thread may be anywhere inside torch; nothing of ours is left to wait for


def _take_pipe() -> tuple[int, int]:
    """Return descriptors of the pipe, and point stdin and stdout elsewhere: at nothing, and at stderr."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return incoming, outgoing


class Engine:
    """Serves one client: reads requests, answers each in a task of its own, and tells how far it is."""

    def __init__(self, home: Home, model: str, *, asleep: bool) -> None:
        self._home = home
        self._model = model
        self._asleep = asleep
        self._status = EngineStatus(state="waking", stage="Opening the profile")
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._writer: asyncio.WriteTransport | None = None

    async def run(self, incoming: int, outgoing: int) -> None:
        """Serve until the client goes, asks for the end, or a signal does; then finish what is being written."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended.set)
        reader = asyncio.StreamReader(limit=pipe.LONGEST_LINE)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(incoming, "rb", 0))
        self._writer, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(outgoing, "wb", 0))
        opening = asyncio.create_task(self._open())
        reading = asyncio.create_task(self._read(reader, opening))
        await self._ended.wait()
        reading.cancel()
        await self._close(opening)

    # -- opening and closing ------------------------------------------------------------------------------------------

    async def _open(self) -> tuple[Profile, Service]:
        """Open the profile in a thread, since a large database takes a while to be checked, and wake the model."""
        try:
            profile = await asyncio.to_thread(
                open_profile,
                self._home,
                self._model,
                broadcast=lambda event: self._tell(None, event),
                status=lambda: self._status,
                tell_status=self._set_status,
            )
            service = Service(profile.rooms)
            service.recover()
        except Exception as error:  # every request is answered with it
            failure = error if isinstance(error, NightSchoolError) else self._broken(error)
            self._set_status(EngineStatus(state="failed", error=str(failure), error_code=type(failure).__name__))
            raise failure from error
        self._tell_of_plugins(profile.rooms.plugins)
        if self._asleep:
            profile.rooms.model.stay_asleep()
            self._set_status(EngineStatus(state="asleep"))
        else:
            profile.rooms.model.start()
            service.watch()
        return profile, service

    def _tell_of_plugins(self, plugins: PluginHost) -> None:
        """Tell everybody what plugins do wrong, from whichever thread it is noted."""
        loop = asyncio.get_running_loop()

        def tell(problem: PluginProblem) -> None:
            at = f" at {problem.hook}" if problem.hook else ""
            notice = NoticeEvent(level="warning", text=f"The plugin {problem.plugin}{at}: {problem.text}")
            loop.call_soon_threadsafe(self._tell, None, notice)

        plugins.tell = tell
        for problem in plugins.problems:
            tell(problem)

    def _broken(self, error: Exception) -> NightSchoolError:
        _log.error("the profile could not be opened", exc_info=error)
        return EngineError(f"The engine cannot open the profile ({error}); {self._home.logs} holds the details.")

    async def _close(self, opening: asyncio.Task[tuple[Profile, Service]]) -> None:
        """Let replies and study end, answer what can be answered, and let go of the profile."""
        await asyncio.wait({opening})
        if opening.exception() is None:
            profile, service = opening.result()
            await service.close()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=FLUSH_SECONDS)
            profile.close()
        assert self._writer is not None
        deadline = asyncio.get_running_loop().time() + FLUSH_SECONDS
        while self._writer.get_write_buffer_size() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)

    # -- requests -----------------------------------------------------------------------------------------------------

    async def _read(self, reader: asyncio.StreamReader, opening: asyncio.Task[tuple[Profile, Service]]) -> None:
        while True:
            try:
                line = await pipe.read_line(reader)
                if line is None:
                    break
                number, request = pipe.parse_request(line)
            except pipe.BadRequest as error:
                self._write(pipe.dump_error(error.id, error.error))
            except ProtocolError as error:
                self._write(pipe.dump_error(None, error))
            else:
                task = asyncio.create_task(self._answer(number, request, opening))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        self._ended.set()

    async def _answer(self, number: int, request: Request[Any], opening: asyncio.Task[tuple[Profile, Service]]) -> None:
        """Answer one request; how far the engine is, and that it will end, can be said before the profile is open."""
        try:
            result: Any = None
            if isinstance(request, GetStatus):
                result = self._status
            elif not isinstance(request, Shutdown):
                _, service = await asyncio.shield(opening)
                result = await service.answer(request, lambda event: self._tell(number, event))
            self._write(pipe.dump_result(number, request, result))
        except NightSchoolError as error:
            self._write(pipe.dump_error(number, error))
        if isinstance(request, Shutdown):
            self._ended.set()

    def _set_status(self, status: EngineStatus) -> None:
        self._status = status
        self._tell(None, StateEvent(status=status))
        if status.note:
            self._tell(None, NoticeEvent(level="warning", text=status.note))

    def _tell(self, number: int | None, event: Event) -> None:
        self._write(pipe.dump_event(number, event))

    def _write(self, line: bytes) -> None:
        assert self._writer is not None
        if not self._writer.is_closing():
            self._writer.write(line)


if __name__ == "__main__":
    main()
