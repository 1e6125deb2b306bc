"""Ending when the terminal is gone.

The system tells only the leader of a session. An app that ``make`` or another program started hears nothing: it would
read the end of its input for ever, keep a core busy and the profile to itself.
"""

from __future__ import annotations

import os
import select
import signal
import threading


def end_with_terminal(descriptor: int) -> None:
    """From now on treat a hang-up of this terminal as the signal of one; costs nothing until then."""
    if hasattr(select, "poll"):
        threading.Thread(target=_wait, args=(descriptor,), name="hangup", daemon=True).start()


def _wait(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # a hang-up is told whatever is asked for, and nothing else wakes it
    if any(event & select.POLLHUP for _, event in poll.poll()):
        os.kill(os.getpid(), signal.SIGHUP)
