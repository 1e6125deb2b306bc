"""What is checked of a request before anything is done, in which order; nothing has changed where it is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ....schemas.hsp import Code, Step
from ..codecs import CODECS
from .allowance import Meter
from .keys import Key
from .refused import Refused, shutting_down
from .served import Served
from .sessions import Asked, Session


class Checks:
    """Refuses what is not served, and what a key may not. Used in the loop's thread only."""

    def __init__(self, served: Served, is_stopping: Callable[[], bool]) -> None:
        self._served, self._is_stopping = served, is_stopping
        self._meters: dict[str, Meter] = {}

    def base(self, fingerprint: str, cut: int, codec: str) -> None:
        """Refuse another base, and what is not offered."""
        if self._is_stopping():
            raise shutting_down()
        card = self._served.card
        if fingerprint != card.fingerprint:
            raise Refused(Code.WRONG_BASE, f"This server has {card.name} ({card.short}); ask one that has your base.")
        if cut not in self._served.cuts:
            offered = ", ".join(map(str, self._served.cuts))
            raise Refused(Code.NOT_OFFERED, f"The cut {cut} is not offered; ask for one of: {offered}.")
        if codec not in {one.name for one in CODECS}:
            names = ", ".join(one.name for one in CODECS)
            raise Refused(Code.NOT_OFFERED, f"This codec is not offered; ask for one of: {names}.")

    def step(self, key: Key, session: Session, asked: Step, position: int, tokens: list[int]) -> None:
        """Refuse a step that a session cannot make now."""
        last = session.asked
        if self._is_stopping():
            raise shutting_down()
        if last is not None and asked.step < last.step:
            raise _with(session, Code.STALE, "A newer step was made in this session.")
        if not session.is_idle:
            raise Refused(Code.BUSY, "Another step of this session is being worked on; try again.", retry_after=0.1)
        history = session.history
        repeated = Asked(asked.step, position, len(tokens), asked.hash)
        differs = last is not None and asked.step == last.step and repeated != last
        if differs or position > len(history) or asked.hash != history.hash(position):
            raise _with(session, Code.CONFLICT, "The session holds something else; go on from there.")
        if not position <= asked.first <= position + len(tokens):
            raise Refused(Code.BAD_REQUEST, "The first state that is wanted is none of this step.")
        self.tokens(position, tokens)
        most = key.allowance.step_tokens
        if len(tokens) > most:
            raise Refused(Code.TOO_LARGE, f"A step may have {most} tokens, not {len(tokens)}.", limit=most)
        self.meter(key)

    def capture(self, key: Key, sequences: Sequence[list[int]]) -> None:
        """Refuse a capture that is more than a key may, or none."""
        allowed, total = key.allowance, sum(map(len, sequences))
        for count, most in ((len(sequences), allowed.capture_sequences), (total, allowed.capture_tokens)):
            if count > most:
                raise Refused(Code.TOO_LARGE, f"A capture may have {most}, not {count}; send less.", limit=most)
        for tokens in sequences:
            if not tokens:
                raise Refused(Code.BAD_REQUEST, "A sequence of a capture is empty.")
            self.tokens(0, tokens)
        self.meter(key)

    def tokens(self, position: int, tokens: list[int]) -> None:
        """Refuse tokens that the base does not know, or has no room for."""
        longest = self._served.longest
        if position + len(tokens) > longest:
            raise Refused(
                *(Code.TOO_LONG, f"{position + len(tokens)} tokens do not fit the context of {longest}."), limit=longest
            )
        if tokens and max(tokens) >= self._served.card.vocabulary:
            raise Refused(
                Code.BAD_REQUEST, f"A token lies outside the {self._served.card.vocabulary} that the base knows."
            )

    def meter(self, key: Key) -> None:
        """Refuse a key that has used up its tokens for now."""
        wait = self.meter_of(key).wait()
        if wait:
            raise Refused(Code.TOO_MANY, "This key has used up its tokens for now; wait.", retry_after=wait)

    def meter_of(self, key: Key) -> Meter:
        """Return what counts the tokens of a key."""
        meter = self._meters.get(key.name)
        if meter is None or meter.rate != key.allowance.tokens_a_second:
            meter = self._meters[key.name] = Meter(key.allowance.tokens_a_second)
        return meter


def _with(session: Session, code: Code, message: str) -> Refused:
    """Return a refusal that says what the session holds."""
    return Refused(code, message, have=len(session.history), hash=session.history.hash())
