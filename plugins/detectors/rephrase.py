"""The same request again, in other or more words: the reply missed what was meant."""

from __future__ import annotations

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Detector, Finding
from ...engine.study.echo import restates
from ...engine.study.turn import read_turn
from ...schemas.records import SignalKind


class Rephrase:
    """Compares what is said with the prompt before."""

    name = "rephrase"

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return a finding if the message asks again what the prompt asked."""
        turn = read_turn(prompt, reply, said)
        if not turn.answered or not turn.sentences or turn.role_play:
            return []
        if restates(turn):
            return [Finding(SignalKind.REPHRASE, turn.sentences[0].text, 0.6)]
        return []


@hookimpl
def nightschool_detectors() -> list[Detector]:
    """Supply the detector of requests that are made again."""
    return [Rephrase()]
