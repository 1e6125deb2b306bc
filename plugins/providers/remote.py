"""The provider elsewhere: states of a base from a server that speaks HSP/1 (docs/protocol.md).

Torch is imported by the functions that need it, so that looking at the plugins does not load it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from ...engine.base.provider import Provider, Session, States
from ...engine.base.supply import ProviderKind
from ...engine.host.hooks import hookimpl
from ...engine.paths import find_home
from ...engine.settings import LOCAL, ServerSettings, read_settings
from ...engine.wire.answers import Asked
from ...engine.wire.budget import cheapest, measured
from ...engine.wire.client import Client
from ...engine.wire.coming import Line
from ...engine.wire.examine import look, prove
from ...engine.wire.named import check_named, client_of
from ...engine.wire.patience import Patience
from ...engine.wire.rows import Writing
from ...engine.wire.session import Lease, RemoteSession, check_tokens, translated
from ...schemas.cards import BaseCard
from ...schemas.errors import BaseMismatch, RemoteError, UsageError
from ...schemas.hsp import Capture, Description, Limits, Norm, Open
from ...schemas.providers import Examined

if TYPE_CHECKING:
    from torch import Tensor

    from ...engine.base.library import LoadedBase

T = TypeVar("T")

_ALONE, _BESIDE = 11, 3
"""Tries at the only provider, about half a minute, in which a server may be started again; and at one beside others."""


@hookimpl
def nightschool_providers() -> list[ProviderKind]:
    """Supply the providers that the settings name."""
    return [ProviderKind("remote", open_named, open_named, examined)]


def open_named(loaded: LoadedBase, names: Sequence[str] = ()) -> Provider:
    """Return the providers of these names as one; without names, those that the profile's settings choose.

    Raises:
        UsageError: If they name none, or an address or a key cannot be used.
        NotFound: If a key's file is not there, or a name is not described.
    """
    from .local import LocalProvider
    from .several import SeveralProviders

    home = find_home()
    check_named(home, names)
    settings = read_settings(home)
    wanted = tuple(names) or settings.provider
    patience = Patience(tries=_ALONE if len(wanted) == 1 else _BESIDE)
    found: list[Provider] = []
    for name in wanted:
        if name == LOCAL:
            found.append(LocalProvider(loaded))
            continue
        server = settings.servers[name]
        client, writing = client_of(server), Writing(server.codec, server.zstd)
        settle = _settler(loaded, client, server) if server.kl_budget is not None else None
        found.append(RemoteProvider(loaded.card, client, writing, patience, settle))
    return found[0] if len(found) == 1 else SeveralProviders(found, admit=_prover(loaded))


async def examined(loaded: LoadedBase, server: ServerSettings, cut: int | None = None) -> Examined:
    """Measure a server against a base.

    Raises:
        BaseMismatch: If it is another base.
        RemoteError: If it cannot be asked.
        UsageError, NotFound: If its address, its key or the cut cannot be used.
    """
    client = client_of(server)
    wanted = cut if cut is not None else loaded.cut
    try:
        found = await prove(await look(client), loaded, wanted, _connecting(loaded, client))
        found = found.model_copy(update={"carrier": client.carrier})
    finally:
        await client.aclose()
    chosen = server.codec if server.kl_budget is None else cheapest(found.codecs, server.kl_budget)
    return found.model_copy(update={"chosen": chosen})


def _connecting(loaded: LoadedBase, client: Client) -> Callable[[str], Provider]:
    return lambda codec: RemoteProvider(loaded.card, client, Writing(codec))


Settle = Callable[[Description], Awaitable[Writing]]
"""Says how rows shall be written, once it is known what a server offers."""


def _settler(loaded: LoadedBase, client: Client, server: ServerSettings) -> Settle:
    """Return what keeps to a server's budget."""
    budget = server.kl_budget
    assert budget is not None

    async def settle(offered: Description) -> Writing:
        cut, folder = loaded.cut, find_home().cache / "codecs"
        connect = _connecting(loaded, client)
        found = await measured(loaded, cut, client.address, offered, connect=connect, folder=folder)
        return Writing(cheapest(found, budget), server.zstd)

    return settle


def _prover(loaded: LoadedBase) -> Callable[[Provider], Awaitable[object]]:
    """Return what runs the card's probe through a provider and the tail of this machine."""

    async def prove(provider: Provider) -> float:
        from ...engine.base.card import check_probe
        from ...engine.base.halves import open_tail

        return await check_probe(loaded.card, provider, open_tail(loaded, loaded.cut))

    return prove


class RemoteProvider:
    """States of one base from one server, which is compared with the card when it is first asked for anything.

    That is what the server says of itself; ``check_probe`` of engine/base/card.py proves it.
    """

    def __init__(
        self,
        card: BaseCard,
        client: Client,
        writing: Writing | None = None,
        patience: Patience | None = None,
        settle: Settle | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            card: The base, as it is known here.
            client: Who asks.
            writing: How rows are to be written; None: bf16.
            patience: How long it is tried; None: as usual.
            settle: Says how rows shall be written in place of ``writing``, once the server has said what it offers.
        """
        self._settle = settle
        self._line = Line(card, client, writing or Writing("bf16"), patience or Patience())
        self._description: Description | None = None

    @property
    def base(self) -> BaseCard:
        """The card that the server must fit."""
        return self._line.card

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._line.client.address

    @property
    def moved(self) -> int:
        """Bytes of bodies that went either way so far."""
        return self._line.client.moved

    async def describe(self) -> Description:
        """Return what the server says of itself, found to fit the card.

        Raises:
            BaseMismatch: If it serves another base.
            RemoteError: If it cannot be asked, or does not write rows as they are wanted.
        """
        return await self._trying(self._described)

    async def states(self, batch: list[list[int]], cut: int) -> list[States]:
        """Return the states of whole sequences, in the order of ``batch``.

        Raises:
            UsageError: If the server has no such cut, or a token is not in the vocabulary.
            PromptTooLong: If a sequence does not fit the context.
            BaseMismatch: If it serves another base.
            RemoteError: If it cannot be asked.
        """
        import torch

        for tokens in batch:
            check_tokens(tokens, 0, self.base)
        limits = (await self._trying(lambda: self._offering(cut))).limits
        found: dict[int, Tensor] = {}
        short = [number for number, tokens in enumerate(batch) if 0 < len(tokens) <= limits.capture_tokens]
        for group in _groups(short, batch, limits):
            rows = await self._captured([batch[number] for number in group], cut)
            found.update(zip(group, rows, strict=True))
        for number, tokens in enumerate(batch):
            if len(tokens) > limits.capture_tokens:
                found[number] = await self._read_alone(tokens, cut)
        empty = torch.empty(0, self.base.width)
        return [States(0, found.get(number, empty)) for number in range(len(batch))]

    def open(self, cut: int) -> Session:
        """Begin an empty session at a cut; the server hears of it with the first tokens.

        Raises:
            UsageError: If the base has no such cut.
        """
        if not 0 <= cut <= self.base.layers:
            raise UsageError(f"The cut must lie between 0 and {self.base.layers}, not at {cut}.")
        return RemoteSession(self._line, lambda: self._begin(cut))

    async def close(self) -> None:
        """Close the connections; whoever asks again opens new ones."""
        await self._line.client.aclose()

    # -- single requests ----------------------------------------------------------------------------------------------

    async def _described(self) -> Description:
        if self._description is None:
            found = await self._line.client.describe()
            _check_base(found, self.base, self.address)
            if self._settle is not None:
                self._line.writing = await self._settle(found)
            _check_writing(found, self._line.writing, self.address)
            self._description = found
        return self._description

    async def _offering(self, cut: int) -> Description:
        found = await self._described()
        if cut not in found.cuts:
            raise UsageError(
                f"{self.address} does not offer cut {cut}, only {_listed(found.cuts)}; choose one of them (`cut = N` "
                "in config.toml), and have slots that learned further down learn again for it with `nightschool slots "
                "teach SLOT --base MODEL`."
            )
        if cut == 0 and found.norm is Norm.AFTER:
            raise UsageError(f"{self.address} gives states after the final norm, which adapters here are not made for.")
        return found

    async def _begin(self, cut: int) -> Lease:
        offer, writing = await self._offering(cut), self._line.writing
        asked = Open(fingerprint=self.base.fingerprint, cut=cut, codec=writing.codec, zstd=writing.zstd)
        opened = await self._line.client.open(asked)
        return Lease(opened.session, offer.limits.step_tokens, "stream" in offer.verbs)

    async def _captured(self, sequences: list[list[int]], cut: int) -> list[Tensor]:
        """Return the rows of sequences that fit one capture; those that have come whole are not asked for again."""
        import torch

        writing = self._line.writing
        capture = Capture(fingerprint=self.base.fingerprint, cut=cut, codec=writing.codec, zstd=writing.zstd)
        whole: dict[int, Tensor] = {}

        async def ask() -> None:
            lacking = [number for number in range(len(sequences)) if number not in whole]
            parts: list[list[Tensor]] = [[] for _ in lacking]

            def take(sequence: int, rows: Tensor) -> None:
                parts[sequence].append(rows)
                if sum(map(len, parts[sequence])) == len(sequences[lacking[sequence]]):
                    whole[lacking[sequence]] = torch.cat(parts[sequence])

            asked = Asked(self.base.width, writing, take)
            await self._line.client.capture(capture, [sequences[number] for number in lacking], asked)

        await self._trying(ask)
        return [whole[number] for number in range(len(sequences))]

    async def _read_alone(self, tokens: list[int], cut: int) -> Tensor:
        """Return the rows of a sequence that is too long for a capture: by way of a session."""
        session = self.open(cut)
        try:
            return (await session.extend(0, tokens)).rows
        finally:
            await session.close()

    async def _trying(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._line.patience.trying(ask)
        except RemoteError as error:
            raise translated(error) from error


def _check_base(found: Description, card: BaseCard, address: str) -> None:
    """Compare what a server says with a card.

    Raises:
        BaseMismatch: If it is another base.
    """
    theirs = found.base
    differing = [name for name in _NAMED if getattr(theirs, name) != getattr(card, name)]
    if differing:
        raise BaseMismatch(
            f"{address} serves {theirs.name} ({theirs.fingerprint[:12]}), not {card.name} ({card.short}): "
            f"{', '.join(differing)} differ; use a server of the same model and revision."
        )


_NAMED = (
    *("config_hash", "tokenizer_hash", "template_hash", "tensors_hash", "fingerprint"),
    *("layers", "width", "vocabulary", "context"),
)


def _check_writing(found: Description, writing: Writing, address: str) -> None:
    names = [codec.name for codec in found.codecs]
    if writing.codec not in names:
        raise RemoteError(f"{address} does not write {writing.codec}, only {', '.join(names)}; choose one of them.")


def _groups(numbers: Sequence[int], batch: Sequence[Sequence[int]], limits: Limits) -> Iterator[list[int]]:
    """Give groups of sequences, alike in length, none above what one capture may hold."""
    group: list[int] = []
    tokens = 0
    for number in sorted(numbers, key=lambda number: len(batch[number])):
        if group and (tokens + len(batch[number]) > limits.capture_tokens or len(group) >= limits.capture_sequences):
            yield group
            group, tokens = [], 0
        group.append(number)
        tokens += len(batch[number])
    if group:
        yield group


def _listed(cuts: Sequence[int]) -> str:
    return ", ".join(map(str, cuts[:20])) + (" ..." if len(cuts) > 20 else "")


_: type[Provider] = RemoteProvider  # the type checker proves the contract here
