"""What the server writes down: one JSON object a line, of numbers and names alone; nothing that was said."""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import PurePath
from typing import TextIO


class Journal:
    """Writes lines to a stream, as JSON or for people."""

    def __init__(self, stream: TextIO | None = None, *, as_json: bool = True, steps: bool = False) -> None:
        """Prepare; ``steps``: whether those that went well are written down, one for each token of a reply."""
        self._stream = stream if stream is not None else sys.stderr
        self._as_json, self.steps = as_json, steps

    def write(self, event: str, **facts: str | float | int | bool | None) -> None:
        """Write what happened; None is left out."""
        known = {name: _rounded(fact) for name, fact in facts.items() if fact is not None}
        if self._as_json:
            line = json.dumps({"time": round(time.time(), 3), "event": event, **known})
        else:
            stamp = time.strftime("%H:%M:%S")
            line = " ".join([stamp, event, *(f"{name}={fact}" for name, fact in known.items())])
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def write_failure(self, error: BaseException) -> None:
        """Write down where something failed; what an error says may repeat what was asked, so that is left out."""
        last = traceback.extract_tb(error.__traceback__)[-1:]
        where = f"{PurePath(last[0].filename).name}:{last[0].lineno}" if last else None
        self.write("failed", kind=type(error).__name__, where=where)


def _rounded(fact: str | float | int | bool) -> str | float | int | bool:
    return round(fact, 3) if isinstance(fact, float) else fact
