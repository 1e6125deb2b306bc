"""Ending a reply before a text that the caller does not want to read."""

from __future__ import annotations

from collections.abc import Sequence


class Stops:
    """Passes on the text of a reply piece by piece up to the first stop; what may begin one is held back.

    ``text`` is what was passed on.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """Prepare; an empty stop would end every reply, and is left out."""
        self._stops = [stop for stop in stops if stop]
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.text = ""
        self.found = False

    def feed(self, piece: str) -> str:
        """Take the next piece and return what may be read by now."""
        if self.found:
            return ""
        self._held += piece
        places = [place for place in map(self._held.find, self._stops) if place >= 0]
        if places:
            self.found = True
            return self._pass(min(places))
        return self._pass(len(self._held) - self._begun())

    def flush(self) -> str:
        """Return what was held back, at the end of the reply."""
        return "" if self.found else self._pass(len(self._held))

    def _begun(self) -> int:
        """Return how much of the end of what is held may be the beginning of a stop."""
        for length in range(min(self._longest - 1, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0

    def _pass(self, length: int) -> str:
        free, self._held = self._held[:length], self._held[length:]
        self.text += free
        return free
