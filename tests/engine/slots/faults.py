"""Faults at a given step of an action on the disk: the process is killed there, or the step fails."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from nightschool.schemas.errors import NightSchoolError

WRITES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.chmod", "fsync"}
"""Audit events of what changes the disk, beside files opened to be written; we tell of ``fsync`` ourselves."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PASSED, REFUSED, BROKE = 0, 3, 4


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Run ``action`` in a fork that is killed before its given change of the disk; False: it got through."""

    def kill(passed: int) -> None:
        if passed == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return os.WIFSIGNALED(_forked(action, kill, reads=False))


def failed_at(
    step: int, action: Callable[[], object], code: int, *, for_good: bool = False, reads: bool = False
) -> bool:
    """Run ``action`` in a fork whose given step on the disk fails with ``code``; False: it got there without.

    ``for_good``: all after it fail as well; ``reads``: those are steps too. Whatever is raised must be one of our
    errors. An action may also get through although the step failed, where it could do without.
    """
    reached = os.memfd_create("reached")

    def fail(passed: int) -> None:
        if passed == step or (for_good and passed > step):
            os.pwrite(reached, b"x", 0)
            raise OSError(code, os.strerror(code))

    status = _forked(action, fail, reads=reads)
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) in (PASSED, REFUSED), "the error was not one of ours"
    found = os.fstat(reached).st_size > 0
    os.close(reached)
    return found


def _forked(action: Callable[[], object], at_step: Callable[[int], None], *, reads: bool) -> int:
    """Run an action in a fork that counts its steps on the disk; return how the fork ended."""
    child = os.fork()
    if child == 0:
        code, passed, done = BROKE, 0, False
        flush = os.fsync

        def told(handle: int) -> None:
            sys.audit("fsync", handle)
            flush(handle)

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal passed
            opened = event == "open" and (reads or (isinstance(arguments[2], int) and arguments[2] & _WRITING))
            if (event in WRITES or opened) and not done:
                passed += 1
                at_step(passed)

        os.fsync = told
        sys.addaudithook(count)
        try:
            action()
            code = PASSED
        except NightSchoolError:
            code = REFUSED
        finally:
            done = True
            if code == BROKE:
                sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
                sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status
