"""The plugins of the scripted engine: listed, trusted, turned on and off, and asked, without any code of theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..schemas import messages as ask
from ..schemas.errors import NotFound, PluginError
from ..schemas.events import Event
from ..schemas.plugins import PluginList, PluginRow, PluginState

Tell = Callable[[Event], None]

BUILT_IN = 45


class ScriptedPlugins:
    """The part of the scripted engine that answers ``plugins.*``."""

    def __init__(self) -> None:
        self.plugins: dict[str, PluginRow] = {}
        self.broken: set[str] = set()
        """Plugins that do not load when they are tried."""
        self.said = "Moo."
        """What a plugin's command says."""

    async def _plugins_list(self, request: ask.ListPlugins, tell: Tell) -> PluginList:
        return PluginList(plugins=list(self.plugins.values()), built_in=BUILT_IN)

    async def _plugins_trust(self, request: ask.TrustPlugin, tell: Tell) -> PluginRow:
        return self._tried(request.name, {"trusted_version": self._plugin(request.name).version})

    async def _plugins_enable(self, request: ask.EnablePlugin, tell: Tell) -> PluginRow:
        if not self._plugin(request.name).trusted_version:
            raise PluginError(f"{request.name} is not trusted as it is now; trust it first.")
        return self._tried(request.name, {"strikes": 0})

    async def _plugins_disable(self, request: ask.DisablePlugin, tell: Tell) -> PluginRow:
        return self._changed(request.name, {"state": PluginState.BLOCKED, "reason": "You turned it off."})

    async def _plugins_run(self, request: ask.RunPluginCommand, tell: Tell) -> str:
        return self.said

    def _tried(self, name: str, changes: dict[str, Any]) -> PluginRow:
        state, reason = PluginState.LOADED, ""
        if name in self.broken:
            state, reason = PluginState.FAILED, "It could not be loaded: ZeroDivisionError: division by zero."
        return self._changed(name, {**changes, "state": state, "reason": reason})

    def _changed(self, name: str, changes: dict[str, Any]) -> PluginRow:
        self.plugins[name] = self._plugin(name).model_copy(update=changes)
        return self.plugins[name]

    def _plugin(self, name: str) -> PluginRow:
        if name not in self.plugins:
            raise NotFound(f"There is no plugin {name}.")
        return self.plugins[name]
