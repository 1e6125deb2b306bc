"""An app whose terminal goes away ends, also where nobody tells it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

WAITS = """
import sys, time
from nightschool.tui.hangup import end_with_terminal
end_with_terminal(0)
print("up", flush=True)
time.sleep(60)
"""


def test_a_terminal_that_is_gone_ends_the_process_that_does_not_own_it():
    ours, theirs = pty.openpty()
    # A session of its own without a controlling terminal: the system sends it nothing.
    app = subprocess.Popen(
        [sys.executable, "-c", WAITS], stdin=theirs, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    os.close(theirs)
    try:
        assert app.stdout.readline() == "up\n"
        os.write(ours, b"typing does not end it\n")
        assert app.poll() is None
        os.close(ours)
        assert app.wait(timeout=20) == -signal.SIGHUP
    finally:
        app.kill()
        app.stdout.close()
