"""The bases of the profile: listed, fetched, chosen and removed, whether or not one is loaded."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ...schemas.errors import Damaged, ModelDamaged, ModelInUse, ModelNotFound, UsageError
from ...schemas.events import NoticeEvent
from ...schemas.messages import CancelPull, ListModels, PullModel, PullTail, RemoveModel, UseModel
from ...schemas.models import KnownBase, KnownBases, PulledTail
from ..base import installed
from ..base.catalog import DEFAULT, source_of
from ..base.installed import Installed, find_installed, leftovers
from ..settings import HSP, ServerSettings, choose_base, choose_provider, read_settings
from ..slots.bases import newest_for
from ..study.states_cache import forget_states
from ..wire.tail_asked import Wanted
from .fetching import Fetching
from .model_list import Machine, Use, list_bases
from .pull import run_pull, run_tail_pull
from .rooms import Rooms, Tell

DEFAULT_CHOICE = ""
"""What the settings say where the default base is chosen."""


class ModelService:
    """Handlers of ``models.*``."""

    def __init__(self, rooms: Rooms, fetching: Fetching) -> None:
        self._rooms, self._fetching = rooms, fetching

    async def list_all(self, request: ListModels, tell: Tell) -> KnownBases:
        """List the bases of the catalogue and those on this machine."""
        import psutil

        home, memory = self._rooms.home, psutil.virtual_memory()
        found = await asyncio.to_thread(installed.installed, home)
        partial = {name: size for name, (_, size) in (await asyncio.to_thread(leftovers, home)).items()}
        use = Use(read_settings(home).base, await self._loaded(), self._learned(deleted=False))
        device = await asyncio.to_thread((await self._rooms.model.model()).room) if self._rooms.model.ready else 0
        return list_bases(found, partial, use, Machine(memory.total, memory.available, device))

    async def pull(self, request: PullModel, tell: Tell) -> KnownBase:
        """Fetch a base in a process of its own and return its row.

        Raises:
            ModelInUse: If another is being fetched.
            PullCancelled: If it was stopped.
        """
        home = self._rooms.home
        folder = await self._fetching.do(request.spec, lambda told: run_pull(request.spec, home, told), tell)
        return await self._row(folder)

    async def pull_tail(self, request: PullTail, tell: Tell) -> PulledTail:
        """Fetch a tail in a process of its own; the first base of a profile is the one that it starts with.

        Raises:
            UsageError: If ``use`` is asked for of a server that has no name.
            ModelInUse, PullCancelled: As of :meth:`pull`.
        """
        home = self._rooms.home
        server = self._server(request)
        wanted = Wanted(server, request.cut, request.hub, request.fingerprint)
        alone = not read_settings(home).base and not await asyncio.to_thread(installed.installed, home)
        name = f"a tail from {request.server}"
        pulled = await self._fetching.do(name, lambda told: run_tail_pull(wanted, home, told), tell)
        if request.use or alone:
            choose_base(home, pulled.folder.name)
        if request.use:
            choose_provider(home, [request.server])
        row = await self._row(pulled.folder)
        bytes_ = {"moved": pulled.moved, "tail": pulled.tail, "whole": pulled.whole}
        return PulledTail(base=row, **bytes_, chosen=request.use or alone)

    def _server(self, request: PullTail) -> ServerSettings:
        named = read_settings(self._rooms.home).servers.get(request.server)
        if named is None and request.use:
            raise UsageError(f"{request.server} has no name here; give it one with `nightschool providers add` first.")
        if named is not None and named.kind != HSP:
            raise UsageError(f"{request.server} is an engine of others ({named.kind}), which gives no tail.")
        return named or ServerSettings(url=request.server, key_file=request.key_file, plain_http=request.plain_http)

    async def cancel(self, request: CancelPull, tell: Tell) -> bool:
        """Stop fetching; returns when it has ended."""
        return await self._fetching.cancel()

    async def use(self, request: UseModel, tell: Tell) -> KnownBase:
        """Let the profile start with a base from now on.

        Raises:
            ModelNotFound: If it is not on this machine.
            ModelDamaged: If it cannot be used as it lies there.
        """
        home, default = self._rooms.home, source_of(request.spec) == DEFAULT
        found = find_installed(request.spec, home) if default else self._rooms.base_named(request.spec)
        if found is not None and found.trouble and not default:  # the default one repairs itself
            raise ModelDamaged(found.trouble)
        choose_base(home, DEFAULT_CHOICE if default or found is None else found.spec)
        if found is not None and found.card is not None:
            self._warn(found.card.fingerprint, found.card.name)
        return await self._row(found.folder if found else None)

    async def remove(self, request: RemoveModel, tell: Tell) -> int:
        """Remove a base from the disk, or what a broken pull left of one.

        Raises:
            ModelNotFound: If nothing of it is here.
            ModelInUse: If it is loaded or being fetched; or, without ``force``, if the profile starts with it or a slot
                learned on it.
        """
        home = self._rooms.home
        if self._fetching.busy and source_of(self._fetching.name) == source_of(request.spec):
            raise ModelInUse(f"{request.spec} is being fetched; cancel that first.")
        found = find_installed(request.spec, home)
        if found is None:
            return await self._remove_leftover(request.spec)
        if found.folder == await self._loaded():
            raise ModelInUse(f"{request.spec} answers now; use another model first, then remove it.")
        if not request.force:
            self._refuse_needed(found, request.spec)
        freed = await asyncio.to_thread(self._remove, found)
        if read_settings(home).base and found.answers_to(read_settings(home).base):
            choose_base(home, "")
        return freed

    async def close(self) -> None:
        """Stop fetching, as the engine ends."""
        await self._fetching.cancel()

    def _remove(self, found: Installed) -> int:
        freed = installed.remove(found.folder)
        if found.card is not None:
            forget_states(self._rooms.home.cache, found.card.fingerprint)
        return freed

    # -- what is needed -----------------------------------------------------------------------------------------------

    async def _loaded(self) -> Path | None:
        """Return the folder of the base that answers, None while none does."""
        return (await self._rooms.model.model()).base.folder if self._rooms.model.ready else None

    def _learned(self, *, deleted: bool) -> dict[str, list[str]]:
        """Return the slots by the fingerprint of the base that their current generation was learned on."""
        learned: dict[str, list[str]] = {}
        for slot in self._rooms.store.list(deleted=deleted):
            try:
                version = self._rooms.store.current(slot.name)
            except Damaged:
                continue  # the user was told of it when the engine started
            if version.adapter_sha256 is not None:
                learned.setdefault(version.base, []).append(slot.name)
        return learned

    def _refuse_needed(self, found: Installed, spec: str) -> None:
        if found.answers_to(self._rooms.model.spec):
            raise ModelInUse(f"The profile starts with {spec}; use another model first, or remove it with --force.")
        slots = self._learned(deleted=True).get(found.card.fingerprint, []) if found.card else []
        if slots:
            raise ModelInUse(
                f"What {', '.join(slots)} learned works with {spec} alone; roll back to 0 first, or remove it with "
                "--force."
            )
        names = [slot.name for slot in self._rooms.store.list() if slot.base and found.answers_to(slot.base)]
        if names:
            raise ModelInUse(f"{', '.join(names)} answers with {spec} alone; change that first, or use --force.")

    def _warn(self, fingerprint: str, name: str) -> None:
        """Say which slots will not answer with another base."""
        others = [slot for base, slots in self._learned(deleted=False).items() if base != fingerprint for slot in slots]
        slots = [slot for slot in others if newest_for(self._rooms.store.versions(slot), fingerprint) is None]
        if slots:
            text = (
                f"{', '.join(slots)} learned on another model; before you ask there with {name}, have it learn again "
                "(`nightschool slots teach SLOT --base MODEL`), or roll back to 0."
            )
            self._rooms.broadcast(NoticeEvent(level="warning", text=text))

    # -- rows ---------------------------------------------------------------------------------------------------------

    async def _row(self, folder: Path | None) -> KnownBase:
        """Return the row of a prepared base; None: of the default one, which leads the catalogue."""
        rows = (await self.list_all(ListModels(), lambda event: None)).rows
        return next(row for row in rows if folder is None or row.folder == str(folder))

    async def _remove_leftover(self, spec: str) -> int:
        name = source_of(spec).partition("@")[0].rpartition("/")[2]
        left = leftovers(self._rooms.home).get(name)
        if left is None:
            raise ModelNotFound(f"{spec} is not on this machine; `nightschool models` lists what is.")
        return await asyncio.to_thread(installed.remove, left[0])
