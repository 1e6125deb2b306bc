"""The plugins of one process: built-ins and those of others that the user trusts, asked one by one (DESIGN 3.5).

pluggy knows the hooks and who implements them; this module calls the implementations one by one, because within one
pluggy call the first that raises ends it for all. Built-ins register like third-party plugins, but before them, and
must not fail: a broken built-in is our mistake and raises. What a stranger's does wrong is noted, and the others go on.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import pluggy

from ... import __version__
from ...schemas.errors import NightSchoolError, PluginError
from ...schemas.plugins import PluginCommand, PluginFault, PluginState, Sighting
from ..paths import Home, find_home
from ..plug import marks
from ..plug.calling import Caller, Overrun, Threads, Watched
from ..plug.found import GROUP, Package, find_packages
from ..plug.guard import FAULTS, Place, described, guarded
from ..plug.items import KINDS, check_item
from ..plug.ledger import Ledger
from ..plug.loading import import_point
from ..plug.standing import CHOOSE, let_in, standing
from .built_ins import BUILT_INS
from .hooks import HOOK_API_VERSION, PROJECT, Hooks

__all__ = ["BUILT_INS", "CHOOSE", "GROUP", "PluginHost", "PluginInfo", "PluginProblem"]

_log = logging.getLogger(__name__)

STRICT = "NIGHTSCHOOL_PLUGINS_STRICT"
"""Set by authors: what their plugin does wrong raises, with its traceback, instead of being noted."""
STRIKES = 3
"""Faults after which a plugin is turned off."""
HOOK_SECONDS = 5.0
"""How long a hook may take to name its items."""


@dataclass(frozen=True)
class PluginProblem:
    """What went wrong with a third-party plugin; ``hook`` is empty where it did not load."""

    plugin: str
    hook: str
    text: str


@dataclass(frozen=True)
class PluginInfo:
    """A plugin that is loaded; ``sha256`` is empty for a built-in."""

    name: str
    version: str
    built_in: bool
    hooks: tuple[str, ...]
    sha256: str = ""


class PluginHost:
    """The plugins that are loaded, and what went wrong with those that are not."""

    def __init__(self, home: Home | None = None, *, watched: Path | None = None) -> None:
        self.problems: list[PluginProblem] = []
        self.tell: Callable[[PluginProblem], None] = lambda problem: None
        """Told of each problem once, in whichever thread it happened."""
        self._ledger = Ledger(home) if home is not None else None
        self._watched = watched
        self._marker: marks.Marker | None = None
        self._caller: Caller | None = None
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._infos: dict[str, PluginInfo] = {}
        self._off: set[str] = set()
        self._late: list[str] = []
        self._held: dict[tuple[str, str], list[tuple[str, Any]]] = {}
        self._lock = threading.RLock()

    @classmethod
    def load(cls, third_party: bool = True, *, home: Home | None = None, watched: Path | None = None) -> Self:
        """Return a host with the built-ins and, unless told otherwise, the plugins of others that the user trusts.

        ``NIGHTSCHOOL_LOAD_PLUGINS`` leaves only those that it names, by distribution or entry point, comma-separated;
        empty loads none, unset loads all.

        Args:
            third_party: Whether plugins of others are loaded.
            home: Whose plugins; None: of the user's profile.
            watched: This process may be ended where one of them takes too long or too much, and says in this folder
                what it was doing; None: it may not.

        Raises:
            PluginError: If a built-in is broken; of any in strict mode.
        """
        host = cls((home or find_home()) if third_party else None, watched=watched)
        for module in BUILT_INS:
            host.add_built_in(module)
        if third_party:
            host.refresh()
        return host

    def add_built_in(self, module: str) -> None:
        """Import and register a plugin of our own.

        Raises:
            PluginError: If it cannot be imported or does not fit the hooks.
        """
        try:
            hooks = self._register(module, importlib.import_module(module))
        except Exception as error:  # an import may raise anything; nothing is swallowed
            raise PluginError(
                f"Built-in plugin {module} is broken ({described(error)}); reinstall Night School."
            ) from error
        self._infos[module] = PluginInfo(module, __version__, True, hooks)

    def add(self, name: str, plugin: object) -> None:
        """Register a plugin that is at hand, as its author's tests do; it is asked as one that was installed.

        Raises:
            PluginError: If it does not fit the hooks.
        """
        try:
            hooks = self._register(f"{name}:", plugin)
        except (ValueError, pluggy.PluginValidationError) as error:
            raise PluginError(f"The plugin {name} does not fit the hooks: {described(error)}.") from error
        self._infos[name] = PluginInfo(name, "", False, hooks)

    # -- plugins of others --------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Load the plugins that the user trusts and that are not loaded, and leave those alone that were turned off.

        Blocks while they are imported. Whatever goes wrong becomes a problem.
        """
        packages = find_packages() if self._ledger is not None else []
        if not packages:
            return
        assert self._ledger is not None
        with self._lock:
            try:
                self._blame_the_dead()
                decisions = self._ledger.decisions()
            except NightSchoolError as error:
                self._note("plugins", "", str(error))
                return
            sightings: dict[str, Sighting] = {}
            for package in packages:
                state, reason = standing(package, decisions.get(package.name))
                loaded = package.name in self._infos
                if not let_in(package):
                    continue
                if state is PluginState.TRUSTED and not loaded:
                    sightings[package.name] = self._load(package)
                elif state is PluginState.TRUSTED and self._infos[package.name].sha256 != package.sha256:
                    self._off.add(package.name)
                    self._note(package.name, "", "It has changed since it was loaded; the next start loads it anew.")
                elif state is PluginState.TRUSTED:
                    self._off.discard(package.name)
                elif state is PluginState.INCOMPATIBLE:
                    self._note(package.name, "", reason)
                elif loaded:
                    self._off.add(package.name)
            self._write(sightings)
            for name in self._late:
                self._turn_off(name, sightings[name].reason)
            self._late.clear()

    def close(self) -> None:
        """Remove the mark of this process."""
        if self._marker is not None:
            self._marker.close()
            self._marker = None

    def _load(self, package: Package) -> Sighting:
        began = time.monotonic()
        name, hooks, problem = package.name, set[str](), None
        try:
            for point in package.points:
                hooks |= set(self._add(point, package))
        except FAULTS as error:
            self._unregister(name)
            unfit = isinstance(error, (_WrongApi, pluggy.PluginValidationError))
            text = str(error) if isinstance(error, _WrongApi) else f"It could not be loaded: {described(error)}."
            problem = self._note(name, "", text, error)
            if isinstance(error, Overrun):  # it would keep every start waiting
                self._late.append(name)
            state = PluginState.INCOMPATIBLE if unfit else PluginState.FAILED
        else:
            state = PluginState.LOADED
            self._infos[name] = PluginInfo(name, package.version, False, tuple(sorted(hooks)), package.sha256)
        commands = self._commands_of(name) if "nightschool_commands" in hooks and problem is None else []
        return Sighting(
            sha256=package.sha256,
            state=state,
            reason="" if problem is None else problem.text,
            load_ms=round((time.monotonic() - began) * 1000, 1),
            hooks=sorted(hooks),
            commands=commands,
            faults=[] if problem is None else [problem],
        )

    def _add(self, point: metadata.EntryPoint, package: Package) -> tuple[str, ...]:
        plugin = import_point(point, package.name, self._mark())
        wanted = getattr(plugin, "NIGHTSCHOOL_HOOK_API", HOOK_API_VERSION)
        if wanted != HOOK_API_VERSION:
            raise _WrongApi(f"It was written for hook API {wanted}, this is {HOOK_API_VERSION}; update it.")
        return self._register(f"{package.name}:{point.name}", plugin)

    def _commands_of(self, name: str) -> list[PluginCommand]:
        return [
            PluginCommand(name=item.name, about=item.about, title=str(getattr(item, "title", "")))
            for plugin, item in self._supplied("nightschool_commands")
            if plugin == name
        ]

    def _blame_the_dead(self) -> None:
        """Turn off the plugins that were being loaded when a process ended; one that was being called has a strike."""
        assert self._ledger is not None
        for mark in marks.left_behind(self._ledger.folder):
            if mark.at == marks.LOADING:
                again = f"`nightschool plugins enable {mark.plugin}` tries it again."
                self._turn_off(mark.plugin, f"Night School ended while this plugin was loading; {again}")
            else:
                hook, _, method = mark.at.partition(" ")
                self.blame(mark.plugin, hook, f"Night School ended while {method or hook} was called.")

    def blame_child(self, folder: Path, how: str) -> str:
        """Return which plugin a process of ours ended in, and turn that off; empty: none had to do with it.

        Args:
            folder: Where it said what it was doing.
            how: It ended, in words.
        """
        for mark in marks.left_behind(folder) if self._ledger is not None else ():
            at = "loading it" if mark.at == marks.LOADING else mark.at
            reason = f"At {at} it {mark.wrong or how}; `nightschool plugins enable {mark.plugin}` tries it again."
            self._turn_off(mark.plugin, reason)
            return mark.plugin
        return ""

    def _turn_off(self, plugin: str, reason: str) -> None:
        assert self._ledger is not None
        self._off.add(plugin)
        self._note(plugin, "", reason)
        try:
            self._ledger.strike(plugin, PluginFault(text=reason, at=time.time()))
            self._ledger.turn(plugin, on=False, reason=reason)
        except NightSchoolError as error:
            _log.warning("plugin %s cannot be turned off in the profile: %s", plugin, error)

    def _write(self, sightings: dict[str, Sighting]) -> None:
        assert self._ledger is not None
        try:
            if sightings:
                self._ledger.saw(sightings)
        except NightSchoolError as error:
            _log.warning("what was seen of plugins cannot be kept: %s", error)

    def _mark(self) -> marks.Marker | None:
        if self._marker is None and self._ledger is not None:
            self._marker = marks.Marker.open(self._watched or self._ledger.folder)
        return self._marker

    # -- asking -------------------------------------------------------------------------------------------------------

    def collect(self, hook: str) -> list[Any]:
        """Return what all plugins supply for a hook, built-ins first, each in the order of registration.

        Items of others are handed on guarded (``plug/guard.py``). An implementation that raises or does not return a
        list is left out and noted as a problem, as is an item that lacks what its hook wants, or whose ``name`` an
        earlier plugin has already taken.

        Raises:
            PluginError: If there is no such hook, or a built-in fails.
        """
        return [item for plugin, item in self._supplied(hook) if plugin not in self._off]

    def named(self, hook: str, name: str) -> Any:
        """Return the item of a name that a hook supplies.

        Raises:
            PluginError: If no plugin supplies it, or a built-in fails.
        """
        items = self.collect(hook)
        for item in items:
            if item.name == name:
                return item
        kind = KINDS[hook].noun
        known = ", ".join(item.name for item in items) or "none"
        raise PluginError(f"No plugin supplies the {kind} {name!r}; choose one of these: {known}.")

    def supplier(self, hook: str, name: str) -> str:
        """Return the plugin of others that supplies an item; empty: it is built in, or there is none."""
        found = next((plugin for plugin, item in self._supplied(hook) if item.name == name), "")
        return "" if not found or self._infos[found].built_in else found

    def plugins(self) -> list[PluginInfo]:
        """Return the plugins that are loaded and not off, in the order of registration."""
        return [info for info in self._infos.values() if info.name not in self._off]

    @property
    def caller(self) -> Caller:
        """Who calls the code of others."""
        if self._caller is None:
            marker = self._mark()
            self._caller = Watched(marker) if self._watched and marker is not None else Threads(marker)
        return self._caller

    def is_off(self, plugin: str) -> bool:
        """Whether a plugin was turned off since it was loaded."""
        return plugin in self._off

    def blame(self, plugin: str, hook: str, text: str, error: BaseException | None = None) -> None:
        """Note a fault of a plugin of others; the third turns it off.

        Raises:
            PluginError: In strict mode.
        """
        fault = self._note(plugin, hook, text, error)
        if self._ledger is None:
            return
        try:
            if self._ledger.strike(plugin, fault) >= STRIKES:
                reason = f"It failed {STRIKES} times, the last time so: {hook}, {text}"
                self._off.add(plugin)
                self._ledger.turn(plugin, on=False, reason=reason)
                self._note(plugin, "", f"It is turned off. {reason}")
        except NightSchoolError as trouble:
            _log.warning("a fault of the plugin %s cannot be kept: %s", plugin, trouble)

    def _supplied(self, hook: str) -> list[tuple[str, Any]]:
        """Return the items of a hook with the plugins that they are of."""
        caller = getattr(self._manager.hook, hook, None)
        if caller is None or hook not in KINDS:
            raise PluginError(f"There is no hook {hook}; docs/plugins.md lists those that exist.")
        taken: dict[str, str] = {}
        items: list[tuple[str, Any]] = []
        for implementation in self._implementations(caller):
            plugin = _owner(implementation.plugin_name)
            for name, item in self._asked(hook, implementation):
                if name in taken:
                    self._clash(plugin, hook, f"{taken[name]} already supplies {name!r}; give yours another name.")
                    continue
                items.append((plugin, item))
                if name:
                    taken[name] = plugin
        return items

    def _register(self, name: str, plugin: object) -> tuple[str, ...]:
        if self._manager.has_plugin(name):
            raise ValueError(f"another plugin is already loaded under the name {name}")
        self._manager.register(plugin, name=name)
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError:
            self._manager.unregister(name=name)
            raise
        return tuple(sorted(caller.name for caller in self._manager.get_hookcallers(plugin) or ()))

    def _unregister(self, name: str) -> None:
        for registered, _ in self._manager.list_name_plugin():
            if registered.startswith(f"{name}:"):
                self._manager.unregister(name=registered)

    def _implementations(self, caller: pluggy.HookCaller) -> list[pluggy.HookImpl]:
        """Return a hook's implementations in the order of registration, which pluggy's own order is not."""
        order = [name for name, _ in self._manager.list_name_plugin()]
        ordered = sorted(caller.get_hookimpls(), key=lambda implementation: order.index(implementation.plugin_name))
        return [one for one in ordered if _owner(one.plugin_name) not in self._off]

    def _asked(self, hook: str, implementation: pluggy.HookImpl) -> list[tuple[str, Any]]:
        """Return the items of one implementation with their names; those of a stranger's are asked for once."""
        plugin = _owner(implementation.plugin_name)
        if plugin not in self._infos:  # it is just being loaded
            return []
        if self._infos[plugin].built_in:
            return [(str(getattr(item, "name", "")), item) for item in self._own(hook, implementation)]
        key = (implementation.plugin_name, hook)
        with self._lock:
            if key not in self._held:
                found = self._ask(hook, plugin, implementation)
                if found is None:
                    return []
                self._held[key] = found
            return self._held[key]

    def _own(self, hook: str, implementation: pluggy.HookImpl) -> list[Any]:
        plugin = implementation.plugin_name
        try:
            answer = implementation.function()
        except Exception as error:  # nothing is swallowed
            raise PluginError(f"Built-in plugin {plugin} cannot serve {hook}: {described(error)}.") from error
        if not isinstance(answer, list):
            raise PluginError(f"Built-in plugin {plugin} cannot serve {hook}: it returned {type(answer).__name__}.")
        return answer

    def _ask(self, hook: str, plugin: str, implementation: pluggy.HookImpl) -> list[tuple[str, Any]] | None:
        """Call one implementation of a stranger and return its guarded items; None where it failed."""
        kind, place = KINDS[hook], Place(self, plugin, hook)

        def ask() -> list[tuple[str, Any]] | str:
            answer = implementation.function()
            if not isinstance(answer, list):
                return f"returned {type(answer).__name__} where a list is wanted"
            wrong = next(filter(None, (check_item(item, kind) for item in answer)), "")
            return wrong or [(item.name, guarded(item, kind, place)) for item in answer]

        try:
            found = self.caller.call(plugin, hook, HOOK_SECONDS, ask)
        except FAULTS as error:
            self.blame(plugin, hook, f"It failed with {described(error)}; update or remove it.", error)
            return None
        if isinstance(found, str):
            self.blame(plugin, hook, f"It {found}; update or remove it.")
            return None
        return found  # type: ignore[no-any-return]

    def _clash(self, plugin: str, hook: str, text: str) -> None:
        if self._infos[plugin].built_in:
            raise PluginError(f"Built-in plugin {plugin} cannot serve {hook}: {text}")
        self._note(plugin, hook, text)

    def _note(self, plugin: str, hook: str, text: str, cause: BaseException | None = None) -> PluginFault:
        """Remember, log and tell a problem, once however often it happens; raise it in strict mode."""
        if cause is not None and os.environ.get(STRICT):
            raise PluginError(f"The plugin {plugin} failed at {hook or 'loading'}: {text}") from cause
        problem = PluginProblem(plugin, hook, text)
        if problem not in self.problems:
            self.problems.append(problem)
            _log.warning("plugin %s, %s: %s", plugin, hook or "loading", text, exc_info=cause)
            self.tell(problem)
        lines = "".join(traceback.format_exception(cause)) if cause is not None else ""
        return PluginFault(text=text, hook=hook, traceback=lines[-4000:], at=time.time())


class _WrongApi(Exception):
    """A plugin was written for another version of the hooks."""


def _owner(registered: str) -> str:
    """Return the plugin that registered under a name: a built-in is its module, another its distribution."""
    return registered.partition(":")[0]
