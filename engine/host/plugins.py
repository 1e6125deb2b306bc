"""Finding, loading and asking plugins, so that a broken one is named and the others go on (DESIGN 3.5).

pluggy knows the hooks and who implements them; this module calls the implementations one by one, because within one
pluggy call the first that raises ends it for all. Built-ins register like third-party plugins, but before them, and
must not fail: a broken built-in is our mistake and raises.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Self

import pluggy

from ... import __version__
from ...schemas.errors import PluginError
from .hooks import HOOK_API_VERSION, PROJECT, Hooks

_log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "nightschool"
CHOOSE = "NIGHTSCHOOL_LOAD_PLUGINS"

BUILT_INS: tuple[str, ...] = (
    "nightschool.plugins.providers.local",
    "nightschool.plugins.providers.remote",
    "nightschool.plugins.providers.vllm",
    "nightschool.plugins.providers.llama_cpp",
    "nightschool.plugins.providers.sglang",
    "nightschool.plugins.detectors.rules",
    "nightschool.plugins.detectors.corrections",
    "nightschool.plugins.detectors.rephrase",
    "nightschool.plugins.detectors.style",
    "nightschool.plugins.detectors.clarify",
    "nightschool.plugins.detectors.praise",
    "nightschool.plugins.detectors.facts",
    "nightschool.plugins.detectors.other_languages",
    "nightschool.plugins.rewriters.fact",
    "nightschool.plugins.rewriters.opening",
    "nightschool.plugins.rewriters.closing",
    "nightschool.plugins.rewriters.ending",
    "nightschool.plugins.rewriters.length",
    "nightschool.plugins.rewriters.case",
    "nightschool.plugins.rewriters.terms",
    "nightschool.plugins.rewriters.layout",
    "nightschool.plugins.rewriters.marks",
    "nightschool.plugins.trainers.tail_lora",
    "nightschool.plugins.trainers.preference",
    "nightschool.plugins.trainers.unlikelihood",
    "nightschool.plugins.routers.ridge",
    "nightschool.plugins.gates.keeps",
    "nightschool.plugins.gates.capability",
    "nightschool.plugins.gates.safety",
    "nightschool.plugins.gates.sycophancy",
    "nightschool.plugins.gates.sticks",
    "nightschool.plugins.gates.forgets",
    "nightschool.plugins.gates.degeneracy",
    "nightschool.plugins.gates.files",
    "nightschool.plugins.importers.nightschool",
    "nightschool.plugins.importers.chatgpt",
    "nightschool.plugins.importers.claude",
    "nightschool.plugins.importers.sharegpt",
    "nightschool.plugins.importers.openai",
    "nightschool.plugins.merges.exact",
    "nightschool.plugins.merges.compact",
    "nightschool.plugins.merges.slerp",
    "nightschool.plugins.merges.ties",
    "nightschool.plugins.merges.dare",
    "nightschool.plugins.merges.breadcrumbs",
)


@dataclass(frozen=True)
class PluginProblem:
    """What went wrong with a third-party plugin; ``hook`` is empty where it did not load."""

    plugin: str
    hook: str
    text: str


@dataclass(frozen=True)
class PluginInfo:
    """A plugin that is loaded."""

    name: str
    version: str
    built_in: bool
    hooks: tuple[str, ...]


class PluginHost:
    """The plugins that are loaded, and what went wrong with those that are not."""

    def __init__(self) -> None:
        self.problems: list[PluginProblem] = []
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._infos: dict[str, PluginInfo] = {}

    @classmethod
    def load(cls, third_party: bool = True) -> Self:
        """Return a host with the built-ins and, unless told otherwise, the installed plugins of others.

        ``NIGHTSCHOOL_LOAD_PLUGINS`` chooses among the latter by distribution or entry point name, comma-separated;
        empty loads none, unset loads all.

        Raises:
            PluginError: If a built-in is broken.
        """
        host = cls()
        for module in BUILT_INS:
            host.add_built_in(module)
        if third_party:
            for point in _chosen(metadata.entry_points(group=ENTRY_POINT_GROUP)):
                host.add_third_party(point)
        return host

    def add_built_in(self, module: str) -> None:
        """Import and register a plugin of our own.

        Raises:
            PluginError: If it cannot be imported or does not fit the hooks.
        """
        try:
            self._register(module, importlib.import_module(module), version=__version__, built_in=True)
        except Exception as error:  # an import may raise anything; nothing is swallowed
            raise PluginError(
                f"Built-in plugin {module} is broken ({_described(error)}); reinstall Night School."
            ) from error

    def add_third_party(self, point: metadata.EntryPoint) -> None:
        """Import and register a plugin of somebody else; whatever goes wrong becomes a problem."""
        name = point.name
        try:
            plugin = point.load()
            wanted = getattr(plugin, "NIGHTSCHOOL_HOOK_API", HOOK_API_VERSION)
            if wanted != HOOK_API_VERSION:
                self._note(name, "", f"It was written for hook API {wanted}, this is {HOOK_API_VERSION}; update it.")
                return
            self._register(name, plugin, version=point.dist.version if point.dist else "", built_in=False)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (code of strangers may raise anything; the app goes on)
            self._note(name, "", f"It could not be loaded: {_described(error)}.", error)

    def collect(self, hook: str) -> list[Any]:
        """Return what all plugins supply for a hook, built-ins first, each in the order of registration.

        An implementation that raises or does not return a list is left out and noted as a problem, as is an item whose
        ``name`` an earlier plugin has already taken.

        Raises:
            PluginError: If there is no such hook, or a built-in fails.
        """
        caller = getattr(self._manager.hook, hook, None)
        if caller is None:
            raise PluginError(f"There is no hook {hook}; docs/plugins.md lists those that exist.")
        taken: dict[str, str] = {}
        items: list[Any] = []
        for implementation in self._implementations(caller):
            plugin = implementation.plugin_name
            for name, item in self._ask(hook, implementation):
                if name in taken:
                    self._fail(plugin, hook, f"{taken[name]} already supplies {name!r}; give yours another name.")
                    continue
                items.append(item)
                if name:
                    taken[name] = plugin
        return items

    def named(self, hook: str, name: str) -> Any:
        """Return the item of a name that a hook supplies.

        Raises:
            PluginError: If no plugin supplies it, or a built-in fails.
        """
        items = self.collect(hook)
        for item in items:
            if item.name == name:
                return item
        kind = hook.removeprefix(f"{PROJECT}_").removesuffix("s")
        known = ", ".join(item.name for item in items)
        raise PluginError(f"No plugin supplies the {kind} {name!r}; choose one of these: {known}.")

    def plugins(self) -> list[PluginInfo]:
        """Return the plugins that are loaded, in the order of registration."""
        return list(self._infos.values())

    def _register(self, name: str, plugin: object, *, version: str, built_in: bool) -> None:
        if name in self._infos:
            raise ValueError(f"another plugin is already loaded under the name {name}")
        self._manager.register(plugin, name=name)
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError:
            self._manager.unregister(name=name)
            raise
        hooks = tuple(sorted(caller.name for caller in self._manager.get_hookcallers(plugin) or ()))
        self._infos[name] = PluginInfo(name, version, built_in, hooks)

    def _implementations(self, caller: pluggy.HookCaller) -> list[pluggy.HookImpl]:
        """Return a hook's implementations in the order of registration, which pluggy's own order is not."""
        order = list(self._infos)
        return sorted(caller.get_hookimpls(), key=lambda implementation: order.index(implementation.plugin_name))

    def _ask(self, hook: str, implementation: pluggy.HookImpl) -> list[tuple[str, Any]]:
        """Call one implementation and return its items with their names; none where a stranger's fails."""
        plugin = implementation.plugin_name
        try:
            answer = implementation.function()
            if isinstance(answer, list):
                return [(str(getattr(item, "name", "")), item) for item in answer]
        except (Exception, SystemExit) as error:  # noqa: BLE001 (code of strangers may raise anything; the app goes on)
            self._fail(plugin, hook, f"It failed with {_described(error)}; update or remove it.", error)
        else:
            self._fail(
                plugin, hook, f"It returned {type(answer).__name__} where a list is wanted; update or remove it."
            )
        return []

    def _fail(self, plugin: str, hook: str, text: str, cause: BaseException | None = None) -> None:
        """Note what a loaded plugin of a stranger did wrong; raise for one of our own."""
        if self._infos[plugin].built_in:
            raise PluginError(f"Built-in plugin {plugin} cannot serve {hook}: {text}") from cause
        self._note(plugin, hook, text, cause)

    def _note(self, plugin: str, hook: str, text: str, cause: BaseException | None = None) -> None:
        """Remember and log a problem, once however often it happens."""
        problem = PluginProblem(plugin, hook, text)
        if problem not in self.problems:
            self.problems.append(problem)
            _log.warning("plugin %s, %s: %s", plugin, hook or "loading", text, exc_info=cause)


def _chosen(points: metadata.EntryPoints) -> list[metadata.EntryPoint]:
    """Return the entry points that the environment lets in, by name, so that the order does not follow the disk."""
    ordered = sorted(points, key=lambda point: point.name)
    chosen = os.environ.get(CHOOSE)
    if chosen is None:
        return ordered
    names = {_normal(name) for name in chosen.split(",")}
    return [
        point
        for point in ordered
        if _normal(point.name) in names or (point.dist is not None and _normal(point.dist.name) in names)
    ]


def _normal(name: str) -> str:
    """Return a distribution's name as packaging compares it: case and the kind of separator do not matter."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _described(error: BaseException) -> str:
    """Return an error of somebody else's code in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
