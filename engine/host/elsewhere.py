"""Where one loaded base's lower blocks compute: each way opened once, and proven before its first reply."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...schemas.errors import ModelError, UsageError
from ...schemas.providers import Examined
from ...schemas.records import Slot
from ..base.supply import FinalKind, ProviderKind
from ..settings import HSP, LOCAL, REMOTE, ServerSettings, Settings
from ..slots.blend import Voice, folders_of

if TYPE_CHECKING:
    from ..base.library import LoadedBase
    from ..base.provider import Provider
    from ..chat.chat import Chat, Through

_log = logging.getLogger(__name__)

_Described = tuple[ServerSettings | None, ...]


class Elsewhere:
    """The providers of a base. Used in the model thread only."""

    def __init__(self, base: LoadedBase, cut: int, kinds: Sequence[ProviderKind | FinalKind]) -> None:
        """Prepare; nothing is opened."""
        self._base, self._cut = base, cut
        self._kinds = {kind.name: kind for kind in kinds if isinstance(kind, ProviderKind)}
        self._final = {kind.name: kind for kind in kinds if isinstance(kind, FinalKind)}
        self._open: dict[tuple[str, ...], tuple[_Described, Through]] = {}
        self._heads: dict[bool, Chat] = {}

    def hold(self, names: tuple[str, ...], settings: Settings, through: Through) -> None:
        """Take a way that was opened and proven before."""
        self._open[names] = (_described(names, settings), through)

    async def through(self, names: tuple[str, ...], settings: Settings) -> Through:
        """Return the way over these servers, or ``local``; one whose settings were changed is opened anew.

        Raises:
            NotFound: If a name is not described.
            BaseMismatch: If another base computes there.
            RemoteError: If nobody can be asked.
        """
        described = _described(names, settings)
        held = self._open.get(names)
        if held is not None and held[0] == described:
            return held[1]
        found = await (self._to_head(names[0], settings) if settings.final(names[0]) else self._to_tail(names))
        self._open[names] = (described, found)
        return found

    async def _to_tail(self, names: tuple[str, ...]) -> Through:
        from ..base.card import check_probe
        from ..base.halves import open_tail
        from ..chat.chat import Through

        provider = self._provider(names)
        await check_probe(self._base.card, provider, open_tail(self._base, self._cut))
        return Through(", ".join(names), provider)

    async def _to_head(self, name: str, settings: Settings) -> Through:
        from ..chat.chat import Through
        from ..wire.final.supply import fitting_head

        server = settings.servers[name]
        kind = self._final_kind(server.kind)
        provider = kind.open(self._base, server)
        normed, distance = await fitting_head(self._base, provider, kind.normed)
        _log.info("%s (%s) lies %.2g nats from %s", name, kind.name, distance, self._base.card.name)
        return Through(name, provider, normed=normed)

    def head_chat(self, through: Through) -> Chat:
        """Return the chat of a way that gives final states: its tail is the head, with or without the final norm."""
        from ..chat.chat import Chat

        normed = bool(through.normed)
        if normed not in self._heads:
            self._heads[normed] = Chat(self._base, through.provider, 0, normed=normed)
        return self._heads[normed]

    @property
    def chats(self) -> Sequence[Chat]:
        """Those that were made so far."""
        return list(self._heads.values())

    async def examine(self, server: ServerSettings, cut: int | None) -> Examined:
        """Measure a server.

        Raises:
            BaseMismatch: If another base computes there.
            RemoteError: If it cannot be asked.
            UsageError, NotFound: If its address, its key or the cut cannot be used.
        """
        if server.kind != HSP:
            return await self._final_kind(server.kind).examine(self._base, server, cut)
        examine = self._kind(REMOTE).examine
        if examine is None:
            raise _missing(REMOTE)
        return await examine(self._base, server, cut)

    def _provider(self, names: tuple[str, ...]) -> Provider:
        if names == (LOCAL,):
            return self._kind(LOCAL).open(self._base)
        named = self._kind(REMOTE).named
        if named is None:
            raise _missing(REMOTE)
        return named(self._base, names)

    def _final_kind(self, name: str) -> FinalKind:
        check_kind(name, list(self._final.values()))
        return self._final[name]

    def _kind(self, name: str) -> ProviderKind:
        if name not in self._kinds:
            raise _missing(name)
        return self._kinds[name]


def names_of(slot: str, settings: Settings) -> tuple[str, ...]:
    """Return where a slot's replies compute: as it says itself, else as the profile does."""
    return (slot,) if slot else settings.provider or (LOCAL,)


def check_kind(name: str, kinds: Sequence[ProviderKind | FinalKind]) -> None:
    """Refuse a kind of server that nobody supplies.

    Raises:
        UsageError: If it is none.
    """
    known = [HSP, *sorted(kind.name for kind in kinds if isinstance(kind, FinalKind))]
    if name not in known:
        raise UsageError(f"No plugin supplies servers of the kind {name!r}, only {', '.join(known)}; take one of them.")


def check_can_speak(slot: Slot, adapter: Voice, settings: Settings) -> None:
    """Refuse a slot that has learned in blocks which compute where no adapter goes. A head adapter speaks anywhere.

    Raises:
        UsageError: If it cannot speak there.
        Damaged: If its adapter does not read.
    """
    from ..slots.generations import is_head_adapter

    name = names_of(slot.provider, settings)[0]
    if settings.final(name) and not all(is_head_adapter(folder) for folder in folders_of(adapter)):
        raise UsageError(
            f"{slot.title} has learned in blocks that {name} ({settings.servers[name].kind}) computes itself, so it "
            f"cannot speak there; let it compute here (`nightschool slots set {slot.name} --provider {LOCAL}`) or at "
            "a Night School server, or speak with a slot that has learned nothing yet, or that learns there."
        )


def learns_in_head(slot: Slot, adapter: Path | None, settings: Settings) -> bool:
    """Return whether what a slot learns goes into a head adapter: where an engine of others computes all blocks.

    A slot that has learned goes on in the kind that it has.

    Raises:
        UsageError: If it has learned in blocks, and computes where none can be changed.
        Damaged: If its adapter does not read.
    """
    from ..slots.generations import is_head_adapter

    name = names_of(slot.provider, settings)[0]
    if adapter is None:
        return settings.final(name)
    is_head = is_head_adapter(adapter)
    if settings.final(name) and not is_head:
        raise UsageError(
            f"{slot.title} has learned in blocks that {name} ({settings.servers[name].kind}) computes itself; let it "
            f"compute here (`nightschool slots set {slot.name} --provider {LOCAL}`), or go back to the plain base "
            f"(`nightschool rollback {slot.name} --to 0`), from which a head adapter can be learned."
        )
    return is_head


def _described(names: tuple[str, ...], settings: Settings) -> _Described:
    return tuple(settings.servers.get(name) for name in names)


def _missing(name: str) -> ModelError:
    return ModelError(f"No plugin supplies the provider {name!r}; reinstall Night School.")
