"""How quick the app feels, measured from outside: in a pseudo-terminal, as a real process.

``help_s``          `nightschool --help` from start to end (median of several starts)
``first_paint_s``   process start to the first frame that holds the prompt (median of several starts)
``key_p99_ms``      a key written to the terminal to its echo in what the app draws: idle, while a reply streams, and
                    while a study runs

    python bench/tui.py --scripted --json    the app over the scripted engine: the app's own cost
    python bench/tui.py --json               the installed ``nightschool`` with its real engine, in a profile of its own

Each key is a letter that nothing else on the screen contains, so its first appearance in the output is its echo.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import pty
import random
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from nightschool.bench.home import fresh_home

COLUMNS, ROWS = 120, 36
LETTERS = [chr(code) for code in range(0x1200, 0x1358) if unicodedata.name(chr(code), "")]
PROMPT = b"Say something"
CLEAR = b"\x15"
STORY = b"Write a long story about the sea.\r"
LESSON = b"Always begin your reply with Captain.\r"
F2, F5 = b"\x1bOQ", b"\x1b[15~"
READ = 1 << 16


class Terminal:
    """A process in a pseudo-terminal, and all that it has drawn since it was last asked."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.started = time.perf_counter()
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            os.execvpe(command[0], command, environment)
        self.drawn = b""

    def write(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.descriptor, keys)

    def read(self, seconds: float) -> None:
        """Take what is drawn within a time."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if select.select([self.descriptor], [], [], left)[0]:
                self.drawn += os.read(self.descriptor, READ)

    def until(self, text: bytes, seconds: float) -> float:
        """Read until a text is drawn; return when, on the performance counter.

        Raises:
            TimeoutError: If it is not drawn in time.
        """
        end = time.perf_counter() + seconds
        while text not in self.drawn:
            left = end - time.perf_counter()
            if left <= 0 or not select.select([self.descriptor], [], [], left)[0]:
                raise TimeoutError(f"{text.decode()!r} was not drawn within {seconds} s.")
            self.drawn += os.read(self.descriptor, READ)
        return time.perf_counter()

    def close(self) -> None:
        """Leave with ctrl+q, and make sure of it."""
        try:
            self.write(b"\x11")
            self.read(1.0)
        except OSError:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.descriptor)


def echoes(terminal: Terminal, count: int, chance: random.Random, again: bytes = b"") -> list[float]:
    """Return seconds from key to echo for ``count`` keys; ``again`` is typed now and then to keep the work going."""
    found = []
    letters: Iterator[str] = iter(())
    for number in range(count):
        if number % 40 == 0:
            # a key that edits is handled after letters typed within the same instant, so the pauses are needed
            terminal.write(CLEAR)
            terminal.read(0.3)
            terminal.write(again)
            terminal.read(0.5)
            letters = iter(chance.sample(LETTERS, 40))
        terminal.drawn = b""
        letter = next(letters).encode()
        begun = time.perf_counter()
        terminal.write(letter)
        found.append(terminal.until(letter, 10.0) - begun)
        terminal.read(chance.uniform(0.02, 0.08))
    terminal.write(CLEAR)
    terminal.read(0.3)
    return found


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that is not below ``share`` of all."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def tell(name: str, value: float | None, unit: str, **more: object) -> None:
    """Print one figure as one JSON line."""
    print(json.dumps({"name": name, "value": None if value is None else round(value, 4), "unit": unit, **more}))
    sys.stdout.flush()


def tell_keys(name: str, seconds: list[float], mode: str) -> list[float]:
    """Print the figures of one series of keys and return it in milliseconds."""
    milliseconds = [1000 * value for value in seconds]
    tell(
        name, percentile(milliseconds, 0.99), "ms", mode=mode, median=round(statistics.median(milliseconds), 2),
        worst=round(max(milliseconds), 2), keys=len(milliseconds),
    )  # fmt: skip
    return milliseconds


def help_seconds(environment: dict[str, str]) -> float:
    """Return the seconds that the command line takes to say how it is used."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "nightschool", "--help"], env=environment, stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - begun


def measure(command: list[str], environment: dict[str, str], mode: str, starts: int, keys: int) -> None:
    """Ask for help, start the app several times, then type into the last one."""
    helps = [help_seconds(environment) for _ in range(starts)]
    tell("help_s", statistics.median(helps), "s", mode=mode, worst=round(max(helps), 3), starts=starts)
    paints = []
    for number in range(starts):
        terminal = Terminal(command, environment)
        paints.append(terminal.until(PROMPT, 60.0) - terminal.started)
        if number < starts - 1:
            terminal.read(0.5)
            terminal.close()
    tell("first_paint_s", statistics.median(paints), "s", mode=mode, worst=round(max(paints), 3), starts=starts)
    chance = random.Random(7)
    try:
        terminal.until("● ".encode(), 600.0)  # the engine is ready
        tell_keys("key_idle_p99_ms", echoes(terminal, keys, chance), mode)
        terminal.write(STORY)
        terminal.until(b"answering", 60.0)
        busy = tell_keys("key_streaming_p99_ms", echoes(terminal, keys, chance, STORY), mode)
        busy += study_keys(terminal, keys, chance, mode)
        tell("key_p99_ms", percentile(busy, 0.99), "ms", mode=mode, keys=len(busy))
    finally:
        terminal.close()


def study_keys(terminal: Terminal, keys: int, chance: random.Random, mode: str) -> list[float]:
    """Teach one rule, begin a study, type while it runs, and return the echoes in milliseconds."""
    terminal.write(b"\x1b")
    terminal.read(1.0)
    terminal.write(b"\x0e")
    terminal.read(1.0)
    terminal.write(LESSON)
    terminal.read(4.0)
    terminal.write(b"\x1b")
    terminal.read(1.0)
    terminal.write(F2)
    terminal.read(1.0)
    terminal.write(b"a")
    terminal.read(1.0)
    terminal.write(F5)
    terminal.read(1.0)
    terminal.write(b"\r")
    terminal.read(0.5)
    terminal.drawn = b""
    terminal.write(b"\x1b")
    try:
        terminal.until(b"studying", 60.0)
        terminal.read(1.0)
    except TimeoutError as error:
        tell("key_study_p99_ms", None, "ms", mode=mode, skipped=str(error))
        return []
    return tell_keys("key_study_p99_ms", echoes(terminal, keys, chance), mode)


def run_scripted() -> int:
    """Be the app over an engine that streams and studies quickly and for long."""
    from nightschool.tui.app import NightSchool
    from nightschool.tui.scripted import ScriptedEngine

    paragraph = (
        "The **sea** was calm, and the ship went on.\n\n- first the wind\n- then the rain\n\n```python\nx = 1\n```\n\n"
    )

    async def main() -> int:
        engine = ScriptedEngine(pause=0.01, wake=0.05)
        engine.reply = paragraph * 40
        engine.steps = 100_000
        return await NightSchool(engine).run_async() or 0

    return asyncio.run(main())


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="print one JSON line per figure (the only form)")
    options.add_argument("--scripted", action="store_true", help="put the scripted engine in place of the real one")
    options.add_argument("--starts", type=int, default=5)
    options.add_argument("--keys", type=int, default=200)
    options.add_argument("--be-scripted", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.be_scripted:
        return run_scripted()
    if chosen.scripted:
        command = [sys.executable, str(Path(__file__).resolve()), "--be-scripted"]
    else:
        installed = Path(sys.executable).parent / "nightschool"
        command = [str(installed) if installed.exists() else shutil.which("nightschool") or "nightschool"]
    with fresh_home() as home:
        told = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "NIGHTSCHOOL_HOME": str(home.root)}
        environment = {**os.environ, **told}
        measure(command, environment, "scripted" if chosen.scripted else "real", chosen.starts, chosen.keys)
    return 0


if __name__ == "__main__":
    sys.exit(main())
