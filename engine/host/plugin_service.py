"""Plugins as the user lists, trusts, turns on and off, and the commands that they supply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ...schemas.errors import NotFound
from ...schemas.messages import DisablePlugin, EnablePlugin, ListPlugins, RunPluginCommand, TrustPlugin
from ...schemas.plugins import PluginList, PluginRow, PluginState
from ...schemas.records import Conversation, Lesson, Message, Slot
from ..plug import manage
from ..plug.standing import LEFT_OUT
from .rooms import Rooms, Tell

MOST_ROWS = 100_000


class PluginService:
    """Handlers of ``plugins.*``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list_all(self, request: ListPlugins, tell: Tell) -> PluginList:
        """List the plugins of others.

        Raises:
            Damaged, StorageError: If what was decided about them does not read.
        """
        rows = await asyncio.to_thread(manage.list_plugins, self._rooms.home)
        loaded = self._rooms.plugins.plugins()
        here = {info.name for info in loaded}
        left_out = {"state": PluginState.BLOCKED, "reason": LEFT_OUT}
        rows = [
            row.model_copy(update=left_out) if row.state is PluginState.LOADED and row.name not in here else row
            for row in rows
        ]
        return PluginList(plugins=rows, built_in=sum(info.built_in for info in loaded))

    async def trust(self, request: TrustPlugin, tell: Tell) -> PluginRow:
        """Trust a plugin, try it, and load it here.

        Raises:
            NotFound: If it is not installed.
            Damaged, Locked, StorageError: If that cannot be written down.
        """
        return await self._changed(lambda: manage.trust_plugin(self._rooms.home, request.name))

    async def enable(self, request: EnablePlugin, tell: Tell) -> PluginRow:
        """Turn a plugin on, try it, and load it here.

        Raises:
            NotFound: If it is not installed.
            PluginError: If it is not trusted as it is now.
            Damaged, Locked, StorageError: If that cannot be written down.
        """
        return await self._changed(lambda: manage.enable_plugin(self._rooms.home, request.name))

    async def disable(self, request: DisablePlugin, tell: Tell) -> PluginRow:
        """Turn a plugin off, here at once.

        Raises:
            NotFound: If there is none, or it was never on.
            Damaged, Locked, StorageError: If that cannot be written down.
        """
        return await self._changed(lambda: manage.disable_plugin(self._rooms.home, request.name))

    async def run(self, request: RunPluginCommand, tell: Tell) -> str:
        """Do what a plugin's command does.

        Raises:
            NotFound: If no plugin that is loaded supplies it.
            PluginError: If it fails.
        """
        commands = self._rooms.plugins.collect("nightschool_commands")
        command = next((one for one in commands if one.name == request.command), None)
        if command is None:
            known = ", ".join(one.name for one in commands) or "none"
            raise NotFound(
                f"No plugin that is loaded supplies the command {request.command}; those there are: {known}."
            )
        context = Reading(self._rooms, request.slot, request.conversation)
        said: str = await asyncio.to_thread(command.run, context, list(request.arguments))
        return said

    async def _changed(self, change: Callable[[], PluginRow]) -> PluginRow:
        row = await asyncio.to_thread(change)
        await asyncio.to_thread(self._rooms.plugins.refresh)
        return await asyncio.to_thread(manage.show_plugin, self._rooms.home, row.name)


class Reading:
    """What a command may read; meets ``Context`` of ``plug/contracts.py``."""

    def __init__(self, rooms: Rooms, slot: str, conversation: int | None) -> None:
        self._records, self._store = rooms.records, rooms.store
        self.slot, self.conversation = slot, conversation

    def slots(self) -> list[Slot]:
        """Return the slots in use."""
        return [slot for slot in self._store.list() if slot.archived is None and slot.deleted is None]

    def conversations(self, slot: str | None = None) -> list[Conversation]:
        """Return the conversations of a slot, or all, the latest first."""
        return self._shown(self._records.list_conversations(slot, MOST_ROWS))

    def messages(self, conversation: int | None) -> list[Message]:
        """Return what was said in a conversation, the earliest first; nothing for None."""
        if conversation is None:
            return []
        self._records.conversation(conversation)
        return self._records.messages(conversation, limit=MOST_ROWS)

    def lessons(self, slot: str | None = None) -> list[Lesson]:
        """Return the lessons of a slot, or all, the latest first."""
        here = {one.name for one in self._store.list()}
        return [lesson for lesson in self._records.lessons(slot) if lesson.slot in here]

    def _shown(self, rows: Sequence[Conversation]) -> list[Conversation]:
        here = {one.name for one in self._store.list()}
        return [row for row in rows if row.slot in here]
