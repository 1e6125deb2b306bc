"""Final states from an engine of others: whole prefixes are sent, and of the answer the rows wanted are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ....schemas.cards import BaseCard
from ....schemas.errors import BadFrame, PeerRefused, RemoteError, UsageError
from ....schemas.hsp import Code
from ...base.provider import Keepable, LastRows, Provider, Session, States
from ..client import Client
from ..patience import Patience
from ..session import check_tokens
from .dialect import Asked, Dialect
from .numbers import parsed, within

if TYPE_CHECKING:
    from torch import Tensor

_PIECES = 1024
"""Rows that are asked for one by one, where an engine holds back what it has cached; more, and it is told so."""

_MODELS, _NAME = "/v1/models", 4096


class FinalProvider:
    """Final states of one base from one engine. Nothing that it says is proven: see ``check_probe``."""

    def __init__(self, card: BaseCard, client: Client, dialect: Dialect, patience: Patience | None = None) -> None:
        """Prepare; nothing is sent.

        Args:
            card: The base, as it is known here.
            client: Who asks.
            dialect: What the engine understands.
            patience: How long it is tried; None: as usual.
        """
        self.base = card
        self.dialect = dialect
        self.client = client
        self._patience = patience or Patience()
        self._model = ""
        self._gives_last = dialect.gives_last  # until it refuses

    @property
    def moved(self) -> int:
        """Bytes of bodies that went either way so far."""
        return self.client.moved

    async def model(self) -> str:
        """Return what the engine calls the model, by the list that all of them have.

        Raises:
            RemoteError: If it cannot be asked.
        """
        body = await self._patience.trying(lambda: self.client.answer("GET", _MODELS, most=1 << 20))
        found = within(parsed(body), "data", 0, "id")
        if not isinstance(found, str) or not 0 < len(found) <= _NAME:
            raise BadFrame("The server does not say what it calls its model; is it the engine that the settings say?")
        return found

    async def states(self, batch: list[list[int]], cut: int) -> list[States]:
        """Return the states of whole sequences, one request each.

        Raises:
            UsageError: If the cut is not 0, or a token is not in the vocabulary.
            PromptTooLong: If a sequence does not fit the context.
            RemoteError: If the engine cannot be asked.
        """
        import torch

        self._check(cut)
        for tokens in batch:
            check_tokens(tokens, 0, self.base)
        empty = torch.empty(0, self.base.width)
        return [States(0, await self.rows(tokens, len(tokens)) if tokens else empty) for tokens in batch]

    def open(self, cut: int) -> Session:
        """Begin an empty session; the engine hears of it with the first tokens.

        Raises:
            UsageError: If the cut is not 0.
        """
        self._check(cut)
        return FinalSession(self)

    async def rows(self, tokens: list[int], count: int) -> Tensor:
        """Return the last ``count`` rows of a sequence.

        An engine may hold back the rows of what it has cached, but never the last one: those that lack are asked for
        as last ones.

        Raises:
            RemoteError: If it cannot be asked.
        """
        import torch

        found = [await self._asked(tokens, last=count == 1)]
        lacking = count - len(found[0])
        if lacking > _PIECES:
            raise RemoteError(f"{self.client.address} holds back {lacking} rows. {self.dialect.start}")
        for length in range(len(tokens) - len(found[0]), len(tokens) - count, -1):
            found.insert(0, (await self._asked(tokens[:length], last=True))[-1:])
        return torch.cat(found)[-count:]

    async def _asked(self, tokens: list[int], *, last: bool) -> Tensor:
        if self.dialect.names_model and not self._model:
            self._model = await self.model()

        async def ask() -> Tensor:
            alone = last and self._gives_last
            try:
                return await self._once(Asked(tokens, self.base.width, self._model, alone))
            except PeerRefused as error:
                if not alone or error.problem is None or error.problem.code not in _NOT_KNOWN:
                    raise
            self._gives_last = False
            return await self._once(Asked(tokens, self.base.width, self._model))

        return await self._patience.trying(ask)

    async def _once(self, asked: Asked) -> Tensor:
        dialect = self.dialect
        body = await self.client.answer("POST", dialect.path, dialect.body(asked), most=dialect.most(asked))
        return dialect.read(body, asked)

    def _check(self, cut: int) -> None:
        if cut != 0:
            raise UsageError(
                f"{self.dialect.title} at {self.client.address} gives final states alone, not those of cut {cut}; "
                "choose this machine or a Night School server."
            )


_NOT_KNOWN = (Code.BAD_REQUEST, Code.INTERNAL)
"""What an engine answers that does not know how to give the last row alone."""


class FinalSession:
    """One conversation's tokens: the engine holds none of them for it."""

    distant = True

    def __init__(self, provider: FinalProvider) -> None:
        self._provider = provider
        self._tokens: list[int] = []
        self._open = True

    @property
    def length(self) -> int:
        """Number of tokens held."""
        return len(self._tokens)

    async def extend(self, position: int, tokens: list[int]) -> States:
        """Truncate to ``position`` tokens, append ``tokens``, and return their states.

        Raises:
            UsageError: If the session is closed or ``position`` lies beyond what it holds; nothing has changed.
            PromptTooLong: If the tokens do not fit the context; nothing has changed.
            RemoteError: If the engine cannot be asked; nothing has changed, and it may be tried again.
        """
        return await self.last(position, tokens, len(tokens))

    async def last(self, position: int, tokens: list[int], count: int) -> States:
        """Truncate to ``position`` tokens, append ``tokens``, and return the last ``count`` rows of them.

        Raises:
            UsageError, PromptTooLong, RemoteError: As of :meth:`extend`.
        """
        import torch

        if not self._open:
            raise UsageError("The session is closed; open another one.")
        if not 0 <= position <= self.length:
            raise UsageError(f"The session holds {self.length} tokens and cannot go on from {position}.")
        check_tokens(tokens, position, self._provider.base)
        after = self._tokens[:position] + tokens
        rows = await self._provider.rows(after, count) if count else torch.empty(0, self._provider.base.width)
        self._tokens = after
        return States(len(after) - count, rows)

    def held(self) -> dict[str, Tensor]:
        """Return what is held beside the tokens: nothing."""
        return {}

    def restore(self, tokens: list[int], held: Mapping[str, Tensor]) -> None:
        """Hold these tokens, in place of nothing."""
        self._tokens = list(tokens)

    async def close(self) -> None:
        """Hold nothing any more. Closing twice is harmless."""
        self._open = False
        self._tokens = []


_: tuple[type[Provider], type[Session], type[LastRows], type[Keepable]] = (
    *(FinalProvider, FinalSession),
    *(FinalSession, FinalSession),
)
