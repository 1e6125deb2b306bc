"""Where one loaded base's lower blocks compute: each way opened once, and proven before its first reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...schemas.errors import ModelError
from ...schemas.providers import Examined
from ..base.supply import ProviderKind
from ..settings import LOCAL, ServerSettings, Settings

if TYPE_CHECKING:
    from ..base.library import LoadedBase
    from ..base.provider import Provider
    from ..chat.chat import Through

_Described = tuple[ServerSettings | None, ...]

REMOTE = "remote"
"""The kind of provider that knows the servers of the settings."""


class Elsewhere:
    """The providers of a base. Used in the model thread only."""

    def __init__(self, base: LoadedBase, cut: int, kinds: Sequence[ProviderKind]) -> None:
        """Prepare; nothing is opened."""
        self._base, self._cut = base, cut
        self._kinds = {kind.name: kind for kind in kinds}
        self._open: dict[tuple[str, ...], tuple[_Described, Through]] = {}

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
        from ..base.card import check_probe
        from ..base.halves import open_tail
        from ..chat.chat import Through

        provider = self._provider(names)
        await check_probe(self._base.card, provider, open_tail(self._base, self._cut))
        found = Through(", ".join(names), provider)
        self._open[names] = (described, found)
        return found

    async def examine(self, server: ServerSettings, cut: int | None) -> Examined:
        """Measure a server.

        Raises:
            BaseMismatch: If another base computes there.
            RemoteError: If it cannot be asked.
            UsageError, NotFound: If its address, its key or the cut cannot be used.
        """
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

    def _kind(self, name: str) -> ProviderKind:
        if name not in self._kinds:
            raise _missing(name)
        return self._kinds[name]


def names_of(slot: str, settings: Settings) -> tuple[str, ...]:
    """Return where a slot's replies compute: as it says itself, else as the profile does."""
    return (slot,) if slot else settings.provider or (LOCAL,)


def _described(names: tuple[str, ...], settings: Settings) -> _Described:
    return tuple(settings.servers.get(name) for name in names)


def _missing(name: str) -> ModelError:
    return ModelError(f"No plugin supplies the provider {name!r}; reinstall Night School.")
