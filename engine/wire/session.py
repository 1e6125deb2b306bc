"""The asking side of a session: a history of tokens, and what is known of the copy that the server holds.

The copy may be lost at any time. Every step says where it begins; after a loss the history is sent again, and only the
rows that lack are asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...schemas.cards import BaseCard
from ...schemas.errors import (
    BaseMismatch,
    NightSchoolError,
    PeerFull,
    PeerRefused,
    PromptTooLong,
    RemoteError,
    UsageError,
)
from ...schemas.hsp import Code, Problem, Step
from ..base.provider import Frame, Guess, States
from .answers import Asked
from .coming import Coming, Line
from .prefix import Prefix

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)

_CLOSING = 2.0  # seconds that a server is given to hear that a session is over: mostly one that answers no more
_RESTARTS = 3  # losses in a row without a row: more, and the server forgets what it is told


@dataclass(frozen=True)
class Lease:
    """A session on the server: its name, the most tokens of one step, and whether it runs ahead."""

    name: str
    step_tokens: int
    streams: bool = False


class RemoteSession:
    """One conversation's history, and its copy on a server, which is made when it is first needed."""

    def __init__(self, line: Line, begin: Callable[[], Awaitable[Lease]]) -> None:
        self._line = line
        self._begin = begin
        self._prefix = Prefix()
        self._lease: Lease | None = None
        self._has = 0  # tokens of the history that the server holds for certain
        self._number = 0  # of the last step
        self._unanswered: tuple[int, int, int] | None = None  # what that step was, while nothing came back
        self._open = True
        self._running: set[asyncio.Task[None]] = set()  # streams that are still being read, those given up included

    distant = True

    @property
    def length(self) -> int:
        """Number of tokens held."""
        return len(self._prefix)

    async def extend(self, position: int, tokens: list[int]) -> States:
        """Truncate to ``position`` tokens, append ``tokens``, and return their states.

        Raises:
            UsageError: If the session is closed or ``position`` lies beyond what it holds; nothing has changed.
            PromptTooLong: If the tokens do not fit the context; nothing has changed.
            BaseMismatch: If the server serves another base; nothing has changed.
            RemoteError: If the server cannot be asked; nothing has changed, and it may be tried again.
        """
        import torch

        if not self._open:
            raise UsageError("The session is closed; open another one.")
        if not 0 <= position <= self.length:
            raise UsageError(f"The session holds {self.length} tokens and cannot go on from {position}.")
        check_tokens(tokens, position, self._line.card)
        self._has = min(self._has, position)
        after = self._prefix.copy()
        after.truncate(position)
        after.extend(tokens)
        taken = _Taken(position)
        try:
            if tokens:  # going back alone is told with what comes next
                await self._bring(after, taken)
        except BaseException:
            self._has = min(self._has, position)  # what follows there is of a history that did not come to be
            raise
        self._prefix = after
        return States(position, torch.cat(taken.rows) if taken.rows else torch.empty(0, self._line.card.width))

    async def stream(self, position: int, tokens: list[int], guess: Guess) -> AsyncIterator[Frame]:
        """Give the states of ``tokens`` and of what is guessed to follow, by the caller and then by the server.

        What has come at once is given at once. A server that does not stream, and one that has to be told the history
        again, gives the states of ``tokens`` alone.

        Raises:
            UsageError, PromptTooLong, BaseMismatch, RemoteError: As of :meth:`extend`.
        """
        if not await self._can_stream(position, tokens, guess):
            states = await self.extend(position, tokens)
            yield Frame(position, tuple(tokens), states.rows, None)
            return
        check_tokens([*tokens, *guess.sent], position, self._line.card)
        after = self._prefix.copy(position)
        after.extend([*tokens, *guess.sent])
        self._has, self._unanswered = position, None
        self._number += 1
        assert self._lease is not None
        coming = Coming(self._line, self._lease.name, after, position, number=self._number, guess=guess)
        self._running.add(coming.task)
        coming.task.add_done_callback(self._running.discard)
        self._prefix.truncate(position)
        try:
            async with aclosing(coming.frames(tokens)) as frames:
                async for frame in frames:
                    self._prefix.extend(frame.tokens)
                    self._has = len(self._prefix)
                    yield frame
        except RemoteError as error:
            self._has = min(self._has, position)
            self._lost(error, after, _Taken(position))
            raise translated(error) from error

    async def _can_stream(self, position: int, tokens: list[int], guess: Guess) -> bool:
        if not self._open or not tokens or not guess.ahead or not 0 <= position <= self.length:
            return False
        if self._lease is None and not position:
            self._lease, self._has, self._number = await self._begin(), 0, 0
        lease, count = self._lease, len(tokens) + len(guess.sent)
        return lease is not None and lease.streams and self._has >= position and count <= lease.step_tokens

    def resume(self, tokens: list[int]) -> None:
        """Hold these tokens, in place of nothing; the server hears of them with what comes next."""
        self._prefix, self._has = Prefix(tokens), 0

    def held(self) -> Mapping[str, Tensor]:
        """Return nothing: tokens are all that is held here."""
        return {}

    def restore(self, tokens: list[int], held: Mapping[str, Tensor]) -> None:
        """Go on from these tokens."""
        self.resume(tokens)

    async def close(self) -> None:
        """Free what the server holds, if it can be told. Closing twice is harmless."""
        self._open, lease, self._lease = False, self._lease, None
        for task in list(self._running):
            task.cancel()
        if lease is not None:
            try:
                async with asyncio.timeout(_CLOSING):
                    await self._line.client.close(lease.name)
            except (RemoteError, TimeoutError) as error:  # it frees idle sessions by itself
                _log.info("a session was not closed: %s", error)

    # -- until it is done ----------------------------------------------------------------------------------------------

    async def _bring(self, after: Prefix, taken: _Taken) -> None:
        """Let the server hold ``after``, and take the rows that lack, however often it takes.

        Raises:
            NightSchoolError: If it cannot be done.
        """
        failed = restarts = 0
        while True:
            before = (self._has, taken.next)
            try:
                await self._steps(after, taken)
            except RemoteError as error:
                if (self._has, taken.next) > before:
                    failed = restarts = 0
                if self._lost(error, after, taken) and restarts < _RESTARTS:
                    restarts += 1
                    continue
                failed += 1
                try:
                    await self._line.patience.wait(failed, error)
                except RemoteError as final:
                    raise translated(final) from error
            else:
                return

    async def _steps(self, after: Prefix, taken: _Taken) -> None:
        if self._lease is None:
            self._lease, self._has, self._number = await self._begin(), 0, 0
        while self._has < len(after):
            start, stop = self._has, min(len(after), self._has + self._lease.step_tokens)
            first = min(max(start, taken.next), stop)
            upto = after if stop == len(after) else after.copy(stop)
            step = Step(step=self._numbered((start, stop, first)), hash=after.hash(start), first=first)
            asked = Asked(self._line.card.width, self._line.writing, taken.take)
            await self._line.client.step(self._lease.name, step, upto, start, asked)
            self._has, self._unanswered = stop, None

    def _numbered(self, step: tuple[int, int, int]) -> int:
        """Return the number of a step: that of the last one where it is the same again and nothing came back."""
        if step != self._unanswered:
            self._number, self._unanswered = self._number + 1, step
        return self._number

    def _lost(self, error: RemoteError, after: Prefix, taken: _Taken) -> bool:
        """Learn from an error what the server holds; return whether it holds less, or something else, than believed."""
        problem = error.problem if isinstance(error, PeerRefused) else None
        if problem is None:
            return False
        if problem.code is Code.CONFLICT:
            self._has, self._unanswered = min(_common(problem, after), taken.next), None
            return True
        if problem.code in {Code.UNKNOWN_SESSION, Code.STALE}:
            self._lease = self._unanswered = None
            return True
        return False


@dataclass
class _Taken:
    """The rows that have come, from the wanted position on."""

    next: int
    rows: list[Tensor] = field(default_factory=list)

    def take(self, sequence: int, rows: Tensor) -> None:
        """Keep the next rows."""
        self.rows.append(rows)
        self.next += len(rows)


def check_tokens(tokens: Sequence[int], position: int, card: BaseCard) -> None:
    """Refuse tokens that the base does not know, or has no room for.

    Raises:
        UsageError: If a token is not in the vocabulary.
        PromptTooLong: If they do not fit the context.
    """
    if position + len(tokens) > card.context:
        raise PromptTooLong(
            f"{position + len(tokens)} tokens do not fit the {card.context} that {card.name} can read at once; "
            "shorten the message or begin a new conversation."
        )
    if tokens and not (min(tokens) >= 0 and max(tokens) < card.vocabulary):
        raise UsageError(f"A token lies outside the {card.vocabulary} that {card.name} knows.")


def translated(error: RemoteError) -> NightSchoolError:
    """Return the error of the engine that a refusal stands for."""
    problem = error.problem if isinstance(error, PeerRefused) else None
    kind = _MEANINGS.get(problem.code) if problem is not None else None
    return kind(str(error)) if kind is not None else error


_MEANINGS: dict[Code, type[NightSchoolError]] = {
    Code.WRONG_BASE: BaseMismatch,
    Code.TOO_LONG: PromptTooLong,
    Code.CACHE_FULL: PeerFull,
    Code.TOO_MANY: PeerFull,
}


def _common(problem: Problem, history: Prefix) -> int:
    """Return how many tokens of a history the server holds, by what it said with a conflict; 0: it is another one."""
    if problem.have is None or problem.have > len(history) or problem.hash != history.hash(problem.have):
        return 0
    return problem.have
