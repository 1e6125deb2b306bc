"""Calling code of strangers within a budget of time: in a thread that is left behind, or in a process that is ended.

In the engine and the command line, which must go on, a call is made by a thread of the plugin's own (``Threads``);
where it takes too long the caller goes on and the thread is asked to stop. In a study's process, which may be ended,
the call is made where it is, with its memory and its time watched (``Watched``): a process can be stopped where a
thread cannot.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Protocol

import psutil

from ...schemas.errors import PluginError
from .marks import Mark, Marker

MEMORY = "NIGHTSCHOOL_PLUGIN_MEMORY"
"""Bytes by which a study's process may grow in one call of a plugin; unset: most of what is free."""
WATCHED_EXIT = 86
"""The exit code of a process that its watchdog ended."""
GRACE = 5.0
"""Seconds after which what no thread can end is ended with its process."""

_LOOK_SECONDS = 0.1
_FREE_SHARE = 0.8


class Overrun(PluginError):
    """A call took longer than it may."""


class Beat(Protocol):
    """Tells that a call is alive, so that its budget begins anew."""

    def __call__(self, *, resting: bool = False) -> None:
        """Begin the budget anew; ``resting``: the process rests and nothing is measured until the next beat."""
        ...


class Caller(Protocol):
    """Makes calls."""

    def call(self, plugin: str, at: str, seconds: float, work: Callable[[], Any]) -> Any:
        """Return what ``work`` returns; whatever it raises comes through.

        Raises:
            Overrun: If it took longer than ``seconds`` and its thread was left behind.
        """
        ...

    def beat(self, *, resting: bool = False) -> None:
        """Tell that the call that is made now is alive."""
        ...


# -- threads ----------------------------------------------------------------------------------------------------------


class _Worker:
    """A thread that does one thing after another; a daemon, so that nobody waits for it at the end."""

    def __init__(self, name: str) -> None:
        self.work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name=f"plugin {name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            self.work.get()()


class _Stop(BaseException):
    """Raised inside a thread that was left behind, where it next runs Python."""


class Threads:
    """One thread for each plugin; one that overran is left behind and another takes its place.

    What is going on stands in the process's mark, should it end there.
    """

    def __init__(self, marker: Marker | None = None) -> None:
        self._marker = marker
        self._workers: dict[str, _Worker] = {}
        self._lock = threading.Lock()

    def call(self, plugin: str, at: str, seconds: float, work: Callable[[], Any]) -> Any:
        """As of ``Caller``."""
        done = threading.Event()
        result: list[Any] = []
        raised: list[BaseException] = []
        context = copy_context()

        def do() -> None:
            try:
                with self._marker.doing(Mark(plugin, at)) if self._marker is not None else nullcontext():
                    result.append(context.run(work))
            except BaseException as error:  # noqa: BLE001 (it is raised again where the call was made)
                raised.append(error)
            done.set()

        with self._lock:
            worker = self._workers.get(plugin)
            if worker is not None and worker.thread is threading.current_thread():
                worker = None  # a plugin that comes to itself by way of the engine
            if worker is None:
                worker = self._workers[plugin] = _Worker(plugin)
        worker.work.put(do)
        if not done.wait(seconds):
            with self._lock:
                if self._workers.get(plugin) is worker:
                    del self._workers[plugin]
            _stop(worker.thread)
            raise Overrun(f"It took longer than {seconds:g} s.")
        if raised:
            raise raised[0]
        return result[0]

    def beat(self, *, resting: bool = False) -> None:
        """Nothing: calls here are short."""


def _stop(thread: threading.Thread) -> None:
    """Ask a thread to end; one that computes in C or waits does not hear it before it runs Python again."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_Stop))


# -- a watched process ------------------------------------------------------------------------------------------------


class Watched:
    """Calls in this thread, in a process of ours that is ended where one takes too long or too much memory.

    What was going on stands in the process's mark, for whoever waits for it.
    """

    def __init__(self, marker: Marker) -> None:
        self._marker = marker
        self._seconds = 0.0
        self._left = 0.0
        self._most = 0
        self._mark: Mark | None = None
        self._lock = threading.Lock()
        self._process = psutil.Process()
        threading.Thread(target=self._watch, name="plugin watchdog", daemon=True).start()

    def call(self, plugin: str, at: str, seconds: float, work: Callable[[], Any]) -> Any:
        """As of ``Caller``, but that nothing overruns: the process ends instead."""
        outer, outer_seconds = self._mark, self._seconds
        with self._lock:
            self._mark, self._seconds = Mark(plugin, at), seconds
            self._most = self._process.memory_info().rss + _memory()
        self.beat()
        try:
            with self._marker.doing(Mark(plugin, at)):
                return work()
        finally:
            with self._lock:
                self._mark, self._seconds = outer, outer_seconds
            self.beat(resting=outer is None)

    def beat(self, *, resting: bool = False) -> None:
        """As of ``Beat``; also where no call of a plugin is made."""
        with self._lock:
            self._left = float("inf") if resting else self._seconds
        faulthandler.cancel_dump_traceback_later()
        if not resting and self._mark is not None:
            # For code that never lets go of the interpreter, so that no thread of Python can look.
            faulthandler.dump_traceback_later(self._seconds + GRACE, exit=True, file=2)

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(_LOOK_SECONDS):
            with self._lock:
                mark, most = self._mark, self._most
                self._left -= _LOOK_SECONDS
                late = self._left <= 0
            if mark is None:
                continue
            if late:
                self._end(mark, f"said nothing for {self._seconds:g} s")
            elif self._process.memory_info().rss > most:
                self._end(mark, f"took more than {_memory_words(most)} of memory")

    def _end(self, mark: Mark, wrong: str) -> None:
        self._marker.end_with(Mark(mark.plugin, mark.at, wrong))
        faulthandler.dump_traceback(file=2)
        os._exit(WATCHED_EXIT)


def _memory() -> int:
    """Return by how many bytes a process may grow in a call."""
    told = os.environ.get(MEMORY, "")
    return int(told) if told.isdecimal() else int(psutil.virtual_memory().available * _FREE_SHARE)


def _memory_words(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB"
