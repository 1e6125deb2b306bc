"""Servers that compute elsewhere: named, forgotten, chosen, and measured."""

from __future__ import annotations

from ...schemas.messages import AddProvider, ExamineProvider, ListProviders, RemoveProvider, UseProviders
from ...schemas.providers import Examined, KnownProvider, KnownProviders
from ..settings import ServerSettings, choose_provider, read_settings
from ..wire.named import add_provider, known_providers, remove_provider
from .elsewhere import check_kind
from .rooms import Rooms, Tell


class ProviderService:
    """Handlers of ``providers.*``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list_all(self, request: ListProviders, tell: Tell) -> KnownProviders:
        """List the servers that the settings name."""
        return known_providers(self._rooms.home, self._rooms.store.list())

    async def add(self, request: AddProvider, tell: Tell) -> KnownProvider:
        """Name a server.

        Raises:
            UsageError, NotFound, Damaged, StorageError: As of ``add_provider``; also if nobody supplies its kind.
        """
        check_kind(request.kind, self._rooms.plugins.collect("nightschool_providers"))
        server = ServerSettings(**request.model_dump(exclude={"name", "token"}))
        add_provider(self._rooms.home, request.name, server, request.token)
        known = await self.list_all(ListProviders(), tell)
        return next(row for row in known.servers if row.name == request.name)

    async def remove(self, request: RemoveProvider, tell: Tell) -> None:
        """Forget a server.

        Raises:
            NotFound, UsageError, Damaged, StorageError: As of ``remove_provider``.
        """
        remove_provider(self._rooms.home, request.name, self._rooms.store.list())

    async def use(self, request: UseProviders, tell: Tell) -> KnownProviders:
        """Compute elsewhere, or here, from the next reply or study on.

        Raises:
            NotFound: If there is no such server.
            Damaged, StorageError: If the settings cannot be changed.
        """
        choose_provider(self._rooms.home, request.names, studies=request.studies)
        return await self.list_all(ListProviders(), tell)

    async def test(self, request: ExamineProvider, tell: Tell) -> Examined:
        """Measure a server against the base that is loaded.

        Raises:
            BaseMismatch: If it is another base.
            RemoteError: If it cannot be asked.
            UsageError, NotFound: If its address, its key or the cut cannot be used.
        """
        server = read_settings(self._rooms.home).servers.get(request.server) or ServerSettings(
            url=request.server, kind=request.kind
        )
        return await self._rooms.model.do(lambda model: model.examine(server, request.cut))
